"""One photo from pixels to pixels: any size, both depths, tone kept, damage never used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from photos import photo

from oldphoto_core import Restorer
from oldphoto_core.checkpoints import Model, ModelCard
from oldphoto_core.errors import MaskMismatch, ScanTooLarge, UnknownModel, UnsupportedScan, UsageError
from oldphoto_core.nets import preset_named
from oldphoto_core.restoration import NetworkOptions


class Identity(torch.nn.Module):
    """Gives back what it is shown; remembers it."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        self.seen = image, mask
        return image


def restorer(networks: torch.nn.Module | None = None, **options: object) -> Restorer:
    torch.manual_seed(0)
    card = ModelCard(name="test", preset="compact", partial_nonlocal=True, weights_sha256="0", created="2026-11-23")
    networks = networks or preset_named("compact").triplet().eval()
    return Restorer(Model(networks, card), NetworkOptions(device="cpu"), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (7, 300), (8, 8), (33, 65), (100, 101)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_comes_back_in_its_own_size(size: tuple[int, int], channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, channels), dtype=np.uint8)
    restored = restorer().restore(pixels)
    assert restored.shape == pixels.shape
    assert restored.dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_and_tone_are_kept_to_the_last_level(dtype: type, channels: int) -> None:
    most = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, most + 1, (41, 57, channels)).astype(dtype)
    restored = restorer(Identity()).restore(pixels)
    assert np.abs(restored.astype(int) - pixels.astype(int)).max() <= (0 if dtype == np.uint8 else 1)


def test_a_dark_photo_is_not_stretched() -> None:
    dark = (photo(1) // 8).astype(np.uint8)
    assert np.array_equal(restorer(Identity()).restore(dark), dark)


def test_grey_stays_grey_with_or_without_a_channel_axis() -> None:
    grey = photo(1)[..., :1]
    flat = restorer().restore(grey[..., 0])
    assert flat.shape == grey.shape[:2]
    assert np.array_equal(restorer().restore(grey)[..., 0], flat)


def test_damaged_pixels_are_shown_white_to_the_network() -> None:
    mask = np.zeros((96, 112), bool)
    mask[10:14, 20:80] = True
    network = Identity()
    restorer(network).restore(photo(1), mask)
    image, damaged = network.seen
    assert damaged is not None
    assert (image.permute(0, 2, 3, 1)[damaged[:, 0] > 0.5] == 1).all()
    assert int(damaged.sum()) == mask.sum()


def test_what_was_under_the_mask_cannot_reach_the_result() -> None:
    mask = np.zeros((96, 112), bool)
    mask[40:50] = True
    other = photo(1)
    other[mask] = 77
    assert np.array_equal(restorer().restore(photo(1), mask), restorer().restore(other, mask))


def test_a_mask_of_nothing_is_no_mask() -> None:
    network = Identity()
    restorer(network).restore(photo(1), np.zeros((96, 112), bool))
    assert network.seen[1] is None


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(MaskMismatch, match="112"):
        restorer().restore(photo(1), np.zeros((112, 96), bool))


def test_a_photo_over_the_bound_is_refused_before_any_work() -> None:
    network = Identity()
    with pytest.raises(ScanTooLarge, match="bound"):
        restorer(network, max_megapixels=0.01).restore(photo(1))
    assert not hasattr(network, "seen")


def test_the_bound_follows_the_free_memory() -> None:
    assert restorer().max_megapixels > 0.1


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_pixels_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(UnsupportedScan, match="HWC"):
        restorer().restore(pixels)


@pytest.mark.parametrize("level", [0, 255])
def test_flat_pictures_give_finite_results(level: int) -> None:
    restored = restorer().restore(np.full((40, 40, 3), level, np.uint8), np.eye(40, dtype=bool))
    assert restored.shape == (40, 40, 3)


def test_unknown_devices_and_models_are_told() -> None:
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        restorer_on("tpu")
    with pytest.raises(UnknownModel):
        Restorer.load("no-such-model")


def restorer_on(device: str) -> Restorer:
    card = ModelCard(name="test", preset="compact", partial_nonlocal=True, weights_sha256="0", created="2026-11-23")
    return Restorer(Model(preset_named("compact").triplet(), card), NetworkOptions(device=device))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_missing_cuda_device_is_a_clear_error() -> None:
    with pytest.raises(UsageError, match="--device cpu"):
        restorer_on("cuda")


def test_a_model_is_loaded_from_a_folder(tmp_path: Path) -> None:
    from oldphoto_core.checkpoints import save_model
    from oldphoto_core.storage import Bucket

    card = ModelCard(name="mine", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-23")
    saved = save_model(Bucket(str(tmp_path)), preset_named("compact").triplet(), card)
    ours = Restorer.load(tmp_path)
    assert (ours.name, ours.digest, ours.device) == ("mine", saved.weights_sha256, ours.device)
