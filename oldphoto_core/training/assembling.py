"""Trained stages of one place put together as a model, and the stages of a model put where its others are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from torch import nn

from oldphoto_core.checkpoints import (
    PHOTOS,
    Detector,
    ModelCard,
    load_detector,
    load_model,
    load_tone,
    photos_from_json,
    photos_of,
    photos_to_json,
    save_model,
)
from oldphoto_core.checkpoints.tensors import load_prefixed, pack, prefixed, unpack
from oldphoto_core.errors import TrainingError
from oldphoto_core.nets.architectures import BASELINES, baseline_name
from oldphoto_core.nets.presets import Triplet, preset_named
from oldphoto_core.nets.rivals.cyclegan import BothWays, CycleGan
from oldphoto_core.nets.standardised import without_batch_norms
from oldphoto_core.nets.tone import ToneNet
from oldphoto_core.storage import Bucket
from oldphoto_core.training.config import TRIPLET, StageConfig
from oldphoto_core.training.joint import Restoration

TRAINED = "weights.safetensors"
NETWORK = {
    "vae_old": "vae_old", "vae_clean": "vae_clean", "mapping": "mapping", "scratches": "detector",
    "pix2pix": "generator", "attention": "generator", "cyclegan": "generators", "joint": "restoration", "tone": "tone",
}  # fmt: skip
"""Name of each stage's network in files."""
_SUMMARIES = {
    "pix2pix": "pix2pix, a U-Net without latent spaces and masks",
    "cyclegan": "CycleGAN, a residual generator trained without pairs and masks",
    "attention": "with operation-wise attention, a stack of weighted operations without latent spaces and masks",
}


def publish(config: StageConfig, out: Bucket, *, name: str, joint: bool = True) -> ModelCard:
    """Puts the trained stages of `out` together as a model in OUT/model/: networks, detector and tone network.

    `config` says preset and partial nonlocal block; it is that of any stage. `joint`: with the weights of that stage,
    if it was trained. Detector and tone network are left out if they were not.
    """
    together = joint and out.join("joint").info(TRAINED) is not None
    detail = together and has_detail(out)
    triplet = preset_named(config.preset).triplet(partial_nonlocal=config.partial_nonlocal, detail=detail)
    results = load_triplet(triplet, out)
    if together:
        results["joint"] = load_trained("joint", Restoration(triplet), out)
    detector = None
    if out.join("scratches").info(TRAINED) is not None:
        network = preset_named(config.preset).detector()
        results["scratches"] = load_trained("scratches", network, out)
        detector = Detector(network, threshold=results["scratches"]["threshold"])
    tone = None
    if out.join("tone").info(TRAINED) is not None:
        tone = ToneNet()
        results["tone"] = load_trained("tone", tone, out)
    card = replace(_card(name, config.preset, config, results), detail=detail)
    return _saved(out, out.join("model"), triplet, card, detector, tone)


def publish_baseline(config: StageConfig, out: Bucket, *, name: str) -> ModelCard:
    """Makes a model of the trained baseline that `config` is of, in OUT/<stage>/model/."""
    stage: str = config.stage
    network = BASELINES[stage](preset_named(config.preset)).network()
    if isinstance(network, CycleGan):
        ways = BothWays(preset_named(config.preset).cyclegan)
        results = {stage: load_trained(stage, ways, out)}
        network.generator = ways.restore
    else:
        results = {stage: load_trained(stage, cast(nn.Module, network.generator), out)}
    card = replace(
        _card(name, baseline_name(stage, config.preset), config, results), partial_nonlocal=False,
        summary=f"The baseline {_SUMMARIES[stage]}, for comparison.",
    )  # fmt: skip
    return _saved(out, out.join(stage, "model"), network, card)


def _card(name: str, architecture: str, config: StageConfig, results: dict[str, dict[str, Any]]) -> ModelCard:
    return ModelCard(
        name=name, preset=architecture, partial_nonlocal=config.partial_nonlocal, weights_sha256="",
        created=datetime.now(UTC).date().isoformat(), training=results, code=_last_code(results),
        lineage=[{"stage": stage, **result["parent"]} for stage, result in results.items() if result.get("parent")],
    )  # fmt: skip


