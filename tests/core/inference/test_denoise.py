"""Denoise: how much of a photo's noise the network is given, the same for a tile as for the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import scratched
from numpy.typing import NDArray
from PIL import Image
from records import records_of
from test_arithmetic import with_detail

from oldphoto_core import Restorer
from oldphoto_core.checkpoints import Model
from oldphoto_core.errors import ConfigError
from oldphoto_core.nets import preset_named
from oldphoto_core.restoration import NetworkOptions, RestoreOptions
from oldphoto_core.tone import ToneOptions
from oldphoto_core.tone.options import DEFAULT_DENOISE


@pytest.fixture(scope="module")
def dense() -> Model:
    """With a detail path at random, which does something, and makes much of the noise it is given."""
    made = with_detail("dense")
    torch.manual_seed(3)
    path = made.networks.detail
    torch.nn.init.normal_(path.out.weight, std=0.003)  # type: ignore[union-attr]
    torch.nn.init.normal_(path.noise.outer.weight, std=0.3)  # type: ignore[union-attr]
    return made


def grained(height: int, width: int, dtype: type = np.uint8) -> NDArray[Any]:
    rng = np.random.default_rng(1)
    photo = 40 + 150 * np.linspace(0, 1, width)[None, :, None] + rng.normal(0, 5, (height, width, 3))
    return (photo.clip(0, 255) * (np.iinfo(dtype).max / 255)).astype(dtype)


def restorer(model: Model, memory: float = 16e9) -> Restorer:
    return Restorer(model, NetworkOptions(device="cpu", memory=memory))


def test_more_of_it_changes_the_photo_and_half_is_the_default(dense: Model) -> None:
    photo, made = grained(96, 128), restorer(dense)
    results = {share: made.restore(photo, options=ToneOptions(denoise=share)) for share in (0.0, DEFAULT_DENOISE, 1.0)}
    assert not np.array_equal(results[0.0], results[1.0])
    assert np.array_equal(made.restore(photo), results[DEFAULT_DENOISE])


def test_a_tile_is_given_the_noise_of_the_whole_photo(dense: Model) -> None:
    # the left half has none, so that a tile that measured its own would be given something else
    photo = grained(440, 1100, np.uint16)
    photo[:, :550] = photo[:, :550].mean(axis=0, keepdims=True).round().astype(np.uint16)
    bytes_per_pixel = preset_named("dense").bytes_per_pixel
    whole = restorer(dense).restore(photo)
    tiled = restorer(dense, 640 * 640 * bytes_per_pixel).restore(photo)
    assert np.abs(whole.astype(int) - tiled.astype(int)).max() <= 2  # of 65,535


def test_a_network_without_that_input_restores_as_ever() -> None:
    photo, made = grained(64, 64), restorer(with_detail("compact"))
    one, other = (made.restore(photo, options=ToneOptions(denoise=share)) for share in (0.0, 1.0))
    assert np.array_equal(one, other)


def test_the_record_has_it_where_it_is_not_the_default(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    Image.fromarray(scratched(grained(40, 48))).save(tmp_path / "old/a.png")
    assert records_of(tmp_path, denoise=0.8)["a.png"]["options"]["denoise"] == 0.8
    assert "denoise" not in records_of(tmp_path)["a.png"]["options"]


def test_a_rerun_with_another_value_restores_again() -> None:
    assert RestoreOptions(denoise=0.8).digest() != RestoreOptions().digest() == RestoreOptions(denoise=0.5).digest()


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_nonsense_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match="denoise is"):
        ToneOptions(denoise=wrong)
    with pytest.raises(ConfigError, match="denoise is"):
        RestoreOptions(denoise=wrong)
