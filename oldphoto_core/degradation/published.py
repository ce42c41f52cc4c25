"""The recipe `published`: what the paper's own training did to clean photos, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from oldphoto_core.degradation import unstructured
from oldphoto_core.degradation.recipe import Degraded, NamedSeeds
from oldphoto_core.degradation.structured import ScratchMasks, paint_white, scratch_mask
from oldphoto_core.degradation.unstructured import Image, Record
from oldphoto_core.errors import ConfigError

UnstructuredOperation = Callable[[Image, np.random.Generator], tuple[Image, Record]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRecipe:
    """The on-line degradation of the paper's training: four operations in random order, each with probability 0.7."""

    name: ClassVar[str] = "published"

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

    def unstructured_operations(self, seeds: NamedSeeds) -> dict[str, UnstructuredOperation]:
        """The four operations by name, each already holding its ranges; of the kinds of noise, one is drawn."""
        noises: dict[str, UnstructuredOperation] = {
            "gaussian_noise": lambda image, rng: unstructured.gaussian_noise(image, rng, self.noise_sigma),
            "speckle_noise": lambda image, rng: unstructured.speckle_noise(image, rng, self.noise_sigma),
            "salt_and_pepper": lambda image, rng: unstructured.salt_and_pepper(image, rng, self.salt_and_pepper),
        }
        return {
            "blur": lambda image, rng: unstructured.gaussian_blur(image, rng, self.blur_kernels, self.blur_sigma),
            "noise": noises[seeds.shuffled(list(noises))[0]],
            "low_resolution": lambda image, rng: unstructured.low_resolution(image, rng, self.resolution),
            "jpeg": lambda image, rng: unstructured.jpeg(image, rng, self.jpeg_quality),
        }

    def degrade(self, clean: Image, rng: np.random.Generator) -> Degraded:
        """Degrades `clean_HWC`; scratches, if any, come last and are white."""
        seeds = NamedSeeds(rng)
        operations = self.unstructured_operations(seeds)
        image, record = clean, []
        for name in seeds.shuffled(list(operations)):
            own = seeds.rng(name)
            if own.random() < self.probability:
                image, drawn = operations[name](image, own)
                record.append(drawn)
        mask = scratch_mask(clean.shape[0], clean.shape[1], self.scratches, seeds.rng("scratches"))
        if mask.any():
            image = paint_white(image, mask)
            record.append({"operation": "scratches", "pixels": int(mask.sum())})
        return Degraded(clean, clean, image, mask, mask, record)

    def toned(self, clean: Image, rng: np.random.Generator) -> Image:
        """The clean photo as it is: none of the operations changes its tone."""
        return clean

    def undamaged(self) -> PublishedRecipe:
        """The same without scratches."""
        return replace(self, scratches=replace(self.scratches, probability=0.0))

    def only_damage(self, *, scanned: bool = False) -> PublishedRecipe:
        """Scratches alone; scanning is not told apart from ageing in this recipe."""
        return replace(
            self,
            probability=self.probability if scanned else 0.0,
            scratches=replace(self.scratches, probability=1.0),
        )
