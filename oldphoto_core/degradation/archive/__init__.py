"""The recipe `archive`: what real collections show, one operation a defect, each structured one with its exact mask."""

from oldphoto_core.degradation.archive.film_damage import FilmDamage
from oldphoto_core.degradation.archive.operation import Operation, Outcome
from oldphoto_core.degradation.archive.outlines import outlines_digest
from oldphoto_core.degradation.archive.recipe import Ageing, ArchiveRecipe, Damage, Making, Scanning

__all__ = [
    "Ageing",
    "ArchiveRecipe",
    "Damage",
    "FilmDamage",
    "Making",
    "Operation",
    "Outcome",
    "Scanning",
    "outlines_digest",
]
