"""The noise of a whole photo: measured where it is flattest, the same in parts, and told to the detail path."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.errors import ConfigError
from oldphoto_core.inference.canvas import Subject
from oldphoto_core.inference.noise import noise_of
from oldphoto_core.nets.detail import DetailConfig, DetailPath
from oldphoto_core.nets.noise_level import added_noise_level, noise_level
from oldphoto_core.nets.presets import preset_named
from oldphoto_core.training.joint import judged_noise
from oldphoto_core.training.photos.batches import Batch

FINE, COARSE = 0.800, 0.273
"""Shares of white noise in the two scales: roots of the sums of squared coefficients of their filters."""


def grained(levels: float, *, side: int = 256, seed: int = 1) -> Tensor:
    """13HW in [-1, 1]: half of it flat, half stripes, and noise all over."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, 3, side, side)
    picture[..., side // 2 :] = 0.5 * torch.sin(torch.arange(side // 2) * 1.3)
    return picture + levels / 127.5 * torch.randn(picture.shape, generator=generator)


@pytest.mark.parametrize("levels", [0.5, 3.0, 12.0])
def test_white_noise_is_measured_beside_a_texture(levels: float) -> None:
    (found,) = noise_level(grained(levels))
    # the flattest tenth of blocks has a little less than the mean
    assert float(found[0]) == pytest.approx(FINE * levels, rel=0.1)
    assert float(found[1]) == pytest.approx(COARSE * levels, rel=0.25)


def test_what_was_added_is_measured_without_the_texture() -> None:
    clean = grained(0.0)
    textured = clean[..., 128:]
    noise = grained(4.0)[..., 128:] - textured
    (added,) = added_noise_level(textured + noise, textured)
    assert float(added[0]) == pytest.approx(FINE * 4.0, rel=0.1)
    assert float(noise_level(textured + noise)[0, 0]) > 4 * float(added[0])


def with_white_card(picture: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(picture[..., :128]), picture], dim=-1)


def with_black_edge(picture: Tensor) -> Tensor:
    return torch.cat([-torch.ones_like(picture[..., :64, :]), picture], dim=-2)


@pytest.mark.parametrize("frame", [with_white_card, with_black_edge])
def test_a_card_or_an_edge_without_grain_is_not_looked_at(frame: Callable[[Tensor], Tensor]) -> None:
    picture = grained(5.0)
    assert float(noise_level(frame(picture))[0, 0]) == pytest.approx(float(noise_level(picture)[0, 0]), rel=0.05)


def test_damage_is_not_looked_at() -> None:
    picture, mask = grained(5.0), torch.zeros(1, 1, 256, 256)
    mask[..., 100:, :] = 1
    filled = torch.where(mask > 0, 0.3, picture)
    assert float(noise_level(filled, mask)[0, 0]) == pytest.approx(FINE * 5.0, rel=0.15)
    assert float(noise_level(filled)[0, 0]) < 0.1


@pytest.mark.parametrize("picture", [torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 8, 8), torch.zeros(2, 1, 40, 24)])
def test_a_picture_of_nothing_has_no_noise(picture: Tensor) -> None:
    found = noise_level(picture, torch.ones(len(picture), 1, *picture.shape[-2:]))
    assert found.shape == (len(picture), 2)
    assert not found.any()


@pytest.mark.parametrize("height", [24, 500, 5000])
def test_a_photo_that_is_read_in_strips_has_the_same_noise(height: int) -> None:
    rng = np.random.default_rng(3)
    pixels = (120 + rng.normal(0, 6, (height, 96, 3))).clip(0, 255).astype(np.uint8)
    subject = Subject(ArrayCanvas(pixels), None, 8, 8)
    whole = noise_level(subject.rows(0, subject.height).window(0, subject.width)[0])
    assert torch.allclose(noise_of(subject), whole, rtol=0.03)


def changed(path: DetailPath) -> DetailPath:
    """With weights that do something."""
    torch.manual_seed(2)
    for parameter in path.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return path


def test_the_detail_path_takes_the_level_of_its_picture_if_none_is_given() -> None:
    path = changed(DetailPath(DetailConfig(width=8, blocks=1, noise_width=4)))
    picture = grained(4.0, side=64)
    alone = path(picture, picture)
    assert torch.equal(alone, path(picture, picture, None, noise_level(picture)))
    assert not torch.allclose(alone, path(picture, picture, None, torch.tensor([[20.0, 8.0]])))


def test_only_a_preset_that_asks_for_it_sees_noise() -> None:
    assert preset_named("dense").triplet(detail=True).sees_noise
    assert not preset_named("dense").triplet(detail=False).sees_noise
    assert not preset_named("compact").triplet(detail=True).sees_noise


def test_a_negative_width_is_refused() -> None:
    with pytest.raises(ConfigError, match="noise_width is -1"):
        DetailConfig(noise_width=-1)


def test_in_training_the_level_is_as_wrong_as_it_is_in_use() -> None:
    clean = torch.zeros(400, 3, 32, 32)
    noisy = clean + 4 / 127.5 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    batch = Batch(clean=clean, degraded=noisy, mask=None)
    told = judged_noise(batch, torch.Generator().manual_seed(2))
    again = judged_noise(batch, torch.Generator().manual_seed(2))
    assert torch.equal(told, again)
    wrong = torch.log((told + 0.5) / (added_noise_level(noisy, clean) + 0.5))[:, 0]
    assert float(wrong.mean()) == pytest.approx(-0.5, abs=0.1)
    assert float(wrong.std()) == pytest.approx(0.5, abs=0.1)
