"""Recipes with a library of film damage: what training draws of it, and what the tables of results draw."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from oldphoto_core.degradation.archive import ArchiveRecipe, Damage, FilmDamage, outlines_digest
from oldphoto_core.degradation.archive.film_damage import GIVEN_PROBABILITY
from oldphoto_core.degradation.recipe import Recipe
from oldphoto_core.errors import ConfigError
from oldphoto_core.storage import Bucket

R = TypeVar("R", bound=Recipe)


def with_film_damage(recipe: R, library: Bucket) -> R:
    """`recipe` with film damage of the outlines in `library`, in each of its parts that can have it.

    Raises:
        ConfigError: no part of the recipe has the operation `film_damage`, as in `published`.
        SourceMissing, StorageError: as `outlines_digest`.
    """
    if not has_film_damage(recipe):
        raise ConfigError(
            f"the recipe {recipe.name} has no operation film_damage that could draw the outlines in {library.url}; give"
            " the recipe archive or mixed, or no outlines"
        )
    changed: R = _replaced(recipe, _drawn_from(library))
    return changed


def has_film_damage(recipe: Recipe) -> bool:
    """Whether some part of the recipe has the operation, be it on or off."""
    return _has(recipe)


def held_out_film_damage(library: Bucket) -> ArchiveRecipe:
    """The recipe `archive` with film damage alone, in every photo, of the outlines that no training draws: for tables.

    Raises as `with_film_damage`.
    """
    alone = replace(_drawn_from(library), probability=1.0, part="held_out")
    return ArchiveRecipe(damage=replace(Damage().never(), film_damage=alone)).only_damage()


def _drawn_from(library: Bucket) -> FilmDamage:
    digest = outlines_digest(library)
    return FilmDamage(probability=GIVEN_PROBABILITY, outlines=library.url, outlines_sha256=digest)


def _has(config: Any) -> bool:
    parts = [getattr(config, each.name) for each in fields(config)]
    return any(isinstance(part, FilmDamage) or (is_dataclass(part) and _has(part)) for part in parts)


def _replaced(config: Any, given: FilmDamage) -> Any:
    """The config with `given` in place of every film damage in it; ranges that were changed stay."""
    changes: dict[str, Any] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        if isinstance(value, FilmDamage):
            probability = value.probability or given.probability
            changes[each.name] = replace(
                value, probability=probability, outlines=given.outlines, outlines_sha256=given.outlines_sha256
            )
        elif is_dataclass(value):
            changes[each.name] = _replaced(value, given)
    return replace(config, **changes)
