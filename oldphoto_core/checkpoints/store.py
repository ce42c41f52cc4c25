"""Models by name, folder or URL: `weights.safetensors` with its `card.json`, digests verified on every load.

A name is that of a model inside the package, of one that was imported into the user's folder of models, or what the
registry of OLDPHOTO_REGISTRY calls `champion`, `previous` or NAME@VERSION.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oldphoto_core.checkpoints.card import ModelCard
from oldphoto_core.checkpoints.published import PIECES
from oldphoto_core.checkpoints.registry import place_of, recorded_digest
from oldphoto_core.checkpoints.sums import read_verified
from oldphoto_core.checkpoints.tensors import check_fit, load_prefixed, pack, prefixed, unpack
from oldphoto_core.errors import ConfigError, DamagedWeights, ModelError, SourceMissing, UnknownModel, UsageError
from oldphoto_core.nets.architectures import PUBLISHED, architecture_named
from oldphoto_core.nets.presets import PRESETS
from oldphoto_core.nets.standardised import without_batch_norms
from oldphoto_core.nets.tone import ToneNet
from oldphoto_core.storage import Bucket

WEIGHTS, CARD = "weights.safetensors", "card.json"
DETECTOR = "detector.safetensors"
"""The part that finds damage, read only where it is asked for."""
TONE = "tone.safetensors"
"""The part that predicts tone maps; a model has it where its card lists that file among its `parts`."""
PUBLISHED_THRESHOLD = 0.4
"""Of the published detector."""
HIGH_RESOLUTION = ":high-resolution"
"""Behind a name: the published mapping for scratched photos of high resolution."""


@dataclass(frozen=True, slots=True)
class Model:
    """Networks ready for use, with their card."""

    networks: nn.Module
    """Called as `networks(image_N3HW, mask_N1HW or None)`."""
    card: ModelCard


@dataclass(frozen=True, slots=True)
class Detector:
    """The network that finds a model's damage."""

    network: nn.Module
    """Called as `network(grey_N1HW in [-1, 1])`, returns scores; has `multiple`, `minimum` and `halo`."""
    threshold: float
    """Probability from which a pixel counts as damaged, chosen on held-out photos."""
    decision: dict[str, Any] = field(default_factory=dict)
    """How components are judged, as `detection.decision` reads it; empty: the threshold alone decides."""


def shipped_models() -> list[str]:
    """Names of the models inside the package."""
    folder = resources.files("oldphoto_core.checkpoints") / "weights"
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / CARD).is_file())


def models_folder() -> Path:
    """Where imported models lie: OLDPHOTO_MODELS, or `oldphoto/models` in the user's data folder."""
    if named := os.environ.get("OLDPHOTO_MODELS"):
        return Path(named).expanduser().absolute()
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    # the XDG specification: a relative path there counts as none
    return (data if data.is_absolute() else Path.home() / ".local/share") / "oldphoto/models"


def imported_models() -> list[str]:
    """Names of the models in the user's folder."""
    folder = models_folder()
    if not folder.is_dir():
        return []
    return sorted(path.parent.name for path in folder.glob(f"[!.]*/{CARD}"))


def read_card(model: str | Path) -> ModelCard:
    """The card alone, without loading weights; a registry's version is held to its record, by URL as by name.

    Raises UnknownModel, which lists the names there are, or DamagedWeights.
    """
    bucket = _folder_of(model)
    card = read_verified(bucket, CARD, recorded_digest(bucket))
    return ModelCard.from_json(card.decode("utf-8", "replace"), str(model))


def load_model(model: str | Path) -> Model:
    """A shipped model by name, or any folder or URL that holds a model; float32, evaluation mode.

    `official:high-resolution` is the model `official` with its high-resolution mapping in place of the scratch mapping.

    Raises UnknownModel, or DamagedWeights if the file is not the one that its card describes.
    """
    model = place_of(str(model))  # once: a champion may change between its card and its weights
    if model.endswith(HIGH_RESOLUTION):
        return _with_high_resolution(model)
    card = read_card(model)
    tensors = _read(model, WEIGHTS, card.weights_sha256)
    try:
        networks = architecture_named(card.preset).build(card.partial_nonlocal, card.detail)
    except (ConfigError, UsageError) as error:  # of a caller who named a preset; here it is the card that does
        raise ModelError(f"model {model} cannot be built: {error}; or update oldphoto") from error
    for name, network in networks.named_children():
        load_prefixed(name, network, tensors, f"the weights of model {model}")
    return Model(networks.float().eval(), card)


def _with_high_resolution(variant: str) -> Model:
    model = load_model(variant.removesuffix(HIGH_RESOLUTION))
    piece = "mapping_high_resolution"
    file = f"{piece}.safetensors"
    if model.card.preset != PUBLISHED or file not in model.card.parts:
        raise UnknownModel(f"model {model.card.name} has no high-resolution mapping; only an imported `official` has")
    mapping = PIECES[piece].network(load_part(variant.removesuffix(HIGH_RESOLUTION), file), file, converted=True)
    model.networks.mapping_scratch = mapping
    both = hashlib.sha256(f"{model.card.weights_sha256} {model.card.parts[file]}".encode()).hexdigest()
    return Model(model.networks, replace(model.card, name=variant, weights_sha256=both))


def verify_model(model: str | Path) -> ModelCard:
    """The card of a model whose files are all as it says, which are read for it; UnknownModel, DamagedWeights."""
    card = read_card(model)
    for file, sha256 in {WEIGHTS: card.weights_sha256, **card.parts}.items():
        try:
            found = _folder_of(model).sha256(file)
        except SourceMissing as error:
            raise _missing(model, file) from error
        _check_digest(model, file, found, sha256)
    return card


