"""The recipe `archive`: what real collections show, one operation a defect, each structured one with its exact mask."""

from oldphoto_core.degradation.archive.operation import Operation, Outcome
from oldphoto_core.degradation.archive.recipe import Ageing, ArchiveRecipe, Damage, Making, Scanning

__all__ = ["Ageing", "ArchiveRecipe", "Damage", "Making", "Operation", "Outcome", "Scanning"]
