"""The recipe `mixed`: some photos degraded as archives show them, some by the published recipe, some hardly.

A model that has only seen mild ageing leaves strong noise where it is, one that has only seen noise knows no fading,
and one that has only seen grainy photos takes sand, cloth and skin for grain: models for unknown collections are
trained on all three.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from oldphoto_core.degradation.archive import ArchiveRecipe
from oldphoto_core.degradation.published import PublishedRecipe
from oldphoto_core.degradation.recipe import BEFORE, Degraded, Recipe
from oldphoto_core.degradation.unstructured import Image
from oldphoto_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedRecipe:
    """One of two recipes for each photo."""

    name: ClassVar[str] = "mixed"

    published_share: float = 0.35
    """Share of photos that `published` degrades."""
    well_kept_share: float = field(default=0.5, metadata={BEFORE: 0.0})
    """Share of the others that are well kept (`ArchiveRecipe.well_kept`)."""
    archive: ArchiveRecipe = field(default_factory=ArchiveRecipe)
    """The recipe of the others."""
    published: PublishedRecipe = field(default_factory=PublishedRecipe)
    """The recipe of that share."""

    def __post_init__(self) -> None:
        """Refuses a share outside [0, 1]."""
        for name in ("published_share", "well_kept_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"MixedRecipe.{name} is {getattr(self, name)}; give a share from 0 to 1")

    def degrade(self, clean: Image, rng: np.random.Generator) -> Degraded:
        """Degrades `clean_HWC` by the one or the other."""
        return self._drawn(rng).degrade(clean, rng)

    def toned(self, clean: Image, rng: np.random.Generator) -> Image:
        """What the one or the other does to its tone."""
        return self._drawn(rng).toned(clean, rng)

    def _drawn(self, rng: np.random.Generator) -> Recipe:
        # one draw decides both, so that a share of 0 leaves every other photo what it was
        place = rng.random() - self.published_share
        if place < 0:
            return self.published
        is_well_kept = place < self.well_kept_share * (1 - self.published_share)
        return _well_kept(self.archive) if is_well_kept else self.archive

    def undamaged(self) -> MixedRecipe:
        """Both without anything that must be filled."""
        return replace(self, archive=self.archive.undamaged(), published=self.published.undamaged())

    def only_damage(self, *, scanned: bool = False) -> MixedRecipe:
        """Damage alone, by the one or the other."""
        return replace(
            self,
            archive=self.archive.only_damage(scanned=scanned),
            published=self.published.only_damage(scanned=scanned),
        )


@lru_cache(maxsize=8)
def _well_kept(recipe: ArchiveRecipe) -> ArchiveRecipe:
    return recipe.well_kept()
