"""Which of a detector's candidates count as damaged, by how sensitive it is to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.detection.components import Table
from oldphoto_core.detection.features import FEATURES, features_of
from oldphoto_core.detection.options import Sensitivity
from oldphoto_core.errors import DamagedWeights

SENSITIVITIES: tuple[Sensitivity, ...] = get_args(Sensitivity)

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Bounds on what a component may be to count as damage.

    The bounds that do not bind by default cost more damage than they spare content, with the shipped detector
    (docs/detection.md has the table); the classifier of a card weighs the same numbers.
    """

    least_probability: float = 0.92
    """Mean over its pixels of the detector's probability."""

    most_edge: float = math.inf
    """Difference of its two sides by its contrast: where it is more, it lies along an edge of the picture."""

    least_distinct: float = 0.0
    """Contrast by the standard deviation of what is around it: where it is less, the component is texture."""

    least_outside: float = 0.5
    """Share of its pixels beyond the levels of the picture itself, from which it is no texture."""

    def keep(self, features: Floats) -> NDArray[np.bool_]:
        """Which rows of `features_of` count as damage."""
        of = {name: features[:, number] for number, name in enumerate(FEATURES)}
        is_sure = of["probability"] >= self.least_probability
        is_texture = (of["distinct"] < self.least_distinct) & (of["outside"] < self.least_outside)
        kept: NDArray[np.bool_] = is_sure & ~is_texture & (of["edge"] <= self.most_edge)
        return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier:
    """A logistic regression on FEATURES, whose weights come with the model."""

    bias: float
    weights: Mapping[str, float]
    """By feature; those that are not named weigh nothing."""
    least: float
    """Probability from which a component counts as damage."""

    def certainty(self, features: Floats) -> Floats:
        """For each row of `features_of`: how probably it is damage."""
        scores = self.bias + features @ np.array([self.weights.get(name, 0.0) for name in FEATURES])
        sure: Floats = 1.0 / (1.0 + np.exp(-np.clip(scores, -60.0, 60.0)))
        return sure

    def keep(self, features: Floats) -> NDArray[np.bool_]:
        """Which rows count."""
        kept: NDArray[np.bool_] = self.certainty(features) >= self.least
        return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """From probabilities to a mask, at one sensitivity."""

    weak: float
    """Probability from which a pixel may be damaged."""

    strong: float
    """Probability that some pixel of a component reaches."""

    judge: Rules | Classifier | None = None
    """What is asked of a component as a whole; None: nothing."""

    @property
    def is_threshold(self) -> bool:
        """Whether each pixel is decided by itself."""
        return self.judge is None and self.weak == self.strong

    @property
    def weak_level(self) -> int:
        """The first of 255 levels that may be damaged."""
        return max(1, math.ceil(self.weak * 255.0))

    @property
    def strong_level(self) -> int:
        """The first of 255 levels that makes a component."""
        return max(1, math.ceil(self.strong * 255.0))

    def keep(self, table: Table, long_side: int) -> NDArray[np.bool_]:
        """Which components of a table count as damaged."""
        kept: NDArray[np.bool_] = table[:, 1] > 0
        if self.judge is not None and kept.any():
            kept = kept & self.judge.keep(features_of(table, long_side))
        return kept


@dataclass(frozen=True, slots=True)
class Decisions:
    """Those of a model, for every sensitivity."""

    by_sensitivity: Mapping[Sensitivity, Decision] = field(default_factory=dict)

    def at(self, sensitivity: Sensitivity) -> Decision:
        """The decision at that sensitivity."""
        return self.by_sensitivity[sensitivity]

    @classmethod
    def of(cls, threshold: float, card: Mapping[str, Any]) -> Decisions:
        """From the threshold of a model, and what its card says of decisions; nothing: `normal` is the threshold alone.

        Raises DamagedWeights when the card names what is not known here.
        """
        if not card:
            return cls(_of_threshold(threshold))
        named = set(card.get("weights", {})) - set(FEATURES)
        if named or not set(card) <= {"weak", "strong", "least", "bias", "weights"}:
            raise DamagedWeights(f"the card's decision knows {', '.join(sorted(named or set(card)))}; update oldphoto")
        made = {}
        for sensitivity in SENSITIVITIES:
            strong = float(card.get("strong", {}).get(sensitivity, threshold))
            weak = min(strong, float(card.get("weak", {}).get(sensitivity, strong)))
            judge = None
            if "weights" in card:
                least = float(card.get("least", {}).get(sensitivity, 0.5))
                judge = Classifier(bias=float(card.get("bias", 0.0)), weights=card["weights"], least=least)
            made[sensitivity] = Decision(weak=weak, strong=strong, judge=judge)
        return cls(made)


def _of_threshold(threshold: float) -> dict[Sensitivity, Decision]:
    """What can be said without a card's help: `low` asks for surer pixels and judges components by rules."""
    return {
        "low": Decision(weak=threshold, strong=(1.0 + threshold) / 2.0, judge=Rules()),
        "normal": Decision(weak=threshold, strong=threshold),
        "high": Decision(weak=threshold / 2.0, strong=threshold),
    }
