"""What a retraining is asked to do, and by what it judges."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oldphoto_core.degradation import recipe_named
from oldphoto_core.errors import ConfigError
from oldphoto_core.training.config import Ramp, StageConfig, StageName
from oldphoto_core.training.defaults import default_config

APART: tuple[StageName, ...] = ("vae_old", "mapping")
"""What is trained anew, in order: the alignment of the domains, and the mapping. The rest is the champion's."""
TOGETHER: tuple[StageName, ...] = ("joint",)
"""The same of a champion whose networks were trained together at the end, with terms for both."""
GENTLER = 0.3
"""Share of a first training's steps and of its learning rate: the weights are good already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrainConfig:
    """Where things lie, how much must be new, and when a challenger is better."""

    incoming: str
    """URL of the bucket in which old photos arrive."""
    clean: str
    """URL of the clean photos."""
    registry: str
    """URL of the registry that has the champion."""
    old: str | None = None
    """URL of earlier old photos that are not in `incoming` any more."""
    reviews: str | None = None
    """URL of a target whose masks curators corrected: photos of it judge, too."""

    minimum: int = 50
    """Photos of `incoming` that the champion has not seen, below which nothing is trained."""
    again: bool = False
    """Train even if the same new photos were tried against the same champion before."""
    new_share: float = 0.5
    """Share of the old photos drawn in training that are new ones."""
    held_out_share: float = 0.2
    """Share of the real photos that are never trained on but judged by, chosen by their digests: the same for ever."""
    clean_holdout: int = 40
    """Last clean photos of each name prefix that are judged by, as `StageConfig.holdout` has it."""

    recipes: tuple[str, ...] = ("published", "archive")
    """Degradations that are judged on; each without damage and with it."""
    crop: int = 256
    """Side of the centre crops of synthetic pairs and of latents."""
    seed: int = 7
    """Of the degradation in judging."""
    most_judged: int = 100
    """Photos of a set at most, the first by digest."""
    least_judged: int = 8
    """Photos of a set at least; with fewer nothing is promoted."""
    level: float = 0.95
    """Of all intervals together (Bonferroni): the chance that a model which is no better is promoted is at most the
    rest."""
    gap_resamples: int = 200
    """Of the bootstrap of the latent domain gap, which costs seconds a hundred."""
    tolerance_psnr: float = 0.1
    """Most that may be lost on synthetic pairs, in dB."""
    tolerance_niqe: float = 0.3
    """Most by which real photos may become less natural."""
    tolerance_gap: float = 0.05
    """Most by which the latent domain gap may widen, in standard deviations."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of StageConfig to set in every stage, with plain values."""

    def __post_init__(self) -> None:
        """Refuses unknown recipes, and numbers that cannot work."""
        for name in ("minimum", "clean_holdout", "most_judged", "gap_resamples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"RetrainConfig.{name} is {getattr(self, name)}; give at least 1")
        if self.least_judged < 2:
            raise ConfigError(f"RetrainConfig.least_judged is {self.least_judged}; an interval needs at least 2")
        for name in ("new_share", "held_out_share", "level"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"RetrainConfig.{name} is {getattr(self, name)}; give a share between 0 and 1")
        for name in ("tolerance_psnr", "tolerance_niqe", "tolerance_gap"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"RetrainConfig.{name} is {getattr(self, name)}; give 0 or more")
        if not self.recipes:
            raise ConfigError("RetrainConfig.recipes is empty; name at least one")
        for recipe in self.recipes:
            recipe_named(recipe)
        # with patience, weights would be chosen by the very photos that judge them
        ours = {"stage", "preset", "start_model", "holdout", "patience"}
        known = {part.name for part in dataclasses.fields(StageConfig)} - ours
        for name in self.changes:
            if name not in known:
                raise ConfigError(f"RetrainConfig.changes has {name!r}, which is no field of StageConfig to change")

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return dataclasses.asdict(self) | {"changes": dict(self.changes), "recipes": list(self.recipes)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RetrainConfig:
        """The inverse of `record` after a trip through JSON."""
        return cls(**{**record, "recipes": tuple(record["recipes"])})

    def stages(self, preset: str, champion: str, before: Mapping[str, Any]) -> list[StageConfig]:
        """Settings of the stages, which begin with the weights of the model at `champion`.

        Args:
            preset: that of the champion.
            champion: its folder or URL.
            before: the settings that its last stage, mapping or joint, was trained with; partial nonlocal block, detail
                path and target stay as they were.
        """
        stages = TOGETHER if before.get("stage") == "joint" else APART
        return [self._stage(stage, preset, champion, before) for stage in stages]

    def _stage(self, stage: StageName, preset: str, champion: str, before: Mapping[str, Any]) -> StageConfig:
        first = default_config(stage, preset)
        changes: dict[str, Any] = {
            "start_model": champion, "holdout": self.clean_holdout,
            "partial_nonlocal": before.get("partial_nonlocal", True),
            # of a champion that was trained before there was a choice, the target is the clean photo
            "target": before.get("target", "clean"), "detail": stage == "joint" and before.get("detail", False),
            "steps": max(1, round(GENTLER * first.steps)), "learning_rate": GENTLER * first.learning_rate,
        }  # fmt: skip
        for name in ("latent_noise", "kl", "latent_adversarial"):
            # what rises slowly in a first training has risen already
            changes[name] = Ramp(value=getattr(first, name).value)
        return dataclasses.replace(first, **(changes | dict(self.changes)))
