"""The model card: what a model is, what it has seen, how good it is and what it cannot do."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from oldphoto_core.checkpoints.odd_values import (
    Check,
    OddValue,
    check_fields,
    is_count,
    is_file_name,
    is_number,
    is_sha256,
    is_share,
    is_table_of,
    is_text,
    is_texts,
    read_json,
)
from oldphoto_core.errors import DamagedWeights

CARD_VERSION = 1
_NOT_PARTS = ("card.json", "weights.safetensors", "SHA256SUMS")


def _is_parts(value: Any) -> bool:
    return is_table_of(is_sha256)(value) and all(is_file_name(name) and name not in _NOT_PARTS for name in value)


def _is_detector(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return value == {}
    named = value.keys() - {"decision"} == {"file", "threshold"}
    return named and is_text(value["file"]) and is_share(value["threshold"]) and _is_decision(value.get("decision", {}))


def _is_stage(value: Any) -> bool:
    """What retraining reads of a stage: its settings."""
    return isinstance(value, dict) and isinstance(value.get("config", {}), dict)


def _is_decision(value: Any) -> bool:
    """What `detection.decision` reads: shares by sensitivity, and numbers by feature."""
    if not isinstance(value, dict):
        return False
    shares, weights = is_table_of(is_share), is_table_of(is_number)
    fits = {"weak": shares, "strong": shares, "least": shares, "bias": is_number, "weights": weights}
    return all(name in fits and fits[name](part) for name, part in value.items())


_TEXT = (is_text, "text")
_TEXTS = (is_texts, "a list of texts")
_FIELDS: dict[str, tuple[Check, str]] = {
    **dict.fromkeys(("name", "preset", "created", "summary", "licence"), _TEXT),
    **dict.fromkeys(("partial_nonlocal", "detail"), (lambda value: isinstance(value, bool), "true or false")),
    "weights_sha256": (is_sha256, "a sha256 in hex"),
    "data": _TEXTS,
    "limits": _TEXTS,
    "training": (is_table_of(_is_stage), "an object of objects, each with perhaps a config"),
    "metrics": (lambda value: isinstance(value, dict), "an object"),
    "parts": (_is_parts, "an object of file names and sha256s"),
    "detector": (_is_detector, "an object of a file, a threshold above 0 and up to 1, and perhaps a decision"),
    "lineage": (lambda value: isinstance(value, list) and all(map(is_table_of(is_text), value)), "a list of objects"),
    "code": (is_table_of(is_text), "an object of texts"),
    "version": (is_count, "a whole number from 1"),
}
"""Each field of a card: what it must be, and how that is called."""
_REQUIRED = ("name", "preset", "partial_nonlocal", "weights_sha256", "created")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """Stored as `card.json` beside `weights.safetensors`."""

    name: str
    """What users call the model."""
    preset: str
    """Shapes of its networks."""
    partial_nonlocal: bool
    """Whether the mapping has the partial nonlocal block."""
    weights_sha256: str
    """Digest of the weights file: the model's identity in ledgers and records."""
    created: str
    """ISO 8601 date."""
    detail: bool = False
    """Whether it has the detail path; cards of before 2026-11-29 do not say, and their models have none."""
    summary: str = ""
    """One paragraph for people."""
    data: list[str] = field(default_factory=list)
    """What it was trained on, and under what terms."""
    training: dict[str, Any] = field(default_factory=dict)
    """Per stage: config, steps done, seconds, share of the CPU used."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Results on held-out photos, with the command that prints them."""
    limits: list[str] = field(default_factory=list)
    """What it is known not to do."""
    licence: str = ""
    """Terms of the weights."""
    parts: dict[str, str] = field(default_factory=dict)
    """Further networks of the same model, and the list of the photos it was trained on: file beside the weights ->
    sha256. Read only by who asks for them."""
    detector: dict[str, Any] = field(default_factory=dict)
    """What finds the damage, if the model can: `file` (one of `parts`), `threshold` of the probability, and, where
    components are judged, `decision` (docs/detection.md)."""
    lineage: list[dict[str, str]] = field(default_factory=list)
    """What its weights began with: `stage`, `model`, `weights_sha256`. Empty: with random weights, or not recorded."""
    code: dict[str, str] = field(default_factory=dict)
    """Versions of what trained it: `oldphoto`, `torch`, `python`."""
    version: int = CARD_VERSION
    """Version of this card's schema."""

    def to_json(self) -> str:
        """Readable JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @property
    def digest(self) -> str:
        """sha256 of the JSON, in hex: of what `oldphoto models show` prints."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def restoring_digest(self, tone: str | None) -> str:
        """Of all weights that shape every derivative: records and ledgers name the model by it.

        Args:
            tone: sha256 of the file of its tone network; None: it has none, or does not use it.
        """
        return (
            self.weights_sha256
            if tone is None
            else hashlib.sha256(f"{self.weights_sha256} {tone}".encode()).hexdigest()
        )

    @classmethod
    def from_json(cls, text: str, name: str) -> ModelCard:
        """The inverse of `to_json`; `name` is for the message of DamagedWeights."""
        try:
            values = read_json(text)
            version = values.get("version", 1) if isinstance(values, dict) else 1
            # a later version may have other fields: this is said before they are looked at
            if is_count(version) and version > CARD_VERSION:
                raise DamagedWeights(
                    f"the model card of {name} has version {version}, this oldphoto reads {CARD_VERSION}; update it"
                )
            card = cls(**check_fields(values, _FIELDS, _REQUIRED))
            if card.detector and card.detector["file"] not in card.parts:
                raise OddValue("its detector is none of its parts")
        except OddValue as error:
            raise DamagedWeights(f"the model card of {name} cannot be read ({error}); fetch the model again") from error
        return card
