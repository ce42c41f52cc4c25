"""Faded colour photos are colour photos; age and toning make no colour photos of black-and-white ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tinted import kind_of, neutral, painted, sepia

from oldphoto_core.degradation import ArchiveRecipe, degrade, item_rng
from oldphoto_core.degradation.archive.tone import TONERS, Toning
from oldphoto_core.degradation.recipe import turned_grey
from oldphoto_core.samples.collection import SAMPLES, Sample, read_clean

Pixels = NDArray[np.uint8]
COLOUR = [sample for sample in SAMPLES if not sample.grey]
CAT = next(sample for sample in SAMPLES if sample.key == "animals/cat.png")


def key_of(sample: Sample) -> str:
    return sample.key


def toned_through(grey: Pixels, toner: str) -> Pixels:
    class Only:
        """Draws that choose one toner, at full strength."""

        rng = np.random.default_rng(1)

        def draw(self, _operation: object, name: str) -> float:
            return {"strength": 1.0, "bleach": 0.0}[name]

        def choose(self, _name: str, _among: tuple[str, ...]) -> str:
            return toner

    return Toning().apply(grey, Only()).image  # type: ignore[arg-type]


def aged_unevenly(recipe: ArchiveRecipe) -> ArchiveRecipe:
    """The recipe with unevenly yellowed paper, and silver that came to the surface, in every photo."""
    yellowing = replace(recipe.ageing.yellowing, probability=1.0, uneven=(0.3, 0.4))
    mirroring = replace(recipe.ageing.silver_mirroring, probability=1.0)
    return replace(recipe, ageing=replace(recipe.ageing, yellowing=yellowing, silver_mirroring=mirroring))


@pytest.mark.parametrize("sample", COLOUR, ids=key_of)
def test_the_aged_colour_photos_of_the_demo_are_colour(sample: Sample) -> None:
    aged = degrade(read_clean(sample), sample.recipe(), item_rng(sample.seed, sample.key)).image
    assert kind_of(aged) == "colour"


@pytest.mark.parametrize("sample", COLOUR, ids=key_of)
def test_the_same_photos_turned_grey_before_they_aged_are_monochrome(sample: Sample) -> None:
    aged = degrade(turned_grey(read_clean(sample)), sample.recipe(), item_rng(sample.seed, sample.key)).image
    assert kind_of(aged) == "monochrome"


@pytest.mark.parametrize("toner", TONERS)
def test_a_toned_photo_is_monochrome(toner: str) -> None:
    assert kind_of(toned_through(turned_grey(read_clean(CAT)), toner)) == "monochrome"


@pytest.mark.parametrize("toner", sorted(set(TONERS) - {"cyanotype"}))  # blue under yellow paper cannot be told
def test_a_toned_photo_that_yellowed_unevenly_is_monochrome(toner: str) -> None:
    toned = toned_through(turned_grey(read_clean(CAT)), toner)
    recipe = aged_unevenly(replace(CAT, damage=("foxing",)).recipe())
    assert kind_of(degrade(toned, recipe, item_rng(1, toner)).image) == "monochrome"


@pytest.mark.parametrize("look", [neutral, sepia])
def test_a_hand_coloured_photo_that_faded_is_a_colour_photo(look) -> None:  # type: ignore[no-untyped-def]
    whole, grey = (pixels.astype(np.float32) for pixels in (painted(look(2)), look(2)))
    assert kind_of((0.5 * whole + 0.5 * grey).round().astype(np.uint8)) == "colour"


def test_what_lies_far_from_the_curve_makes_nothing_else_green() -> None:
    mounted = sepia(3)
    for edge in (mounted[:16], mounted[-16:], mounted[:, :16], mounted[:, -16:]):
        edge[:] = (250, 20, 240)
    assert kind_of(mounted) == "monochrome"
