"""Weights on disk: safetensors with a model card, digests verified on every load."""

from oldphoto_core.checkpoints.card import ModelCard
from oldphoto_core.checkpoints.store import (
    Detector,
    Model,
    imported_models,
    load_detector,
    load_model,
    read_card,
    save_model,
    shipped_models,
    verify_model,
)

__all__ = [
    "Detector",
    "Model",
    "ModelCard",
    "imported_models",
    "load_detector",
    "load_model",
    "read_card",
    "save_model",
    "shipped_models",
    "verify_model",
]
