"""The model card: what a model is, what it has seen, how good it is and what it cannot do."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from oldphoto_core.errors import DamagedWeights

CARD_VERSION = 1


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
    """What finds the damage, if the model can: `file` (one of `parts`) and `threshold` of the probability."""
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

    @classmethod
    def from_json(cls, text: str, name: str) -> ModelCard:
        """The inverse of `to_json`; `name` is for the message of DamagedWeights."""
        try:
            values = json.loads(text)
            card = cls(**values)
        except (ValueError, TypeError) as error:
            raise DamagedWeights(f"the model card of {name} cannot be read ({error}); fetch the model again") from error
        if card.version > CARD_VERSION:
            raise DamagedWeights(
                f"the model card of {name} has version {card.version}, this oldphoto reads {CARD_VERSION}; update it"
            )
        return card
