"""What a model came from, for its card: the photos by digest, the weights it began with, the code that trained it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any

import torch

from oldphoto_core.checkpoints import Registry, SeenPhoto, read_card
from oldphoto_core.checkpoints.registry import is_reference
from oldphoto_core.degradation import Recipe, open_pairs, recipe_from_record, recipe_record, with_film_damage
from oldphoto_core.devices import multiplies_bfloat16, resolve_device
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.parallel import map_objects
from oldphoto_core.training.config import CONFIG, StageConfig
from oldphoto_core.training.photos.batches import PhotoSet
from oldphoto_core.training.photos.pair_set import with_pairs


def pinned(config: StageConfig, device: str = "auto", folder: Bucket | None = None) -> StageConfig:
    """The config with `champion` as the version that it means now, the pairs and outlines that lie in their folders
    now, the arithmetic that `auto` is on `device`, and without operations that are younger than a training in `folder`.

    A resumed training must begin alike. Raises as `open_pairs`, `with_pairs` and `with_film_damage`.
    """
    if config.precision == "auto":
        fast = multiplies_bfloat16(resolve_device(device))
        config = replace(config, precision="bfloat16" if fast else "float32")
    if config.pairs is not None:
        config = with_pairs(config, open_pairs(Bucket(config.pairs)))
    config = with_outlines(config)
    if folder is not None and folder.info(CONFIG) is not None:
        config = replace(config, recipe=_as_begun(config.recipe, json.loads(folder.read(CONFIG))["recipe"]))
        # outlines that the training has not begun with are refused later, not left out
        config = with_outlines(config)
    if config.start_model is None or not is_reference(config.start_model):
        return config
    return replace(config, start_model=Registry().exact(config.start_model))


def with_outlines(config: StageConfig) -> StageConfig:
    """The config whose recipe draws the outlines that were given, if any; raises as `with_film_damage`."""
    if config.outlines is None:
        return config
    library = Bucket(config.outlines)
    return replace(config, outlines=library.url, recipe=with_film_damage(config.recipe, library))


def _as_begun(recipe: Recipe, record: dict[str, Any]) -> Recipe:
    """The recipe of a training's record, if `recipe` differs from it only by operations that the record does not know;
    otherwise `recipe`, which is refused later."""
    begun = recipe_from_record(record)
    return begun if recipe_from_record(_known_to(record, recipe_record(recipe))) == begun else recipe


def _known_to(record: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Those of nested values whose names are in `record`, too."""
    return {
        name: _known_to(record[name], value) if isinstance(value, dict) and isinstance(record[name], dict) else value
        for name, value in values.items()
        if name in record
    }


def parent_of(config: StageConfig) -> dict[str, str]:
    """Model and digest of the weights that a stage begins with; empty for its own."""
    if config.start_model is None:
        return {}
    return {"model": config.start_model, "weights_sha256": read_card(config.start_model).weights_sha256}


def seen_in(photos: PhotoSet) -> list[SeenPhoto]:
    """Every photo of a set that could be read, in the order of its keys, with the version and the sha256 it has now."""
    # listed before they are read: one that changes in between is read again by who compares versions
    versions = {entry.key: entry.version for entry in photos.bucket.list()}
    keys = [key for key in photos.keys if key not in photos.unreadable]
    digests = map_objects(photos.bucket.sha256, keys)
    return [
        SeenPhoto(photos.bucket.url, key, versions.get(key, ""), digest)
        for key, digest in zip(keys, digests, strict=True)
    ]


def data_record(seen: Sequence[SeenPhoto]) -> dict[str, Any]:
    """Where the photos of one set lie, how many, and the sha256 of their `sha256sum` lines (`<sha256>  <key>`)."""
    digest = hashlib.sha256("".join(f"{photo.sha256}  {photo.key}\n" for photo in seen).encode())
    return {"url": seen[0].url, "photos": len(seen), "sha256": digest.hexdigest()}


def code_versions() -> dict[str, str]:
    """Of what computes."""
    return {
        "oldphoto": metadata.version("oldphoto"), "torch": torch.__version__, "python": platform.python_version(),
    }  # fmt: skip
