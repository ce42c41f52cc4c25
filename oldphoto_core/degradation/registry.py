"""Recipes by name, and as JSON-ready records that are stored with whatever they made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass, replace
from typing import Any, get_type_hints

from oldphoto_core.degradation.archive import ArchiveRecipe, Operation
from oldphoto_core.degradation.mixed import MixedRecipe
from oldphoto_core.degradation.published import PublishedRecipe
from oldphoto_core.degradation.recipe import BEFORE, Recipe
from oldphoto_core.degradation.structured import ScratchMasks
from oldphoto_core.errors import ConfigError, UsageError

RECIPES: dict[str, type[Recipe]] = {recipe.name: recipe for recipe in (PublishedRecipe, ArchiveRecipe, MixedRecipe)}
"""Recipes by the names that records have."""
VARIANTS: dict[str, Callable[[], Recipe]] = {"well-kept": lambda: ArchiveRecipe().well_kept()}
"""More names for users. `well-kept`: `archive` of photos that lost little: what does restoring take from them?"""


def recipe_named(name: str) -> Recipe:
    """The recipe called `name` with its default ranges, or the variant; UsageError lists those there are."""
    known: dict[str, Callable[[], Recipe]] = {**RECIPES, **VARIANTS}
    if name not in known:
        raise UsageError(f"no recipe is called {name!r}; there are: {', '.join(sorted(known))}")
    return known[name]()


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """The recipe's name and settings as JSON-ready values."""
    return {"recipe": recipe.name, **asdict(recipe)}


def recipe_from_record(record: Mapping[str, Any]) -> Recipe:
    """The inverse of `recipe_record` after a trip through JSON; records without a name are of `published`.

    An operation that the record does not know, because it is younger, has probability 0; any other setting that it does
    not know has what its field says under `BEFORE`, or its default. ConfigError for an operation or setting that this
    version does not know, unless the operation never happens.
    """
    values = {name: value for name, value in record.items() if name != "recipe"}
    recipe: Recipe = _rebuilt(_class_named(record.get("recipe", PublishedRecipe.name)), values)
    return recipe


def _class_named(name: str) -> type[Recipe]:
    if name not in RECIPES:
        raise ConfigError(f"a recorded recipe is called {name!r}; there are: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]


def _rebuilt(config: type[Any], values: Mapping[str, Any]) -> Any:
    """A nested config from nested mappings; JSON knows no tuples, so lists are tuples again."""
    kinds = get_type_hints(config)
    given = {field.name: _value(field, kinds[field.name], values) for field in fields(config)}
    for name in values.keys() - given.keys():
        if not (isinstance(values[name], Mapping) and values[name].get("probability") == 0):
            raise ConfigError(
                f"{config.__name__} of a recorded recipe has {name!r}, which this version of oldphoto does not know;"
                " use the version that recorded it, or a later one"
            )
    return config(**given)


def _value(field: Field[Any], kind: Any, values: Mapping[str, Any]) -> Any:
    if field.name not in values and BEFORE in field.metadata:
        return field.metadata[BEFORE]
    if field.name not in values:
        default = field.default if field.default_factory is MISSING else field.default_factory()
        return replace(default, probability=0.0) if isinstance(default, Operation | ScratchMasks) else default
    value = values[field.name]
    if is_dataclass(kind) and isinstance(kind, type):
        return _rebuilt(kind, value)
    return tuple(value) if isinstance(value, list) else value