def load_part(model: str | Path, part: str) -> dict[str, Tensor]:
    """The entries of one of the card's `parts`, by file name; ModelError if this model has no such part."""
    parts = read_card(model).parts
    if part not in parts:
        raise ModelError(
            f"model {model} has no {part}; it has: {', '.join(sorted(parts)) or 'nothing but its weights'}"
        )
    return _read(model, part, parts[part])


def load_detector(model: str | Path) -> Detector | None:
    """The model's detector in float32 and evaluation mode; None if it has none."""
    name = place_of(str(model).removesuffix(HIGH_RESOLUTION))
    card = read_card(name)
    settings = card.detector
    if not settings and card.preset == PUBLISHED and DETECTOR in card.parts:
        settings = {"file": DETECTOR, "threshold": PUBLISHED_THRESHOLD}
    if not settings:
        return None
    preset = PRESETS.get("paper" if card.preset == PUBLISHED else card.preset)
    if preset is None:
        raise ModelError(f"model {model} has a detector, but its preset {card.preset!r} has none; fetch it again")
    network = preset.detector()
    tensors = load_part(name, settings["file"])
    if not network.norms_over_batch:  # those of earlier editions have batch norms, which say the same
        tensors = without_batch_norms(tensors)
    check_fit(tensors, {key: value.shape for key, value in network.state_dict().items()}, f"the detector of {model}")
    network.load_state_dict(tensors)
    return Detector(
        network.float().eval().requires_grad_(False), float(settings["threshold"]), settings.get("decision", {})
    )


def load_tone(model: str | Path) -> ToneNet | None:
    """The model's tone network in float32 and evaluation mode; None if it has none, as models of earlier editions."""
    name = place_of(str(model).removesuffix(HIGH_RESOLUTION))
    if TONE not in read_card(name).parts:
        return None
    network = ToneNet()
    tensors = load_part(name, TONE)
    check_fit(
        tensors, {key: value.shape for key, value in network.state_dict().items()}, f"the tone network of {model}"
    )
    network.load_state_dict(tensors)
    return network.float().eval().requires_grad_(False)


def save_model(
    bucket: Bucket,
    networks: nn.Module,
    card: ModelCard,
    *,
    half: bool = True,
    detector: Detector | None = None,
    tone: ToneNet | None = None,
) -> ModelCard:
    """Writes weights, then the card that names their digests; returns that card. `half`: stored as float16."""
    tensors: dict[str, Tensor] = {}
    for name, network in networks.named_children():
        tensors |= prefixed(name, network)
    data = _packed(tensors, card, half=half)
    card = replace(card, weights_sha256=hashlib.sha256(data).hexdigest())
    bucket.write(WEIGHTS, data)
    if detector is not None:
        finds = _packed(detector.network.state_dict(), card, half=half)
        decided = {"decision": detector.decision} if detector.decision else {}
        card = replace(
            card,
            parts=card.parts | {DETECTOR: hashlib.sha256(finds).hexdigest()},
            detector={"file": DETECTOR, "threshold": detector.threshold} | decided,
        )
        bucket.write(DETECTOR, finds)
    if tone is not None:
        maps = _packed(tone.state_dict(), card, half=half)
        card = replace(card, parts=card.parts | {TONE: hashlib.sha256(maps).hexdigest()})
        bucket.write(TONE, maps)
    bucket.write(CARD, card.to_json().encode())
    return card


def _packed(tensors: Mapping[str, Tensor], card: ModelCard, *, half: bool) -> bytes:
    stored = {
        name: tensor.to(torch.float16) if half and tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    return pack(stored, {"preset": card.preset, "partial_nonlocal": card.partial_nonlocal})


def _read(model: str | Path, file: str, sha256: str) -> dict[str, Tensor]:
    return unpack(read_file(model, file, sha256), f"{file} of model {model}")[0]


def read_file(model: str | Path, file: str, sha256: str) -> bytes:
    """One file of a model; DamagedWeights if it is not the one of that digest."""
    try:
        data = _folder_of(model).read(file)
    except SourceMissing as error:
        raise _missing(model, file) from error
    _check_digest(model, file, hashlib.sha256(data).hexdigest(), sha256)
    return data


def _missing(model: str | Path, file: str) -> DamagedWeights:
    return DamagedWeights(f"model {model} has a card but no {file}; fetch it again")


def _check_digest(model: str | Path, file: str, found: str, expected: str) -> None:
    if found != expected:
        raise DamagedWeights(
            f"{file} of model {model} has sha256 {found[:12]}..., its card says {expected[:12]}...;"
            " fetch the model again"
        )


def _folder_of(model: str | Path) -> Bucket:
    name = place_of(str(model))
    if name in shipped_models():
        return Bucket(str(resources.files("oldphoto_core.checkpoints") / "weights" / name))
    if name in imported_models():
        return Bucket(models_folder() / name)
    if "/" in name or "\\" in name or Path(name).is_dir():
        bucket = Bucket(name)
        if bucket.info(CARD) is not None:
            return bucket
        raise UnknownModel(f"there is no {CARD} in {name}; a model is a folder with {WEIGHTS} and {CARD}")
    raise UnknownModel(f"no model is called {name!r}; there are: {_known()}; or give the folder or URL of a model")


def _known() -> str:
    imported = [f"{name} (imported)" for name in imported_models()]
    return ", ".join([*shipped_models(), *imported]) or "none"
