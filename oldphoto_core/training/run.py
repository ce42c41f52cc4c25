"""Stages wired to data and to a place for their results: OUT/<stage>/ for each, OUT/model/ at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from oldphoto_core.checkpoints import PHOTOS, ModelCard, load_detector, load_model, load_tone, photos_to_json
from oldphoto_core.checkpoints.lpips_weights import record
from oldphoto_core.checkpoints.tensors import pack, prefixed, unpack
from oldphoto_core.degradation import has_film_damage, open_pairs
from oldphoto_core.devices import keep_freed_memory, resolve_device
from oldphoto_core.errors import ConfigError, SourceMissing, TrainingError
from oldphoto_core.nets.architectures import BASELINES, baseline_name
from oldphoto_core.nets.presets import Triplet, preset_named
from oldphoto_core.nets.rivals.cyclegan import BothWays
from oldphoto_core.nets.tone import ToneNet
from oldphoto_core.scans.formats import USUAL_EXTENSIONS
from oldphoto_core.storage import Bucket, is_image_key
from oldphoto_core.storage.parallel import map_objects
from oldphoto_core.training.ablations import ablation_named
from oldphoto_core.training.assembling import (
    NETWORK,
    TRAINED,
    adopt,
    load_trained,
    load_triplet,
    publish,
    share_autoencoder,
)
from oldphoto_core.training.config import STAGES, TRIPLET, Ramp, StageConfig, StageName
from oldphoto_core.training.defaults import default_config
from oldphoto_core.training.detection import DetectionBatches, DetectionStage, DetectionValidation
from oldphoto_core.training.joint import JointStage, Restoration
from oldphoto_core.training.loop import Progress, refuse_other_config, run_stage
from oldphoto_core.training.photos.batches import Batches, PhotoSet, Split, split_keys
from oldphoto_core.training.photos.pair_set import HeldOut, PairSet, with_pairs
from oldphoto_core.training.photos.reviewed import CorrectedSet, begun_with
from oldphoto_core.training.pix2pix import Pix2PixStage
from oldphoto_core.training.process_group import ALONE, ProcessGroup, own_device
from oldphoto_core.training.provenance import code_versions, data_record, parent_of, pinned, seen_in
from oldphoto_core.training.rivals import CycleGanStage
from oldphoto_core.training.stages import Stage, make_stage
from oldphoto_core.training.tone import ToneBatches, ToneStage, ToneValidation
from oldphoto_core.training.validation import Validation, ValidationSet


def _silent(step: int, steps: int, values: dict[str, float]) -> None:
    """Nobody watches."""


def train_stage(
    config: StageConfig,
    clean: Bucket | Split,
    old: Bucket | Split | None,
    out: Bucket,
    progress: Progress = _silent,
    device: str = "auto",
    group: ProcessGroup = ALONE,
) -> dict[str, Any]:
    """Trains one stage, going on from its checkpoint; returns what it cost. Finished stages return at once.

    `clean` and `old`: photos that are split by `config.holdout`, or that were split already; with `config.pairs` no
    `clean` one is trained on. Of several processes (`group`) all call it alike, and all must see `out`.

    Raises TrainingError if an earlier stage or data are missing, or the settings differ from the checkpoint's;
    StorageError and ConfigError if the pairs are not whole or do not fit.
    """
    folder = out.join(config.stage)
    config = pinned(config, device, folder)
    result = finished(config, folder)
    group.wait()  # or the last would find what the first has just finished
    if result is not None:
        return result
    if config.stage == "vae_clean" and config.shared_autoencoder:
        shared = share_autoencoder(config, out) if group.is_first else {}
        group.wait()
        return shared
    parent = parent_of(config)
    if config.stage == "joint" and config.start_model and group.is_first:
        # of that model is then also what this stage does not train
        for stage_name in TRIPLET:
            if out.join(stage_name).info(TRAINED) is None:
                adopt(config.start_model, stage_name, out)
    keep_freed_memory()
    torch.manual_seed(config.seed)
    clean = split(clean, config.holdout)
    training: PhotoSet | PairSet = clean.training if config.pairs is None else _pairs(config.pairs, config, clean)
    held_out = clean.held_out
    old = split(old, config.holdout) if old else None
    old_training, old_held_out = (old.training, old.held_out) if old else (None, None)
    where = own_device(resolve_device(device))
    workers = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    stage = _stage_of(config, out, where, workers, group)
    reviewed = CorrectedSet([])
    if isinstance(stage, DetectionStage):
        reviewed = _reviewed(config, folder, old, group)
        batches: Batches = DetectionBatches(config, training, old_training, group, reviewed)
        validation: Validation = DetectionValidation(config, held_out, old_held_out)
    elif isinstance(stage, ToneStage):
        batches, validation = ToneBatches(config, training, None, group), ToneValidation(config, held_out)
    else:
        batches = Batches(config, training, old_training, group)
        validation = ValidationSet(config, held_out)
    spent, last = run_stage(stage, config, batches, validation, folder, progress, group)
    if not group.is_first:
        group.wait()
        return spent.record()
    sets = [photos for source in (training, old_training) if isinstance(source, PhotoSet) for photos in source.sets()]
    of_pairs = training.photos() if isinstance(training, PairSet) else []
    seen = [*of_pairs, *map(seen_in, sets), [photo.master for photo in reviewed.photos]]
    result = {
        "config": config.record(), **spent.record(), **last,
        **_counts(training), "held_out": len(held_out),
        "old_photos": len(old_training or ()), "old_held_out": len(old_held_out or ()),
        "data": [data_record(photos) for photos in seen if photos], "parent": parent, "code": code_versions(),
        "perceptual": record("vgg16") if config.perceptual.value else {},
        "unreadable": _unreadable([*sets, held_out, *([old_held_out] if old_held_out else [])]) | reviewed.unreadable,
        **({"reviewed_photos": len(reviewed)} if reviewed else {}),
    }  # fmt: skip
    folder.write(PHOTOS, photos_to_json(photo for photos in seen for photo in photos))
    with stage.averaged() as generator:
        folder.write(TRAINED, pack(prefixed(NETWORK[config.stage], generator), result))
    group.wait()
    return result


def _reviewed(config: StageConfig, folder: Bucket, old: Split | None, group: ProcessGroup) -> CorrectedSet:
    """Photos with corrected masks, without those by which the detector is judged."""
    if config.reviews is None:
        return CorrectedSet([])
    if group.is_first:
        begun_with(Bucket(config.reviews), folder)
    group.wait()
    photos = CorrectedSet(begun_with(Bucket(config.reviews), folder))
    if old is None:
        return photos
    # where too few photos are there to hold any out, those that train also judge
    return photos.without(set(old.held_out.keys) - set(old.training.keys), old.held_out.bucket.url)


def _counts(training: PhotoSet | PairSet) -> dict[str, int]:
    """How much there was to train on."""
    if isinstance(training, PhotoSet):
        return {"photos": len(training)}
    photos = sum(map(len, training.photos()))
    return {"photos": photos, "pairs": len(training), "pairs_left_out": training.left_out}


def _unreadable(sets: Sequence[PhotoSet]) -> dict[str, str]:
    """Key and reason of the photos that were drawn and could not be read."""
    return {key: reason for photos in sets for key, reason in sorted(photos.unreadable.items())}


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
    return publish(configs[-1], out, name=name, joint=any(config.stage == "joint" for config in configs))


def configs_for(
    stage: str, preset: str, *, joint: bool = True, ablation: str = "", **changes: Any
) -> list[StageConfig]:
    """The configs of one stage, or of all of them for `all`; without the stage `joint` if so asked, and without what an
    ablation leaves out.

    Of all, the stages whose recipe can draw outlines of damage get them. ConfigError if there is no such ablation.
    """
    ablated = ablation_named(ablation)
    if ablation:
        if stage in BASELINES:
            raise ConfigError(f"{stage} is a baseline, and ablations are of our method; leave --ablation out")
        changes |= {**ablated.changes, "ablation": ablation}
    if stage != "all":
        return [default_config(cast(StageName, stage), preset, **changes)]
    # a detector with norms over the whole batch takes it in one turn; what is trained jointly begins with what was
    # trained just before; few models have a tone network to begin with
    one_turn = {"accumulation": 1} if preset_named(preset).detector.norms_over_batch else {}
    own: dict[str, dict[str, Any]] = {
        "scratches": one_turn | {"perceptual": Ramp(value=0.0)},
        "joint": {"start_model": None},
        "tone": {"start_model": None, "perceptual": Ramp(value=0.0)},
    }
    stages = [name for name in STAGES if (joint or name != "joint") and name not in ablated.left_out]
    for name in stages:
        if name != "scratches":
            own.setdefault(name, {})["reviews"] = None  # the detector alone learns masks
    configs = [default_config(name, preset, **(changes | own.get(name, {}))) for name in stages]
    if not any(has_film_damage(config.recipe) for config in configs):
        return configs  # outlines, if any, are refused by each
    return [config if has_film_damage(config.recipe) else replace(config, outlines=None) for config in configs]


def _image_keys(bucket: Bucket) -> list[str]:
    keys = [entry.key for entry in bucket.list() if is_image_key(entry.key)]
    if not keys:
        raise SourceMissing(f"{bucket.url} holds no photos ({USUAL_EXTENSIONS}); give a folder or bucket that does")
    return keys


def finished(config: StageConfig, folder: Bucket) -> dict[str, Any] | None:
    """What the stage cost, if it was trained to its end in `folder`; TrainingError if with other settings."""
    if folder.info(TRAINED) is None:
        return None
    _, result = unpack(folder.read(TRAINED), f"{folder.url}/{TRAINED}")
    refuse_other_config(result["config"], config, folder)
    return result


def split(source: Bucket | Split, holdout: int) -> Split:
    """Photos to train on and photos to judge by; where there are too few to hold any out, they judge themselves."""
    if isinstance(source, Split):
        return source
    training, held_out = split_keys(_image_keys(source), holdout)
    return Split(PhotoSet(source, training), PhotoSet(source, held_out or training))


def _pairs(url: str, config: StageConfig, clean: Split) -> PairSet:
    """What is trained on in place of `clean.training`: nothing that was made of a photo of `clean.held_out`.

    Nor of one that would be held out where the photos of the pairs lie, if that is another place: an evaluation might
    be by those.
    """
    folder, bucket = open_pairs(Bucket(url)), clean.held_out.bucket
    with_pairs(config, folder)  # refuses those that have been made since the training was asked for
    # a set too small to hold any out is trained on and judged by
    here = sorted(set(clean.held_out.keys) - set(clean.training.keys))
    keys = {pair.key for shard in folder.shards if shard.source != bucket.url for pair in shard.pairs}
    elsewhere = split_keys(sorted(keys), config.holdout)[1]
    held_out = HeldOut(frozenset([*here, *elsewhere]), frozenset(map_objects(bucket.sha256, here)))
    return PairSet(folder, seed=config.seed, held_out=held_out)


def _stage_of(config: StageConfig, out: Bucket, device: str, workers: int, group: ProcessGroup) -> Stage:
    if config.stage == "scratches":
        return DetectionStage(config, _detector(config), device, workers, group)
    if config.stage == "cyclegan":
        return CycleGanStage(config, _both_ways(config), device, workers, group)
    if config.stage in BASELINES:
        return Pix2PixStage(config, _baseline(config), device, workers, group)
    if config.stage == "tone":
        return ToneStage(config, _tone(config), device, workers, group)
    if config.stage == "joint":
        return JointStage(config, _triplet(config, out), device, workers, group)
    return make_stage(config, _triplet(config, out), device, workers, group)


def _triplet(config: StageConfig, out: Bucket) -> Triplet:
    triplet = preset_named(config.preset).triplet(partial_nonlocal=config.partial_nonlocal, detail=config.detail)
    if config.stage == "mapping":
        load_trained("vae_old", triplet.vae_old, out)
        load_trained("vae_clean", triplet.vae_clean, out)
    if config.stage == "joint":
        load_triplet(triplet, out)
    own = Restoration(triplet) if config.stage == "joint" else getattr(triplet, NETWORK[config.stage])
    if config.start_model:
        given = load_model(config.start_model)
        if given.card.preset != config.preset:
            raise TrainingError(
                f"model {config.start_model} has preset {given.card.preset}, this training {config.preset}; "
                "name a model of the same preset"
            )
        theirs = cast(Triplet, given.networks)
        if config.stage == "joint":
            _begin_with(cast(Restoration, own), Restoration(theirs), config)
        else:
            own.load_state_dict(getattr(theirs, NETWORK[config.stage]).state_dict())
    elif config.start_from:
        load_trained(config.start_from, own, out)
    return triplet


def _begin_with(own: Restoration, theirs: Restoration, config: StageConfig) -> None:
    if own.detail is None and theirs.detail is not None:
        raise TrainingError(f"model {config.start_model} has a detail path; begin with it without --no-detail")
    # a model without a detail path leaves ours fresh, which leaves intact pixels as they are
    fresh = {name: value for name, value in own.state_dict().items() if name.startswith("detail.")}
    own.load_state_dict(fresh | theirs.state_dict())


def _baseline(config: StageConfig) -> nn.Module:
    network = BASELINES[config.stage](preset_named(config.preset)).network()
    if config.start_model:
        given = load_model(config.start_model)
        wanted = baseline_name(config.stage, config.preset)
        if given.card.preset != wanted:
            raise TrainingError(f"model {config.start_model} is no {wanted} to begin with; name one")
        network.load_state_dict(given.networks.state_dict())
    return cast(nn.Module, network.generator)


def _both_ways(config: StageConfig) -> BothWays:
    if config.start_model:
        raise TrainingError(
            f"model {config.start_model} has one generator, and cyclegan trains two; leave --start-from out"
        )
    return BothWays(preset_named(config.preset).cyclegan)


def _detector(config: StageConfig) -> nn.Module:
    network = preset_named(config.preset).detector()
    if config.start_model:
        given = load_detector(config.start_model)
        if given is None:
            raise TrainingError(f"model {config.start_model} has no detector to begin with; name one that has")
        network.load_state_dict(given.network.state_dict())
    return network


def _tone(config: StageConfig) -> ToneNet:
    network = ToneNet()
    if config.start_model:
        given = load_tone(config.start_model)
        if given is None:
            raise TrainingError(f"model {config.start_model} has no tone network to begin with; name one that has")
        network.load_state_dict(given.state_dict())
    return network
