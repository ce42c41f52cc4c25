"""What every recipe is: typed ranges by which one clean photo is degraded, from one generator per item."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import Field, dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation.unstructured import Record


@dataclass(frozen=True, slots=True)
class Degraded:
    """One degraded photo X with what was done to it. All pictures have the size of the clean photo."""

    clean: NDArray[np.uint8]
    """HWC uint8, the clean photo Y; grey if it was degraded in one channel."""
    toned: NDArray[np.uint8]
    """HWC uint8, the clean photo with the tone operations of the same life applied, in the same order with the same
    draws: what is left when all structure has been restored."""
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
        """Degrades `clean_HWC uint8 RGB` of any size from 1 x 1; whatever is drawn comes from `rng`."""

    def toned(self, clean: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """`Degraded.toned` alone, HWC uint8: the same for a generator of the same state, at a fraction of the cost."""

    def undamaged(self) -> Self:
        """The same recipe without anything that must be filled: its masks are empty."""

    def only_damage(self, *, scanned: bool = False) -> Self:
        """Always damage and nothing else, for photos that have aged already; `scanned`: then scanned once more."""


def degrade(
    clean: NDArray[np.uint8], recipe: Recipe, rng: np.random.Generator, *, monochrome: bool = False
) -> Degraded:
    """Degrades `clean_HWC uint8 RGB`; the same generator state gives the same bytes on every machine.

    `monochrome`: as a photo of one channel. The photo is turned grey first, and one channel of all that is made of it
    counts, three times: noise is then as strong as in the recipe, and no operation gives colour.
    """
    if not monochrome:
        return recipe.degrade(clean, rng)
    made = recipe.degrade(turned_grey(clean), rng)
    return replace(made, image=_in_one_channel(made.image), toned=_in_one_channel(made.toned))


def toned(
    clean: NDArray[np.uint8], recipe: Recipe, rng: np.random.Generator, *, monochrome: bool = False
) -> NDArray[np.uint8]:
    """`degrade(...).toned` alone, HWC uint8, at a fraction of the cost."""
    if not monochrome:
        return recipe.toned(clean, rng)
    return _in_one_channel(recipe.toned(turned_grey(clean), rng))


def turned_grey(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The luminance of `photo_HWC uint8 RGB` as three equal channels."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).reshape(photo.shape[:2])
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8, copy=False)


def _in_one_channel(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Green, which weighs most in luminance. A mean of the channels would average their noise away."""
    return np.repeat(image[..., 1:2], 3, axis=2)


class NamedSeeds:
    """One photo's randomness, by the names of what is drawn: a name that is added changes no other's draws."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._seed = int(rng.integers(2**63))

    def rng(self, *name: str | int) -> np.random.Generator:
        """The generator of that name, from its start at each call."""
        return item_rng(self._seed, *name)

    def shuffled(self, names: Sequence[str]) -> list[str]:
        """The names in random order; where each pair stands to each other does not depend on the other names."""
        return sorted(names, key=lambda name: float(self.rng("order", name).random()))


BEFORE = "before"
"""Key of a field's metadata: what the setting was before there was one, for records that do not know it."""


def item_rng(seed: int, *name: str | int) -> np.random.Generator:
    """A generator that depends on the seed and the item's name alone, never on order or on the number of workers."""
    digest = hashlib.sha256("\0".join(map(str, (seed, *name))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
