"""Ablations: what of the method is left out, as changes of every stage's config, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from oldphoto_core.errors import ConfigError
from oldphoto_core.training.config import Ramp, StageName


@dataclass(frozen=True, kw_only=True, slots=True)
class Ablation:
    """One part of the method, left out."""

    row: str
    """What tables call the model."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `StageConfig`, in every stage."""
    left_out: frozenset[StageName] = frozenset()
    """Stages that are not trained."""


_APART: Mapping[str, Any] = {"latent_adversarial": Ramp(value=0.0)}

ABLATIONS: Mapping[str, Ablation] = MappingProxyType({
    "no-partial-nonlocal": Ablation(
        row="ours without the partial nonlocal block", changes={"partial_nonlocal": False}
    ),
    "one-autoencoder": Ablation(
        row="ours with one autoencoder for all domains", changes={"shared_autoencoder": True, **_APART}
    ),
    "no-latent-discriminator": Ablation(row="ours without the latent discriminator", changes=_APART),
    "no-joint": Ablation(row="ours without the stage joint", left_out=frozenset({"joint"})),
    "one-network": Ablation(
        row="ours with tone and structure in one network", changes={"target": "clean"}, left_out=frozenset({"tone"})
    ),
})  # fmt: skip
"""By name: those of the paper, and those of what is ours."""


def ablation_named(name: str) -> Ablation:
    """The ablation of this name; an empty one is none. Raises ConfigError, which lists those there are."""
    if not name:
        return Ablation(row="ours")
    if name not in ABLATIONS:
        raise ConfigError(f"no ablation is called {name!r}; there are: {', '.join(ABLATIONS)}")
    return ABLATIONS[name]
