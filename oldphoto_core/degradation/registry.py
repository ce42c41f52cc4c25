"""Recipes by name, and as JSON-ready records that are stored with whatever they made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_type_hints

from oldphoto_core.degradation.archive import ArchiveRecipe
from oldphoto_core.degradation.mixed import MixedRecipe
from oldphoto_core.degradation.published import PublishedRecipe
from oldphoto_core.degradation.recipe import Recipe
from oldphoto_core.errors import UsageError

RECIPES: dict[str, type[Recipe]] = {recipe.name: recipe for recipe in (PublishedRecipe, ArchiveRecipe, MixedRecipe)}
"""Recipes that users can name."""


def recipe_named(name: str) -> Recipe:
    """The recipe called `name` with its default ranges; UsageError lists those there are."""
    return _class_named(name)()


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """The recipe's name and settings as JSON-ready values."""
    return {"recipe": recipe.name, **asdict(recipe)}


def recipe_from_record(record: Mapping[str, Any]) -> Recipe:
    """The inverse of `recipe_record` after a trip through JSON; records without a name are of `published`."""
    values = {name: value for name, value in record.items() if name != "recipe"}
    recipe: Recipe = _rebuilt(_class_named(record.get("recipe", PublishedRecipe.name)), values)
    return recipe


def _class_named(name: str) -> type[Recipe]:
    if name not in RECIPES:
        raise UsageError(f"no recipe is called {name!r}; there are: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]


def _rebuilt(config: type[Any], values: Mapping[str, Any]) -> Any:
    """A nested config from nested mappings; JSON knows no tuples, so lists are tuples again."""
    kinds = get_type_hints(config)
    given: dict[str, Any] = {}
    for field in fields(config):
        value = values[field.name]
        kind = kinds[field.name]
        given[field.name] = _rebuilt(kind, value) if isinstance(value, dict) else value
        if isinstance(value, list):
            given[field.name] = tuple(value)
    return config(**given)