def _last_code(results: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Of the stage that decides how a restoration looks."""
    last = next(stage for stage in ("joint", "mapping", *BASELINES) if stage in results)
    code: dict[str, str] = results[last].get("code", {})
    return code


def _saved(
    out: Bucket,
    folder: Bucket,
    network: nn.Module,
    card: ModelCard,
    detector: Detector | None = None,
    tone: ToneNet | None = None,
) -> ModelCard:
    if listed := _listed(out, list(card.training)):
        card = replace(card, parts={PHOTOS: folder.write(PHOTOS, listed)})
    return save_model(folder, network, card, detector=detector, tone=tone)


def _listed(out: Bucket, stages: Sequence[str]) -> bytes:
    """The photos that any of the stages has seen; empty if one of them was trained before such lists were kept."""
    places = [out.join(stage) for stage in stages]
    if any(place.info(PHOTOS) is None for place in places):
        return b""
    lists = [photos_from_json(place.read(PHOTOS), f"{place.url}/{PHOTOS}") for place in places]
    return photos_to_json(photo for photos in lists for photo in photos)


def has_detail(out: Bucket) -> bool:
    """Whether the stage `joint` was trained in `out` with a detail path."""
    return bool(trained_config("joint", out).get("detail", False))


def trained_config(stage: str, out: Bucket) -> dict[str, Any]:
    """The recorded settings of a stage that was trained in `out`."""
    folder = out.join(stage)
    config: dict[str, Any] = unpack(folder.read(TRAINED), f"{folder.url}/{TRAINED}")[1].get("config", {})
    return config


def has_triplet(out: Bucket) -> bool:
    """Whether every network that a model cannot do without has been trained."""
    return all(out.join(stage).info(TRAINED) is not None for stage in TRIPLET)


def adopt(model: str, stage: str, out: Bucket) -> bool:
    """Puts a model's network into `out` as if its stage had been trained there; False for a detector or tone network
    that it has not.

    Its card says then where the network is from.
    """
    given = load_model(model)
    result = dict(given.card.training.get(stage, {}))
    network: nn.Module
    if stage == "scratches":
        detector = load_detector(model)
        if detector is None:
            return False
        network, result["threshold"] = detector.network, detector.threshold
    elif stage == "tone":
        tone = load_tone(model)
        if tone is None:
            return False
        network = tone
    else:
        network = getattr(given.networks, NETWORK[stage])
    result["parent"] = {"model": model, "weights_sha256": given.card.weights_sha256}
    folder = out.join(stage)
    folder.write(PHOTOS, photos_to_json(photos_of(model)))
    folder.write(TRAINED, pack(prefixed(NETWORK[stage], network), result))
    return True


def share_autoencoder(config: StageConfig, out: Bucket) -> dict[str, Any]:
    """Puts the trained `vae_old` in the place of `vae_clean` as well; returns the result of a stage of 0 steps."""
    vae = preset_named(config.preset).vae()
    result = load_trained("vae_old", vae, out)
    spent = ("steps", "seconds", "cpu_seconds", "steps_per_second", "photos_per_second", "waiting_share", "cpu_share")
    result |= {"config": config.record(), **dict.fromkeys(spent, 0), "shared_with": "vae_old"}
    folder = out.join(config.stage)
    if out.join("vae_old").info(PHOTOS) is not None:
        folder.write(PHOTOS, out.join("vae_old").read(PHOTOS))
    folder.write(TRAINED, pack(prefixed(NETWORK[config.stage], vae), result))
    return result


def load_triplet(triplet: Triplet, out: Bucket) -> dict[str, dict[str, Any]]:
    """Fills the networks that were trained one by one in `out`; returns what each of these stages cost."""
    return {str(stage): load_trained(stage, getattr(triplet, NETWORK[stage]), out) for stage in TRIPLET}


def load_trained(stage: str, network: nn.Module, out: Bucket) -> dict[str, Any]:
    """Fills `network`; returns what the training of that stage cost. TrainingError if it was not trained in `out`."""
    folder = out.join(stage)
    if folder.info(TRAINED) is None:
        raise TrainingError(
            f"stage {stage} has not been trained in {out.url}; run `oldphoto train {stage}` or `train all` first"
        )
    tensors, result = unpack(folder.read(TRAINED), f"{folder.url}/{TRAINED}")
    if not getattr(network, "norms_over_batch", True):  # the detectors of earlier editions have batch norms
        tensors = without_batch_norms(tensors)
    load_prefixed(NETWORK[stage], network, tensors, f"{folder.url}/{TRAINED}")
    return result
