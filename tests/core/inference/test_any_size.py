"""Pictures of any size in bounded memory: parts equal the whole, and what does not fit is made to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from oldphoto_core import Restorer
from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.checkpoints import Model, ModelCard, load_model
from oldphoto_core.errors import ScanTooLarge, UsageError
from oldphoto_core.inference import runner
from oldphoto_core.inference.tiling import Tiles
from oldphoto_core.nets import preset_named
from oldphoto_core.nets.official.restoration import PublishedRestoration
from oldphoto_core.restoration import NetworkOptions
from oldphoto_core.scans import RawPixels

SMALL = 0.17e6
"""Pixels of a part: a compact tile of 412 x 412 keeps 188 x 188 of it."""


def old_photo(height: int, width: int, channels: int = 3) -> np.ndarray:
    """16 bits; clouds at several scales, an edge, some grain."""
    rng = np.random.default_rng(0)
    clouds = sum(
        cv2.resize(rng.random((n, n, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        for n in (3, 9, 40)
    )
    picture = np.asarray(clouds) / 4 + rng.normal(0, 0.02, (height, width, 3))
    picture[:, 2 * width // 7 :] *= 0.7
    return (np.clip(picture, 0, 1) * 65535).astype(np.uint16)[..., :channels]


def scratches(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(6):
        ends = [tuple(int(v) for v in rng.integers(0, (width, height))) for _ in range(2)]
        cv2.line(mask, *ends, color=1, thickness=4)
    return mask.astype(bool)


def model(preset: str) -> Model:
    if preset == "starter":
        return load_model("starter")
    torch.manual_seed(0)
    networks = PublishedRestoration() if preset == "published" else preset_named(preset).triplet()
    card = ModelCard(name="random", preset=preset, partial_nonlocal=True, weights_sha256="", created="2026-11-23")
    return Model(networks.eval(), card)


kept = lru_cache(maxsize=1)(model)
"""The model, made once for tests that follow each other: weights at random take seconds."""


@pytest.fixture(scope="module", autouse=True)
def shares_weights() -> Iterator[None]:
    """Restorers of one model share what has fewer products, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "use_winograd", lru_cache(maxsize=1)(runner.use_winograd))
        yield
    kept.cache_clear()


def both(preset: str, pixels: np.ndarray, mask: np.ndarray | None, part: float) -> tuple[np.ndarray, np.ndarray]:
    """Restored whole, and in parts of so many pixels."""
    weights = kept(preset)
    whole = Restorer(weights, NetworkOptions(device="cpu", memory=16e9)).restore(pixels, mask)
    bytes_per_pixel = preset_named("compact" if preset == "starter" else "paper").bytes_per_pixel
    return whole, Restorer(weights, NetworkOptions(device="cpu", memory=part * bytes_per_pixel)).restore(pixels, mask)


def psnr(ours: np.ndarray, theirs: np.ndarray) -> float:
    error = np.mean((ours.astype(float) - theirs.astype(float)) ** 2)
    return float(10 * np.log10(65535**2 / max(error, 1e-9)))


@pytest.mark.parametrize("size", [(430, 560), (60, 3000), (700, 300)])
def test_a_compact_photo_in_tiles_equals_the_whole_to_1e_5(size: tuple[int, int]) -> None:
    whole, tiled = both("starter", old_photo(*size), None, SMALL)
    assert np.abs(whole.astype(int) - tiled.astype(int)).max() <= 1  # 1.5e-5 of the range is one level


SCRATCHED = (430, 900)


@pytest.fixture(scope="module")
def scratched() -> tuple[np.ndarray, np.ndarray]:
    """A scratched photo restored whole, and in tiles."""
    return both("starter", old_photo(*SCRATCHED), scratches(*SCRATCHED), SMALL)


@pytest.mark.long
def test_a_scratched_compact_photo_in_tiles_is_the_whole_to_40_db(scratched: tuple[np.ndarray, np.ndarray]) -> None:
    assert psnr(*scratched) > 40


def test_tile_borders_do_not_show(scratched: tuple[np.ndarray, np.ndarray]) -> None:
    whole, tiled = scratched
    pixels, mask = old_photo(*SCRATCHED), scratches(*SCRATCHED)
    subject = runner.Subject(ArrayCanvas(pixels), ArrayCanvas(mask[..., None]), 8, 8)
    before_borders = np.array([span.inside_start - 1 for span in Tiles(subject, 112, SMALL).columns[1:]])
    assert len(before_borders) >= 3
    # a few columns may differ from the mean of all by what the photo shows there; in the whole they do so as well
    steps, steps_of_whole = (
        np.abs(np.diff(result.astype(float), axis=1)).mean(axis=(0, 2))[before_borders] for result in (tiled, whole)
    )
    assert steps.mean() <= 1.05 * steps_of_whole.mean()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [(50, 64), pytest.param((90, 130), marks=pytest.mark.long)])
@pytest.mark.parametrize("preset", ["paper", pytest.param("published", marks=pytest.mark.long)])
def test_a_network_with_statistics_over_space_gives_the_whole_layer_by_layer(
    preset: str, masked: bool, size: tuple[int, int]
) -> None:
    mask = scratches(*size) if masked else None
    whole, layered = both(preset, old_photo(*size), mask, 2000)
    assert psnr(whole, layered) > 60


@pytest.mark.long
def test_a_sample_of_the_evidence_is_the_same_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oldphoto_core.nets.nonlocal_attention.MOST_KEYS", 100)
    monkeypatch.setattr("oldphoto_core.nets.nonlocal_attention.drawn.__defaults__", (100,))
    monkeypatch.setattr("oldphoto_core.nets.nonlocal_attention.Evidence.sampled.__defaults__", (100,))
    monkeypatch.setattr("oldphoto_core.inference.layers.MOST_KEYS", 100)
    whole, layered = both("paper", old_photo(60, 84), scratches(60, 84), 2000)
    assert psnr(whole, layered) > 60


