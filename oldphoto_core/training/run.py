"""Stages wired to data and to a place for their results: OUT/<stage>/ for each, OUT/model/ at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from oldphoto_core.checkpoints import ModelCard, save_model
from oldphoto_core.checkpoints.tensors import load_prefixed, pack, prefixed, unpack
from oldphoto_core.devices import keep_freed_memory, resolve_device
from oldphoto_core.errors import SourceMissing, TrainingError
from oldphoto_core.nets.presets import Triplet, preset_named
from oldphoto_core.storage import Bucket, is_image_key
from oldphoto_core.training.config import STAGES, StageConfig, default_config
from oldphoto_core.training.data import Batches, PhotoSet, split_keys
from oldphoto_core.training.loop import Progress, ValidationSet, refuse_other_config, run_stage
from oldphoto_core.training.stages import make_stage

TRAINED = "weights.safetensors"
NETWORK = {"vae_old": "vae_old", "vae_clean": "vae_clean", "mapping": "mapping"}


def _silent(step: int, steps: int, values: dict[str, float]) -> None:
    """Nobody watches."""


def train_stage(
    config: StageConfig,
    clean: Bucket,
    old: Bucket | None,
    out: Bucket,
    progress: Progress = _silent,
    device: str = "auto",
) -> dict[str, Any]:
    """Trains one stage, going on from its checkpoint; returns what it cost. Finished stages return at once.

    Raises TrainingError if an earlier stage or data are missing, or the settings differ from the checkpoint's.
    """
    folder = out.join(config.stage)
    finished = _finished(config, folder)
    if finished is not None:
        return finished
    keep_freed_memory()
    torch.manual_seed(config.seed)
    triplet = preset_named(config.preset).triplet(partial_nonlocal=config.partial_nonlocal)
    _load_earlier(config, triplet, out)
    training, held_out = split_keys(_image_keys(clean), config.holdout)
    batches = Batches(config, PhotoSet(clean, training), PhotoSet(old, _image_keys(old)) if old else None)
    validation = ValidationSet(config, PhotoSet(clean, held_out or training))
    folder.write("config.json", json.dumps(config.record(), indent=2).encode())
    stage = make_stage(config, triplet, resolve_device(device), workers=os.cpu_count() or 1)
    spent = run_stage(stage, config, batches, validation, folder, progress).record()
    result = {"config": config.record(), **spent, "photos": len(training), "held_out": len(held_out)}
    folder.write(TRAINED, pack(prefixed(NETWORK[config.stage], stage.networks["generator"]), result))
    return result


def train_all(
    configs: Sequence[StageConfig],
    clean: Bucket,
    old: Bucket,
    out: Bucket,
    progress_of: Callable[[StageConfig], Progress] = lambda config: _silent,
    *,
    name: str = "trained",
    device: str = "auto",
) -> ModelCard:
    """Every stage in order, then the model with its card in OUT/model/."""
    for config in configs:
        train_stage(config, clean, old, out, progress_of(config), device)
    return publish(configs[-1], out, name=name)


def publish(config: StageConfig, out: Bucket, *, name: str) -> ModelCard:
    """Puts the trained stages of `out` together as a model in OUT/model/; `config` is the mapping's."""
    triplet = preset_named(config.preset).triplet(partial_nonlocal=config.partial_nonlocal)
    results = {str(stage): _load_trained(stage, getattr(triplet, NETWORK[stage]), out) for stage in STAGES}
    card = ModelCard(
        name=name, preset=config.preset, partial_nonlocal=config.partial_nonlocal, weights_sha256="",
        created=datetime.now(UTC).date().isoformat(), training=results,
    )  # fmt: skip
    return save_model(out.join("model"), triplet, card)


def configs_for(stage: str, preset: str, **changes: Any) -> list[StageConfig]:
    """The configs of one stage, or of all three for `all`."""
    names: Sequence[Any] = STAGES if stage == "all" else (stage,)
    return [default_config(name, preset, **changes) for name in names]


def _image_keys(bucket: Bucket) -> list[str]:
    keys = [entry.key for entry in bucket.list() if is_image_key(entry.key)]
    if not keys:
        raise SourceMissing(f"{bucket.url} holds no photos (jpg, png, tif, webp); give a folder or bucket that does")
    return keys


def _finished(config: StageConfig, folder: Bucket) -> dict[str, Any] | None:
    if folder.info(TRAINED) is None:
        return None
    _, result = unpack(folder.read(TRAINED), f"{folder.url}/{TRAINED}")
    refuse_other_config(result["config"], config, folder)
    return result


def _load_earlier(config: StageConfig, triplet: Triplet, out: Bucket) -> None:
    if config.stage == "mapping":
        _load_trained("vae_old", triplet.vae_old, out)
        _load_trained("vae_clean", triplet.vae_clean, out)
    elif config.start_from:
        own = triplet.vae_old if config.stage == "vae_old" else triplet.vae_clean
        _load_trained(config.start_from, own, out)


def _load_trained(stage: str, network: torch.nn.Module, out: Bucket) -> dict[str, Any]:
    """Fills `network`; returns what the stage's training cost."""
    folder = out.join(stage)
    if folder.info(TRAINED) is None:
        raise TrainingError(
            f"stage {stage} has not been trained in {out.url}; run `oldphoto train {stage}` or `train all` first"
        )
    tensors, result = unpack(folder.read(TRAINED), f"{folder.url}/{TRAINED}")
    load_prefixed(NETWORK[stage], network, tensors, f"{folder.url}/{TRAINED}")
    return result
