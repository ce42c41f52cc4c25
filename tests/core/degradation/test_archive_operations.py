"""Every operation of the recipe `archive` on its own: what it changes, how much, and that its mask is exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from outlines import outlines_folder
from photos import photo

from oldphoto_core.degradation import ArchiveRecipe, item_rng, with_film_damage
from oldphoto_core.degradation.archive import Damage, Operation, Outcome
from oldphoto_core.degradation.archive.blending import SEEN, blend, change
from oldphoto_core.degradation.archive.losses import Holes, Tape
from oldphoto_core.degradation.archive.optics import Jpeg
from oldphoto_core.degradation.archive.scratches import Hairs, Scratches
from oldphoto_core.degradation.archive.surface import Cracks, Folds
from oldphoto_core.degradation.archive.texture import Grain
from oldphoto_core.degradation.archive.tone import Fading, Toning
from oldphoto_core.errors import ConfigError
from oldphoto_core.storage import Bucket

LIBRARY = TemporaryDirectory()  # operations are parameters of tests, so their outlines are there before any fixture is
FILM_RECIPE = with_film_damage(ArchiveRecipe(), Bucket(str(outlines_folder(Path(LIBRARY.name)))))
EVERY = FILM_RECIPE.operations()
STRUCTURED = FILM_RECIPE.damage.operations()
OTHERS = [operation for operation in EVERY if operation not in STRUCTURED]
CLEAN = photo(3, 160, 144)
GREY = np.repeat(cv2.cvtColor(CLEAN, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)

each = pytest.mark.parametrize("operation", EVERY, ids=lambda operation: operation.name)
each_structured = pytest.mark.parametrize("operation", STRUCTURED, ids=lambda operation: operation.name)


def occur(operation: Operation, image: np.ndarray = CLEAN, severity: float = 0.6, item: int = 1) -> Outcome:
    return operation.occur(image, item_rng(1, operation.name, item), severity)[0]


def difference(operation: Operation, severity: float, items: int = 8) -> float:
    changes = [change(CLEAN, occur(operation, CLEAN, severity, item).image).mean() for item in range(items)]
    return float(np.mean(changes))


@each
def test_an_operation_alone_changes_the_picture_and_keeps_its_form(operation: Operation) -> None:
    before = CLEAN.copy()
    made = occur(operation, severity=1.0).image
    assert made.shape == CLEAN.shape
    assert made.dtype == np.uint8
    assert not np.array_equal(made, CLEAN)
    assert np.array_equal(CLEAN, before)


@each
def test_weak_changes_less_than_strong(operation: Operation) -> None:
    assert difference(operation, 0.0) < difference(operation, 1.0)


@each
def test_an_operation_is_the_same_for_the_same_seed_and_another_for_another(operation: Operation) -> None:
    assert np.array_equal(occur(operation).image, occur(operation).image)
    assert any(not np.array_equal(occur(operation).image, occur(operation, item=item).image) for item in (2, 3))


@each
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (7, 300, 3), (300, 7, 3)], ids=str)
def test_an_operation_takes_pictures_of_any_size(operation: Operation, shape: tuple[int, int, int]) -> None:
    for severity in (0.0, 1.0):
        made = occur(operation, np.full(shape, 120, np.uint8), severity)
        assert made.image.shape == shape
        assert made.mask is None or made.mask.shape == shape[:2]


@each
def test_what_an_operation_drew_lies_within_its_ranges(operation: Operation) -> None:
    for item in range(5):
        _, record = operation.occur(CLEAN, item_rng(1, item), 0.2 * item)
        assert record["operation"] == operation.name
        for name in set(record) & set(Operation.__dataclass_fields__ | type(operation).__dataclass_fields__):
            low, high = sorted(getattr(operation, name))
            assert low <= record[name] <= high


@each_structured
def test_a_mask_is_exact(operation: Operation) -> None:
    for item in range(4):
        made = occur(operation, CLEAN, 0.9, item)
        assert made.mask is not None
        changed = change(CLEAN, made.image)
        assert (changed[~made.mask] == 0).all()
        assert (changed[made.mask] > SEEN).all()


@pytest.mark.parametrize("operation", OTHERS, ids=lambda operation: operation.name)
def test_what_has_no_shape_has_no_mask(operation: Operation) -> None:
    made = occur(operation)
    assert made.mask is None
    assert made.lost is None


@pytest.mark.parametrize("name", ["stains", "foxing", "water_marks"])
def test_damage_below_which_the_picture_can_be_seen_needs_no_filling(name: str) -> None:
    made = occur(getattr(Damage(), name), severity=1.0)
    assert made.mask is not None
    assert made.mask.any()
    assert made.lost is None


def test_of_a_fold_only_the_line_is_lost_not_the_shading() -> None:
    made = occur(Folds(), severity=1.0)
    assert made.mask is not None
    assert made.lost is not None
    assert 0 < made.lost.sum() < 0.5 * made.mask.sum()


def test_a_hole_is_lost_also_where_it_looks_like_the_picture() -> None:
    white = np.full((128, 128, 3), 246, np.uint8)
    made = [occur(Holes(count=(5, 5), size=(0.05, 0.05)), white, 1.0, item) for item in range(6)]
    assert all(each.lost is not None and each.lost.any() for each in made)
    assert any((each.lost & ~each.mask).any() for each in made if each.lost is not None and each.mask is not None)


def test_only_opaque_tape_must_be_filled() -> None:
    yellowed, opaque = occur(Tape(opaque=0.0)), occur(Tape(opaque=1.0))
    assert yellowed.lost is None
    assert opaque.lost is not None
    assert opaque.lost.any()


@pytest.mark.parametrize("operation", [each for each in EVERY if not each.tints], ids=lambda operation: operation.name)
def test_a_grey_picture_stays_grey(operation: Operation) -> None:
    made = occur(operation, GREY, 0.8).image
    assert np.array_equal(made[..., 0], made[..., 1])
    assert np.array_equal(made[..., 0], made[..., 2])


def test_toning_gives_a_grey_picture_colour() -> None:
    made = occur(Toning(), GREY, 1.0).image.astype(int)
    assert np.abs(made[..., 0] - made[..., 2]).max() > 20


@pytest.mark.parametrize(
    "operation",
    [Scratches(width=(0.006, 0.006)), Hairs(width=(0.006, 0.006)), Cracks(width=(0.008, 0.008)), Folds()],
    ids=lambda operation: operation.name,
)
def test_a_defect_is_the_same_at_every_resolution(operation: Operation) -> None:
    spoiled, coverage = [], []
    for side in (256, 1024):
        grey = np.full((side, side, 3), 110, np.uint8)
        made = [occur(operation, grey, 0.8, item) for item in range(6)]
        spoiled.append(float(np.mean([change(grey, each.image).mean() for each in made])))
        # a pixel of the small picture that is partly covered counts as a whole one
        blocks = [each.mask.reshape(256, side // 256, 256, -1).any(axis=(1, 3)) for each in made]
        coverage.append(float(np.mean(blocks)))
    assert spoiled[1] == pytest.approx(spoiled[0], rel=0.3)
    assert coverage[1] == pytest.approx(coverage[0], rel=0.3)


def test_a_hairline_never_vanishes() -> None:
    thin = Scratches(width=(0.0001, 0.0001), length=(0.9, 0.9), opacity=(1.0, 1.0), dark=0.0)
    masks = [occur(thin, np.zeros((64, 64, 3), np.uint8), 0.5, item).mask for item in range(6)]
    assert all(mask is not None and mask.any() for mask in masks)


def test_grain_spares_white_and_is_strongest_in_the_middle() -> None:
    spread = [occur(Grain(), np.full((96, 96, 3), level, np.uint8), 1.0).image.std() for level in (0, 60, 150, 255)]
    assert spread[3] == 0
    assert spread[2] > spread[0]
    assert spread[2] > spread[1] > 1


def test_fading_lifts_the_blacks_and_takes_cyan_dye_first() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert (occur(Fading(fog=(0.0, 0.0)), ramp, 1.0).image >= ramp).all()
    colour = ramp.copy()
    colour[0, 0] = (1, 0, 0)  # one coloured pixel: a colour photograph
    made = [occur(Fading(), colour, 1.0, item).image[0, 100] for item in range(6)]
    assert all(red >= green and red >= blue for red, green, blue in np.asarray(made, int))


def test_the_blends_are_what_they_are_called() -> None:
    image, half = np.full((1, 1, 3), 100, np.float32), np.full((1, 1), 0.5, np.float32)
    made = {
        how: float(blend(image, (200.0,) * 3, half, how)[0, 0, 0]) for how in ("add", "lighten", "multiply", "cover")
    }
    assert made == pytest.approx(
        {"add": 200.0, "lighten": 150.0, "multiply": 100 - 50 * (1 - 200 / 255), "cover": 150.0}
    )
    assert float(blend(image, (50.0,) * 3, half, "lighten")[0, 0, 0]) == 100.0
    screened = 255 - 155 * 55 / 255
    assert float(blend(image, (200.0,) * 3, half, "screen")[0, 0, 0]) == pytest.approx((100 + screened) / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("operation", "nonsense"),
    [
        (Scratches(), {"probability": 1.5}),
        (Scratches(), {"width": (0.004, 0.001)}),
        (Scratches(), {"width": (0.0, 0.001)}),
        (Scratches(), {"width": (0.001, float("nan"))}),
        (Jpeg(), {"quality": (40, 90)}),
        (Jpeg(), {"quality": (90, 0)}),
        (Folds(), {"count": (1, 2, 3)}),
        (Folds(), {"width": 0.002}),
        (Folds(), {"width": ("thin", "wide")}),
        (Tape(), {"opaque": -0.1}),
    ],
    ids=str,
)
def test_an_operation_refuses_nonsense_and_names_the_field(operation: Operation, nonsense: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"{type(operation).__name__}.{next(iter(nonsense))} is"):
        replace(operation, **nonsense)
