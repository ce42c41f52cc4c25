"""Planes of damage, and two pictures put together by them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.inference import blending


def damage(height: int = 40, width: int = 50, share: float = 0.01) -> NDArray[np.bool_]:
    return np.random.default_rng(3).random((height, width)) < share


def noise(seed: int, dtype: DTypeLike, channels: int = 3) -> NDArray[np.uint8 | np.uint16]:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (40, 50, channels), dtype)


@pytest.mark.parametrize(
    ("sides", "margin"), [((40, 50), 1), ((3000, 1000), 3), ((9000, 12_400), 12), ((1, 10**6), 100)]
)
def test_the_edge_is_a_thousandth_of_the_long_side(sides: tuple[int, int], margin: int) -> None:
    assert blending.margin_of(*sides) == margin


def test_the_edge_fades_from_the_damage_outwards_and_ends() -> None:
    damaged = np.zeros((21, 21), bool)
    damaged[10, 10] = True
    plane = blending.feathered(damaged, 3)
    assert plane[10, 10:15].tolist() == [255, 191, 128, 64, 0]
    assert plane[10, 6:11].tolist() == plane[6:11, 10].tolist() == [0, 64, 128, 191, 255]
    assert np.array_equal(plane, plane.T)


def test_every_damaged_pixel_is_wholly_the_networks() -> None:
    for margin in (0, 1, 7, blending.WIDEST):
        plane = blending.feathered(damage(), margin)
        assert np.array_equal(plane == 255, damage())
        if not margin:
            assert not plane[~damage()].any()


@pytest.mark.parametrize("margin", [1, 4, 11])
def test_slabs_do_not_show_in_a_plane(margin: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = blending.feathered(damage(), margin)
    monkeypatch.setattr(blending, "_SLAB", 50 * 3)
    plane = ArrayCanvas(np.full((40, 50, 1), 77, np.uint8))
    blending.widen(ArrayCanvas(damage()[..., np.newaxis].astype(np.uint8)), plane, margin)
    assert np.array_equal(plane.pixels[..., 0], whole)
    assert blending.coverage(plane) == pytest.approx((whole > 0).mean())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_blend_is_the_masters_outside_and_the_networks_inside(dtype: DTypeLike, channels: int) -> None:
    plane = blending.feathered(damage(), 2)
    master, restored = noise(1, dtype, channels), noise(2, dtype, channels)
    blended = ArrayCanvas(restored.copy())
    blending.blend(ArrayCanvas(master), blended, ArrayCanvas(plane[..., np.newaxis]))
    assert np.array_equal(blended.pixels[plane == 0], master[plane == 0])
    assert np.array_equal(blended.pixels[plane == 255], restored[plane == 255])
    between = (plane > 0) & (plane < 255)
    share = plane[between, np.newaxis] / 255
    expected = master[between] * (1 - share) + restored[between] * share
    assert between.any()
    assert np.abs(blended.pixels[between] - expected).max() <= 0.51


def test_damage_is_added_to_damage() -> None:
    first, second = damage(), damage().T[:40].repeat(2, axis=1)[:, :50]
    plane = ArrayCanvas(first[..., np.newaxis].astype(np.uint8))
    blending.add_damage(plane, ArrayCanvas(second[..., np.newaxis].astype(np.uint8)))
    assert np.array_equal(plane.pixels[..., 0], np.where(first | second, 255, 0))


def test_a_pixel_has_changed_when_any_channel_has() -> None:
    master = noise(1, np.uint16)
    restored = master.copy()
    restored[3, 4, 1] ^= 1
    restored[5, 6] ^= 1
    assert blending.difference(ArrayCanvas(master), ArrayCanvas(restored)).changed_share == pytest.approx(2 / 2000)