def test_a_picture_that_fits_is_restored_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "restore_tiles", None)
    restorer = Restorer(model("starter"), NetworkOptions(device="cpu", memory=1e9))
    assert restorer.restore(old_photo(100, 96)).shape == (100, 96, 3)


@pytest.mark.long
def test_pictures_on_disk_and_in_memory_give_the_same(tmp_path: Path) -> None:
    pixels, mask = old_photo(330, 560, channels=1), scratches(330, 560)
    restorer = Restorer(model("starter"), NetworkOptions(device="cpu", memory=SMALL * 750))
    photo = RawPixels.create(tmp_path / "photo.tif", 330, 560, 1, np.uint16)
    result = RawPixels.create(tmp_path / "result.tif", 330, 560, 1, np.uint16)
    damage = RawPixels.create(tmp_path / "mask.tif", 330, 560, 1, np.uint8)
    photo.write(0, pixels)
    damage.write(0, mask[..., None].astype(np.uint8) * 255)
    heard: list[tuple[int, int]] = []
    restorer.restore_canvas(photo, result, damage, lambda *parts: heard.append(parts))
    assert np.array_equal(result.read(0, 330), restorer.restore(pixels, mask))
    assert heard == [(done, len(heard)) for done in range(1, len(heard) + 1)]
    assert len(heard) > 1


@pytest.mark.parametrize("size", [(1, 1), (7, 1500), (1, 400), (500, 3)])
@pytest.mark.parametrize("preset", ["starter", "paper"])
def test_strips_and_dots_come_back_in_their_size(preset: str, size: tuple[int, int]) -> None:
    part = SMALL if preset == "starter" else 6_000
    bytes_per_pixel = 750 if preset == "starter" else 1600
    restorer = Restorer(kept(preset), NetworkOptions(device="cpu", memory=part * bytes_per_pixel))
    pixels = old_photo(*size)
    mask = np.zeros(size, bool)
    mask[size[0] // 2, size[1] // 2] = True
    assert restorer.restore(pixels, mask).shape == pixels.shape


@pytest.mark.parametrize("level", [0, 65535])
@pytest.mark.parametrize("masked", ["nothing", "something", "everything"])
@pytest.mark.parametrize("preset", ["starter", "paper", "published"])
def test_black_and_white_pictures_give_numbers(preset: str, level: int, masked: str) -> None:
    finite: list[bool] = []
    weights = kept(preset)
    hook = weights.networks.register_forward_hook(
        lambda _network, _given, made: finite.append(bool(made.isfinite().all()))
    )
    mask = np.full((40, 48), masked == "everything")
    if masked == "something":
        mask[10:14] = True
    with hook:
        Restorer(weights, NetworkOptions(device="cpu", precision="bfloat16")).restore(
            np.full((40, 48, 3), level, np.uint16), mask
        )
    assert finite == [True]


def starved(most: int) -> Callable[..., torch.Tensor]:
    """A network that finds no memory for more than so many pixels."""

    def network(image: torch.Tensor, _mask: torch.Tensor | None = None) -> torch.Tensor:
        if image[0, 0].numel() * len(image) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return image

    return network


def test_out_of_memory_halves_the_tile_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    restorer = Restorer(model("starter"), NetworkOptions(device="cpu", memory=16e9))
    restorer._runner._networks = restorer._runner._exact = starved(200_000)  # type: ignore[assignment]
    pixels = old_photo(600, 800)
    with caplog.at_level(logging.WARNING, logger="oldphoto"):
        restored = restorer.restore(pixels)
    assert np.abs(restored.astype(int) - pixels.astype(int)).max() <= 1
    assert "out of memory" in caplog.text
    assert "megapixels" in caplog.text
    lines = len(caplog.records)
    restorer.restore(pixels)
    assert len(caplog.records) == lines, "what was learnt is kept for the next photo"


def test_a_device_without_memory_for_any_tile_is_this_photos_failure() -> None:
    restorer = Restorer(model("starter"), NetworkOptions(device="cpu", memory=1e9))
    restorer._runner._networks = restorer._runner._exact = starved(10)  # type: ignore[assignment]
    with pytest.raises(ScanTooLarge, match="do not fit on cpu in any part"):
        restorer.restore(old_photo(64, 64))


def test_other_errors_of_the_network_are_not_taken_for_lack_of_memory() -> None:
    restorer = Restorer(model("starter"), NetworkOptions(device="cpu"))

    def broken(*_given: object) -> torch.Tensor:
        raise RuntimeError("a bug")

    restorer._runner._networks = restorer._runner._exact = broken  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="a bug"):
        restorer.restore(old_photo(64, 64))


def test_less_memory_than_the_smallest_tile_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="needs 97 MB"):
        Restorer(model("starter"), NetworkOptions(device="cpu", memory=1e6))


@pytest.mark.long
def test_the_network_can_be_compiled_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    compiling = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda network, **_options: compiling(network, fullgraph=True, backend="eager")
    )
    pixels = old_photo(300, 700)
    weights = model("starter")
    plain = Restorer(weights, NetworkOptions(device="cpu", memory=SMALL * 750)).restore(pixels)
    compiled = Restorer(weights, NetworkOptions(device="cpu", memory=SMALL * 750), compiled=True).restore(pixels)
    assert np.abs(plain.astype(int) - compiled.astype(int)).max() <= 1
