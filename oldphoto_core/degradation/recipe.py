"""What every recipe is: typed ranges that make one clean photo old, from one generator per item."""

from __future__ import annotations

import hashlib
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation.unstructured import Record


@dataclass(frozen=True, slots=True)
class Degraded:
    """One item X with what was done to it."""

    image: NDArray[np.uint8]
    """HWC uint8, the degraded photo. Damage has its own look, which in the recipe `published` is white; who hands the
    mask to a mapping paints it white (`paint_white`)."""
    mask: NDArray[np.bool_]
    """HW bool, True = damaged: to be found, and to be filled from elsewhere."""
    visible: NDArray[np.bool_]
    """HW bool, the part of the mask that can be told from the picture around it. The rest is damaged all the same:
    faint dust on gravel, a hole in a white sky."""
    record: list[Record]
    """The operations in the order in which they happened, with the values they drew."""


class Recipe(Protocol):
    """Which defects, how strong, how often, in what order: a frozen dataclass, to be stored and compared."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    name: ClassVar[str]
    """What users call it."""

    def degrade(self, clean: NDArray[np.uint8], rng: np.random.Generator) -> Degraded:
        """Ages `clean_HWC uint8 RGB` of any size from 1 x 1; whatever is drawn comes from `rng`."""

    def undamaged(self) -> Self:
        """The same recipe without anything that must be filled: its masks are empty."""

    def only_damage(self, *, scanned: bool = False) -> Self:
        """Always damage and nothing else, for photos that have aged already; `scanned`: then scanned once more."""


def degrade(clean: NDArray[np.uint8], recipe: Recipe, rng: np.random.Generator) -> Degraded:
    """Ages `clean_HWC uint8 RGB`; the same generator state gives the same bytes on every machine."""
    return recipe.degrade(clean, rng)


def item_rng(seed: int, *name: str | int) -> np.random.Generator:
    """A generator that depends on the seed and the item's name alone, never on order or on the number of workers."""
    digest = hashlib.sha256("\0".join(map(str, (seed, *name))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
