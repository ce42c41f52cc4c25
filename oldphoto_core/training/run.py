"""Stages wired to data and to a place for their results: OUT/<stage>/ for each, OUT/model/ at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch

from oldphoto_core.checkpoints import PHOTOS, ModelCard, load_detector, load_model, photos_to_json
from oldphoto_core.checkpoints.tensors import pack, prefixed, unpack
from oldphoto_core.devices import keep_freed_memory, resolve_device
from oldphoto_core.errors import SourceMissing, TrainingError
from oldphoto_core.nets.presets import preset_named
from oldphoto_core.storage import Bucket, is_image_key
from oldphoto_core.training.assembling import NETWORK, TRAINED, load_trained, publish
from oldphoto_core.training.config import STAGES, StageConfig, default_config
from oldphoto_core.training.data import Batches, PhotoSet, Split, split_keys
from oldphoto_core.training.detection import DetectionBatches, DetectionStage, DetectionValidation
from oldphoto_core.training.loop import Progress, Validation, ValidationSet, refuse_other_config, run_stage
from oldphoto_core.training.provenance import code_versions, data_record, parent_of, pinned, seen_in
from oldphoto_core.training.stages import Stage, make_stage


def _silent(step: int, steps: int, values: dict[str, float]) -> None:
    """Nobody watches."""


def train_stage(
    config: StageConfig,
    clean: Bucket | Split,
    old: Bucket | Split | None,
    out: Bucket,
    progress: Progress = _silent,
    device: str = "auto",
) -> dict[str, Any]:
    """Trains one stage, going on from its checkpoint; returns what it cost. Finished stages return at once.

    `clean` and `old`: photos that are split by `config.holdout`, or that were split already.

    Raises TrainingError if an earlier stage or data are missing, or the settings differ from the checkpoint's.
    """
    config = pinned(config)
    folder = out.join(config.stage)
    finished = _finished(config, folder)
    if finished is not None:
        return finished
    parent = parent_of(config)
    keep_freed_memory()
    torch.manual_seed(config.seed)
    clean = _split(clean, config.holdout)
    training, held_out = clean.training, clean.held_out
    old = _split(old, config.holdout) if old else None
    old_training, old_held_out = (old.training, old.held_out) if old else (None, None)
    make = _detection if config.stage == "scratches" else _restoration
    stage, batches = make(config, training, old_training, out, resolve_device(device), os.cpu_count() or 1)
    if isinstance(stage, DetectionStage):
        validation: Validation = DetectionValidation(config, held_out, old_held_out)
    else:
        validation = ValidationSet(config, held_out)
    spent, last = run_stage(stage, config, batches, validation, folder, progress)
    seen = [seen_in(photos) for source in (training, old_training) if source for photos in source.sets()]
    result = {
        "config": config.record(), **spent.record(), **last,
        "photos": len(training), "held_out": len(held_out),
        "old_photos": len(old_training or ()), "old_held_out": len(old_held_out or ()),
        "data": [data_record(photos) for photos in seen], "parent": parent,
        "code": code_versions(),
    }  # fmt: skip
    folder.write(PHOTOS, photos_to_json(photo for photos in seen for photo in photos))
    with stage.averaged() as generator:
        folder.write(TRAINED, pack(prefixed(NETWORK[config.stage], generator), result))
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


def configs_for(stage: str, preset: str, **changes: Any) -> list[StageConfig]:
    """The configs of one stage, or of all of them for `all`."""
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


def _split(source: Bucket | Split, holdout: int) -> Split:
    """Photos to train on and photos to judge by; where there are too few to hold any out, they judge themselves."""
    if isinstance(source, Split):
        return source
    training, held_out = split_keys(_image_keys(source), holdout)
    return Split(PhotoSet(source, training), PhotoSet(source, held_out or training))


def _restoration(
    config: StageConfig, clean: PhotoSet, old: PhotoSet | None, out: Bucket, device: str, workers: int
) -> tuple[Stage, Batches]:
    triplet = preset_named(config.preset).triplet(partial_nonlocal=config.partial_nonlocal)
    if config.stage == "mapping":
        load_trained("vae_old", triplet.vae_old, out)
        load_trained("vae_clean", triplet.vae_clean, out)
    own = getattr(triplet, NETWORK[config.stage])
    if config.start_model:
        given = load_model(config.start_model)
        if given.card.preset != config.preset:
            raise TrainingError(
                f"model {config.start_model} has preset {given.card.preset}, this training {config.preset}; "
                "name a model of the same preset"
            )
        own.load_state_dict(getattr(given.networks, NETWORK[config.stage]).state_dict())
    elif config.start_from:
        load_trained(config.start_from, own, out)
    return make_stage(config, triplet, device, workers), Batches(config, clean, old)


def _detection(
    config: StageConfig, clean: PhotoSet, old: PhotoSet | None, out: Bucket, device: str, workers: int
) -> tuple[Stage, Batches]:
    network = preset_named(config.preset).detector()
    if config.start_model:
        given = load_detector(config.start_model)
        if given is None:
            raise TrainingError(f"model {config.start_model} has no detector to begin with; name one that has")
        network.load_state_dict(given.network.state_dict())
    return DetectionStage(config, network, device, workers), DetectionBatches(config, clean, old)
