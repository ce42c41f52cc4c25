"""Recipes: which defects, how strong, how often, in what order; one seed per item."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation import unstructured
from oldphoto_core.degradation.structured import ScratchMasks, paint_white, scratch_mask
from oldphoto_core.degradation.unstructured import Image, Record
from oldphoto_core.errors import ConfigError, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRecipe:
    """The on-line degradation of the paper's training: four operations in random order, each with probability 0.7."""

    probability: float = 0.7
    """How often each of the four operations happens, independently."""
    blur_kernels: tuple[int, ...] = (3, 5, 7)
    """Sides of the Gaussian's window, in pixels, odd."""
    blur_sigma: tuple[float, float] = (1.0, 5.0)
    """Standard deviation of the Gaussian, in pixels."""
    noise_sigma: tuple[float, float] = (5.0, 50.0)
    """Standard deviation of Gaussian and speckle noise, in levels of 255."""
    salt_and_pepper: float = 0.01
    """The largest share of dead pixels."""
    resolution: tuple[float, float] = (0.5, 1.0)
    """To what share of its length each side is shrunk, independently."""
    jpeg_quality: tuple[int, int] = (40, 100)
    """Lowest and highest JPEG quality, inclusive."""
    scratches: ScratchMasks = field(default_factory=lambda: ScratchMasks(probability=0.0))
    """Irregular scratches painted white on top; none by default."""

    def __post_init__(self) -> None:
        """Refuses probabilities outside [0, 1], even kernels and empty ranges."""
        if not 0.0 <= self.probability <= 1.0:
            raise ConfigError(f"PublishedRecipe.probability is {self.probability}; give a number from 0 to 1")
        if not self.blur_kernels or any(kernel < 1 or kernel % 2 == 0 for kernel in self.blur_kernels):
            raise ConfigError(f"PublishedRecipe.blur_kernels is {self.blur_kernels}; give odd numbers of pixels")
        if not 0.0 <= self.salt_and_pepper <= 1.0:
            raise ConfigError(f"PublishedRecipe.salt_and_pepper is {self.salt_and_pepper}; give a share from 0 to 1")
        for name, most in (("blur_sigma", 100.0), ("noise_sigma", 255.0), ("resolution", 1.0), ("jpeg_quality", 100)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= most:
                raise ConfigError(f"PublishedRecipe.{name} is ({low}, {high}); give 0 < low <= high <= {most}")

    def unstructured_operations(self) -> list[Callable[[Image, np.random.Generator], tuple[Image, Record]]]:
        """The four operations, each already holding its ranges."""
        return [
            lambda image, rng: unstructured.gaussian_blur(image, rng, self.blur_kernels, self.blur_sigma),
            self._one_noise,
            lambda image, rng: unstructured.low_resolution(image, rng, self.resolution),
            lambda image, rng: unstructured.jpeg(image, rng, self.jpeg_quality),
        ]

    def _one_noise(self, image: Image, rng: np.random.Generator) -> tuple[Image, Record]:
        kind = int(rng.integers(3))
        if kind == 0:
            return unstructured.gaussian_noise(image, rng, self.noise_sigma)
        if kind == 1:
            return unstructured.speckle_noise(image, rng, self.noise_sigma)
        return unstructured.salt_and_pepper(image, rng, self.salt_and_pepper)


RECIPES: dict[str, Callable[[], PublishedRecipe]] = {"published": PublishedRecipe}
"""Recipes that users can name."""


def recipe_named(name: str) -> PublishedRecipe:
    """The recipe called `name` with its default ranges; UsageError lists those there are."""
    if name not in RECIPES:
        raise UsageError(f"no recipe is called {name!r}; there are: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()


@dataclass(frozen=True, slots=True)
class Degraded:
    """One item X with what was done to it."""

    image: NDArray[np.uint8]
    """HWC uint8, the degraded photo; damaged pixels white."""
    mask: NDArray[np.bool_]
    """HW bool, True = scratched."""
    record: list[Record]
    """The operations in the order in which they happened, with the values they drew."""


def degrade(clean: NDArray[np.uint8], recipe: PublishedRecipe, rng: np.random.Generator) -> Degraded:
    """Ages `clean_HWC uint8 RGB`; the same generator state gives the same bytes on every machine."""
    operations = recipe.unstructured_operations()
    image, record = clean, []
    for index in rng.permutation(len(operations)):
        if rng.random() < recipe.probability:
            image, drawn = operations[index](image, rng)
            record.append(drawn)
    mask = scratch_mask(clean.shape[0], clean.shape[1], recipe.scratches, rng)
    if mask.any():
        image = paint_white(image, mask)
        record.append({"operation": "scratches", "pixels": int(mask.sum())})
    return Degraded(image, mask, record)


def item_rng(seed: int, *name: str | int) -> np.random.Generator:
    """A generator that depends on the seed and the item's name alone, never on order or on the number of workers."""
    digest = hashlib.sha256("\0".join(map(str, (seed, *name))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def recipe_record(recipe: PublishedRecipe) -> dict[str, object]:
    """The recipe as JSON-ready values, to be stored with whatever it made."""
    return {"recipe": "published", **asdict(recipe)}
