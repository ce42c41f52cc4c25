"""Clean photos degraded: exactly as the recipe says, and the same wherever an item is made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from photos import photo

from oldphoto_core.degradation import (
    PublishedRecipe,
    ScratchMasks,
    degrade,
    item_rng,
    paint_white,
    recipe_named,
    scratch_mask,
    unstructured,
)
from oldphoto_core.errors import ConfigError, UsageError

CLEAN = photo(1, 128, 128)
SCRATCHED = PublishedRecipe(scratches=ScratchMasks(probability=1.0))


def many_records(count: int = 400) -> list[list[dict[str, float | int | str]]]:
    tiny = photo(2, 24, 24)
    return [degrade(tiny, PublishedRecipe(), item_rng(1, item)).record for item in range(count)]


def test_an_item_is_the_same_whatever_was_made_before_it() -> None:
    alone = degrade(CLEAN, SCRATCHED, item_rng(7, "b.jpg"))
    degrade(CLEAN, SCRATCHED, item_rng(7, "a.jpg"))
    again = degrade(CLEAN, SCRATCHED, item_rng(7, "b.jpg"))
    assert np.array_equal(alone.image, again.image)
    assert np.array_equal(alone.mask, again.mask)
    assert alone.record == again.record


def test_another_seed_or_another_name_is_another_item() -> None:
    images = [degrade(CLEAN, PublishedRecipe(), item_rng(*name)).image for name in ((7, "a"), (8, "a"), (7, "b"))]
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_each_operation_happens_seven_times_in_ten() -> None:
    records = many_records()
    for names in (
        {"gaussian_blur"},
        {"low_resolution"},
        {"jpeg"},
        {"gaussian_noise", "speckle_noise", "salt_and_pepper"},
    ):
        share = np.mean([any(drawn["operation"] in names for drawn in record) for record in records])
        assert share == pytest.approx(0.7, abs=0.08)


def test_the_three_kinds_of_noise_are_equally_likely_and_never_together() -> None:
    kinds = ("gaussian_noise", "speckle_noise", "salt_and_pepper")
    found = [[drawn["operation"] for drawn in record if drawn["operation"] in kinds] for record in many_records()]
    assert max(map(len, found)) == 1
    flat = [kind for record in found for kind in record]
    assert all(flat.count(kind) / len(flat) == pytest.approx(1 / 3, abs=0.09) for kind in kinds)


def test_operations_come_in_every_order() -> None:
    firsts = {record[0]["operation"] for record in many_records() if len(record) == 4}
    assert {"gaussian_blur", "low_resolution", "jpeg"} < firsts


def test_what_is_drawn_stays_inside_the_documented_ranges() -> None:
    ranges = {"kernel": (3, 7), "quality": (40, 100), "share": (0, 0.01), "height": (12, 24), "width": (12, 24)}
    for record in many_records():
        for drawn in record:
            for name, value in drawn.items():
                low, high = ranges.get(name, (0, 50))
                assert isinstance(value, str) or low <= value <= high
            if drawn["operation"] == "gaussian_blur":
                assert 1 <= float(drawn["sigma"]) <= 5
                assert drawn["kernel"] in (3, 5, 7)


def test_gaussian_noise_has_the_strength_it_says() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy, drawn = unstructured.gaussian_noise(grey, item_rng(1), (20, 20))
    assert float((noisy.astype(float) - 128).std()) == pytest.approx(float(drawn["sigma"]), rel=0.03)


def test_speckle_leaves_black_alone_and_is_strongest_in_white() -> None:
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 230, np.uint8)
    assert not unstructured.speckle_noise(black, item_rng(1), (40, 40))[0].any()
    assert unstructured.speckle_noise(white, item_rng(1), (40, 40))[0].std() > 15


def test_a_recipe_of_probability_zero_changes_nothing() -> None:
    untouched = degrade(CLEAN, PublishedRecipe(probability=0.0), item_rng(1))
    assert np.array_equal(untouched.image, CLEAN)
    assert untouched.record == []


def test_the_clean_photo_itself_is_never_written_to() -> None:
    before = CLEAN.copy()
    degrade(CLEAN, replace(SCRATCHED, probability=1.0), item_rng(3))
    assert np.array_equal(CLEAN, before)


def test_damaged_pixels_are_white_and_only_they() -> None:
    mask = scratch_mask(64, 80, ScratchMasks(probability=1.0), item_rng(5))
    holed = paint_white(np.zeros((64, 80, 3), np.uint8), mask)
    assert mask.any()
    assert np.array_equal(holed.all(axis=2), mask)
    assert np.array_equal(holed.any(axis=2), mask)


def test_scratches_are_as_wide_as_asked() -> None:
    thin = scratch_mask(256, 256, ScratchMasks(probability=1.0, strokes=(1, 1), width=(1, 1), bend=0.0), item_rng(2))
    wide = scratch_mask(256, 256, ScratchMasks(probability=1.0, strokes=(1, 1), width=(6, 6), bend=0.0), item_rng(2))
    assert 4 < wide.sum() / thin.sum() < 9


def test_half_of_the_masks_are_empty_by_default() -> None:
    empty = [not scratch_mask(32, 32, ScratchMasks(), item_rng(item)).any() for item in range(300)]
    assert np.mean(empty) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (17, 5, 3)])
def test_photos_of_any_size_can_be_made_old(shape: tuple[int, int, int]) -> None:
    for item in range(20):
        aged = degrade(np.full(shape, 99, np.uint8), SCRATCHED, item_rng(item))
        assert aged.image.shape == shape
        assert aged.mask.shape == shape[:2]


@pytest.mark.parametrize(
    "nonsense",
    [
        {"probability": 1.5},
        {"blur_kernels": (4,)},
        {"blur_sigma": (5.0, 1.0)},
        {"noise_sigma": (0.0, 10.0)},
        {"resolution": (0.5, 2.0)},
        {"jpeg_quality": (40, 101)},
        {"salt_and_pepper": -0.1},
    ],
)
def test_a_recipe_refuses_nonsense_and_names_the_field(nonsense: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(nonsense))):
        PublishedRecipe(**nonsense)  # type: ignore[arg-type]


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="published"):
        recipe_named("publsihed")
