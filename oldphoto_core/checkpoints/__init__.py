"""Weights on disk and in the registry: safetensors with a model card, digests verified on every load."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.checkpoints.card import ModelCard
    from oldphoto_core.checkpoints.photos import PHOTOS, SeenPhoto, photos_from_json, photos_of, photos_to_json
    from oldphoto_core.checkpoints.publishing import publish_version
    from oldphoto_core.checkpoints.registry import Promotion, Registry, place_of
    from oldphoto_core.checkpoints.store import (
        Detector,
        Model,
        imported_models,
        load_detector,
        load_model,
        load_tone,
        read_card,
        save_model,
        shipped_models,
        verify_model,
    )

__all__ = [
    "PHOTOS",
    "Detector",
    "Model",
    "ModelCard",
    "Promotion",
    "Registry",
    "SeenPhoto",
    "imported_models",
    "load_detector",
    "load_model",
    "load_tone",
    "photos_from_json",
    "photos_of",
    "photos_to_json",
    "place_of",
    "publish_version",
    "read_card",
    "save_model",
    "shipped_models",
    "verify_model",
]

# looked up when asked for: the registry's pointers are moved without torch
_HOMES = {"ModelCard": "card", "publish_version": "publishing"}
_HOMES |= dict.fromkeys(("Promotion", "Registry", "place_of"), "registry")
_HOMES |= dict.fromkeys(("PHOTOS", "SeenPhoto", "photos_from_json", "photos_of", "photos_to_json"), "photos")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'store')}"), name)
