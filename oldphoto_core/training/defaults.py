"""How each stage is trained unless more is said: its config per preset."""

from __future__ import annotations

import dataclasses
from typing import Any

from oldphoto_core.degradation import ArchiveRecipe, MixedRecipe
from oldphoto_core.errors import ConfigError
from oldphoto_core.nets.presets import PresetName, preset_named
from oldphoto_core.training.config import BASELINES, STAGES, Ramp, StageConfig, StageName


def _compact(stage: StageName) -> StageConfig:
    base = StageConfig(
        stage=stage, steps=3000, crop=64, recipe=MixedRecipe(), canvas=256, crops_of_canvas=4, target="toned",
        monochrome_share=0.5, least_scale=1 / 3, crop_draws=3, precision="auto",
    )  # fmt: skip
    if stage == "scratches":
        return dataclasses.replace(
            base, steps=10_000, batch=6, crop=256, recipe=ArchiveRecipe(), canvas=768, crops_of_canvas=6,
            canvases_kept=400, learning_rate=1.5e-3, betas=(0.9, 0.999), precision="bfloat16", target="clean",
            monochrome_share=0.0, least_scale=1.0, crop_draws=1, halved_share=0.2, averaging=0.998,
        )  # fmt: skip
    if stage in BASELINES:
        return _baseline(stage, _compact("mapping"))
    if stage == "vae_old":
        return dataclasses.replace(base, latent_adversarial=Ramp(value=0.02, start=500, warm=500))
    if stage == "vae_clean":
        return dataclasses.replace(base, steps=1600, start_from="vae_old", learning_rate=7e-4)
    if stage == "joint":
        return dataclasses.replace(
            base, steps=3000, crop=96, learning_rate=8e-4, averaging=0.998, kl=Ramp(value=1e-4), warm_up=50,
            detail=True, balanced=True,
            latent_distance=Ramp(value=0.05), latent_adversarial=Ramp(value=0.01, start=300, warm=300),
        )  # fmt: skip
    return dataclasses.replace(base, steps=9000, batch=8, crop=128, crops_of_canvas=2)


def _paper(stage: StageName) -> StageConfig:
    """The published recipe: Adam 0.5/0.999, 2e-4, constant then linear, adversarial terms from the first step."""
    published = StageConfig(
        stage=stage, preset="paper", steps=11_400, batch=100, crop=256, learning_rate=2e-4, betas=(0.5, 0.999),
        warm_up=0, decay="linear", clip_gradient=0.0, latent_noise=Ramp(value=1.0), kl=Ramp(value=1.0),
        adversarial=Ramp(value=1.0),
        feature_matching=Ramp(value=10.0), pixel=0.0, latent_distance=Ramp(value=60.0),
    )  # fmt: skip
    if stage == "scratches":
        # the published training of the detector was never released: data and recipe are ours, the network is theirs
        return dataclasses.replace(
            published, steps=10_000, batch=36, recipe=ArchiveRecipe(), canvas=512, crops_of_canvas=4,
            adversarial=Ramp(value=0.0), feature_matching=Ramp(value=0.0),
        )  # fmt: skip
    if stage in BASELINES:
        return _baseline(stage, _paper("mapping"))
    if stage == "vae_old":
        return dataclasses.replace(published, latent_adversarial=Ramp(value=1.0))
    if stage == "vae_clean":
        return dataclasses.replace(published, steps=9_600, batch=120)
    if stage == "joint":
        # not of the paper, whose stages end with the mapping: its losses at a tenth of its learning rate
        return dataclasses.replace(
            published, steps=4_000, batch=36, learning_rate=2e-5, latent_adversarial=Ramp(value=1.0)
        )
    return dataclasses.replace(published, steps=39_700, batch=36)


def _tone(preset: PresetName) -> StageConfig:
    """The same network and training beside networks of any shape."""
    return StageConfig(
        stage="tone", preset=preset, steps=4000, batch=32, crop=128, recipe=MixedRecipe(), monochrome_share=0.5,
        averaging=0.998,
    )  # fmt: skip


def _baseline(stage: StageName, mapping: StageConfig) -> StageConfig:
    """The pairs, crops and steps of `mapping`, with the optimiser and the weights that the baseline was published with.

    `cyclegan` sees the crops without the pairs, and its target is the clean photo: it knows no degraded ones.
    """
    base = dataclasses.replace(
        mapping, stage=stage, learning_rate=2e-4, betas=(0.5, 0.999), warm_up=0, decay="linear", clip_gradient=0.0,
        pixel=100.0, latent_distance=Ramp(value=0.0), adversarial=Ramp(value=1.0), feature_matching=Ramp(value=0.0),
    )  # fmt: skip
    if stage == "cyclegan":
        return dataclasses.replace(base, target="clean", reconstruction=10.0, identity=5.0)
    if stage == "attention":
        return dataclasses.replace(
            base, learning_rate=1e-3, betas=(0.9, 0.99), decay="cosine", pixel=1.0, adversarial=Ramp(value=0.0)
        )
    return base


def default_config(stage: StageName, preset: str = "compact", **changes: Any) -> StageConfig:
    """The stage's config in a preset, with `changes` applied; ConfigError names what it refuses."""
    if stage not in (*STAGES, *BASELINES):
        raise ConfigError(f"no training stage is called {stage!r}; there are: {', '.join((*STAGES, *BASELINES))}")
    if stage == "tone":
        return dataclasses.replace(_tone(preset_named(preset).name), **changes)
    preset_named(preset)
    base = _paper(stage) if preset == "paper" else dataclasses.replace(_compact(stage), preset=preset)
    return dataclasses.replace(base, **changes)
