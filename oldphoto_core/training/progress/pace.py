"""How long a step of a stage takes, and a stage's settings for fewer steps than usual."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import Any, cast

import torch
from torch import nn

from oldphoto_core.devices import keep_freed_memory, resolve_device
from oldphoto_core.nets.architectures import BASELINES
from oldphoto_core.nets.presets import preset_named
from oldphoto_core.nets.rivals.cyclegan import BothWays
from oldphoto_core.nets.tone import ToneNet
from oldphoto_core.storage import Bucket
from oldphoto_core.training.config import Ramp, StageConfig
from oldphoto_core.training.joint import JointStage
from oldphoto_core.training.photos.batches import Batches
from oldphoto_core.training.pix2pix import Pix2PixStage
from oldphoto_core.training.provenance import pinned
from oldphoto_core.training.rivals import CycleGanStage
from oldphoto_core.training.run import split
from oldphoto_core.training.stages import Stage, make_stage
from oldphoto_core.training.tone import ToneBatches, ToneStage

STEPS = 3
"""That are timed, after one that warms everything up."""


def cpu_seconds_a_step(
    config: StageConfig, clean: Bucket, old: Bucket, device: str = "auto", steps: int = STEPS
) -> float:
    """CPU seconds of this process for one step with its batch, of networks with fresh weights.

    Raises as `train_stage` where photos are missing. Validations and checkpoints are not counted.
    """
    keep_freed_memory()
    device = resolve_device(device)
    config = replace(pinned(config, device), steps=steps + 1)
    torch.manual_seed(config.seed)
    photos = [split(source, config.holdout).training for source in (clean, old)]
    kind = ToneBatches if config.stage == "tone" else Batches
    batches, stage = kind(config, photos[0], photos[1]), _fresh(config, device)
    stage.step(batches.batch(0), steps)
    started = time.process_time()
    for step in range(steps):
        # terms that begin late are part of most steps, so the last step of the schedule is timed
        stage.step(batches.batch(step + 1), steps)
    return (time.process_time() - started) / steps


def _fresh(config: StageConfig, device: str) -> Stage:
    preset = preset_named(config.preset)
    if config.stage == "cyclegan":
        return CycleGanStage(config, BothWays(preset.cyclegan), device)
    if config.stage in BASELINES:
        network = BASELINES[config.stage](preset).network()
        return Pix2PixStage(config, cast(nn.Module, network.generator), device, workers=1)
    if config.stage == "tone":
        return ToneStage(config, ToneNet(), device)
    triplet = preset.triplet(partial_nonlocal=config.partial_nonlocal, detail=config.detail)
    if config.stage == "joint":
        return JointStage(config, triplet, device)
    return make_stage(config, triplet, device)


def shortened(config: StageConfig, steps: int) -> StageConfig:
    """The config for so many steps: terms begin and rise at the same share of the training, at least a tenth of which
    lies between checkpoints, and a quarter between validations."""
    share = steps / config.steps
    ramps: dict[str, Any] = {
        each.name: Ramp(value=ramp.value, start=round(ramp.start * share), warm=round(ramp.warm * share))
        for each in fields(config)
        if isinstance(ramp := getattr(config, each.name), Ramp)
    }
    return replace(
        config, steps=steps, warm_up=min(config.warm_up, round(config.warm_up * share)),
        validate_every=min(config.validate_every, max(1, steps // 4)),
        checkpoint_every=min(config.checkpoint_every, max(1, steps // 10)), **ramps,
    )  # fmt: skip
