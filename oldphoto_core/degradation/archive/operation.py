"""What every operation of the recipe `archive` is: checked ranges, one severity, and a result with its exact mask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation.unstructured import Image, Record
from oldphoto_core.errors import ConfigError

Mask = NDArray[np.bool_]
Field = NDArray[np.float32]
"""HW float32, one number a pixel: an opacity in [0, 1], a distance in long sides, or noise of mean 0 and variance 1."""
Span = tuple[float, float]
"""(weakest, strongest) value of a quantity; where less is worse, as with JPEG quality, the first is the larger."""

Choice = TypeVar("Choice", bound=str)

WELL_KEPT = 0.25
"""How often what takes detail away happens to well kept photos, of how often it happens to others."""
JITTER = 0.25
"""How far a single quantity may stray from its operation's severity."""


@dataclass(frozen=True, slots=True)
class Within:
    """What a field of an operation may hold, `least` and `most` included."""

    least: float
    most: float


Share = Annotated[float, Within(0.0, 1.0)]
"""A probability, or a part of a whole."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation made of a picture."""

    image: Image
    """HWC uint8, of the same size."""
    mask: Mask | None = None
    """HW bool of a structured defect: True exactly where it changed the picture by more than 3 levels of 255 in some
    channel; every other pixel is as it was. None: the operation has no shape."""
    lost: Mask | None = None
    """HW bool: the part that hides the photograph and must be filled. None: what lies below can still be seen."""


class Dice:
    """One occurrence's randomness: a generator of its own, a severity, and a record of all that was drawn."""

    def __init__(self, rng: np.random.Generator, severity: float) -> None:
        self.once = np.random.default_rng(int(rng.integers(2**63)))
        """For what is drawn once per occurrence: it stays the same where a stronger one draws more strokes."""
        self.rng = rng
        """For all the rest."""
        self.severity = severity
        self.drawn: Record = {}

    def draw(self, operation: Operation, name: str) -> float:
        """A value of the operation's span `name`: at the severity, give or take `JITTER` of the span."""
        weak, strong = getattr(operation, name)
        place = min(1.0, max(0.0, self.severity + float(self.once.uniform(-JITTER, JITTER))))
        self.drawn[name] = weak + place * (strong - weak)
        return float(self.drawn[name])

    def count(self, operation: Operation, name: str) -> int:
        """The same for a span of whole numbers."""
        self.drawn[name] = round(self.draw(operation, name))
        return int(self.drawn[name])

    def choose(self, name: str, options: Sequence[Choice]) -> Choice:
        """One of the options, all equally likely."""
        self.drawn[name] = chosen = options[int(self.once.integers(len(options)))]
        return chosen


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation(ABC):
    """One defect. Lengths are shares of the picture's long side, so that a defect looks the same at any resolution."""

    name: ClassVar[str]
    tints: ClassVar[bool] = False
    """Whether it may give colour to a grey picture."""
    is_tone: ClassVar[bool] = False
    """Whether it is tone: one smooth map of colours for the whole photo, or nearly so, which a curve per channel, a
    matrix and a coarse field undo (benchmarks/tone_operations.py measures it). All else is structure."""

    probability: Share = 0.0
    """How often it happens: to any photo, or, if it is a kind of damage, to a damaged one."""

    def __post_init__(self) -> None:
        """Refuses what is no number, out of bounds, or has its weakest and strongest end exchanged."""
        for name, default, bounds in _bounds(type(self)):
            value = getattr(self, name)
            ends, wanted, fine = (value,), "a number", True
            if isinstance(default, tuple):
                rising = default[0] <= default[1]
                ends, wanted = value, f"(weakest, strongest), {'rising' if rising else 'falling'},"
                fine = isinstance(value, tuple) and len(value) == 2 and sorted(value, reverse=not rising) == list(value)
            if not (fine and all(isinstance(end, int | float) and bounds.least <= end <= bounds.most for end in ends)):
                allowed = f"{wanted} from {bounds.least:g} to {bounds.most:g}"
                raise ConfigError(f"{type(self).__name__}.{name} is {value}; give {allowed}")

    def well_kept(self) -> Self:
        """The operation in well kept photos: tone as in others, what takes detail away `WELL_KEPT` times as often."""
        return self if self.is_tone else replace(self, probability=WELL_KEPT * self.probability)

    @abstractmethod
    def apply(self, image: Image, dice: Dice) -> Outcome:
        """The defect on `image_HWC uint8 RGB`, which itself is left alone."""

    def occur(self, image: Image, rng: np.random.Generator, severity: float) -> tuple[Outcome, Record]:
        """One occurrence at a severity from 0 to 1, and what it drew, JSON-ready."""
        dice = Dice(rng, severity)
        outcome = self.apply(image, dice)
        drawn: Record = {"operation": self.name, "severity": severity, **dice.drawn}
        return outcome, drawn


@cache
def _bounds(operation: type[Operation]) -> list[tuple[str, Any, Within]]:
    """(name, default, bounds) of every quantity: fields that are annotated with their bounds."""
    hints = get_type_hints(operation, include_extras=True)
    quantities = [each for each in fields(operation) if hasattr(hints[each.name], "__metadata__")]
    return [(each.name, each.default, hints[each.name].__metadata__[0]) for each in quantities]
