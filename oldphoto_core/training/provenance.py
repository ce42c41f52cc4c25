"""What a model came from, for its card: the photos by digest, the weights it began with, the code that trained it."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import replace
from importlib import metadata
from typing import Any

import torch

from oldphoto_core.checkpoints import Registry, read_card
from oldphoto_core.checkpoints.registry import is_reference
from oldphoto_core.storage.parallel import map_objects
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.data import PhotoSet


def pinned(config: StageConfig) -> StageConfig:
    """The config with `champion` as the version that it means now: a resumed training must begin alike."""
    if config.start_model is None or not is_reference(config.start_model):
        return config
    return replace(config, start_model=Registry().exact(config.start_model))


def parent_of(config: StageConfig) -> dict[str, str]:
    """Model and digest of the weights that a stage begins with; empty for its own."""
    if config.start_model is None:
        return {}
    return {"model": config.start_model, "weights_sha256": read_card(config.start_model).weights_sha256}


def data_record(photos: PhotoSet) -> dict[str, Any]:
    """Where the photos lie, how many, and the sha256 of their sorted `sha256sum` lines (`<sha256>  <key>`)."""
    digest = hashlib.sha256()
    for key, found in zip(photos.keys, map_objects(photos.bucket.sha256, photos.keys), strict=True):
        digest.update(f"{found}  {key}\n".encode())
    return {"url": photos.bucket.url, "photos": len(photos), "sha256": digest.hexdigest()}


def code_versions() -> dict[str, str]:
    """Of what computes."""
    return {
        "oldphoto": metadata.version("oldphoto"), "torch": torch.__version__, "python": platform.python_version(),
    }  # fmt: skip
