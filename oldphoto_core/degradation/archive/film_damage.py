"""Damage of real film: the shapes of dust, dirt, hairs and scratches that somebody has drawn around on scans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np

from oldphoto_core.degradation.archive.blending import mark, settle
from oldphoto_core.degradation.archive.canvas import Canvas, Points
from oldphoto_core.degradation.archive.fields import Shape, extent, long_side
from oldphoto_core.degradation.archive.operation import Dice, Field, Operation, Outcome, Share, Span, Within
from oldphoto_core.degradation.archive.outlines import PARTS, Outlines, Part, load_outlines
from oldphoto_core.degradation.unstructured import Image
from oldphoto_core.errors import ConfigError

GIVEN_PROBABILITY = 0.4
"""How often a damaged photo has it, where a library of outlines is given."""
LARGEST = 0.7
"""No outline is longer than this, in long sides."""
SIZES = 0.5
"""Standard deviation of the logarithm of an outline's own scale."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilmDamage(Operation):
    """Real shapes from a library of outlines that the user gives: dust and hairs of film scans; off without a library.

    Dust on a negative prints white; dirt on the print or on the glass is dark.
    """

    name: ClassVar[str] = "film_damage"

    probability: Share = 0.0
    """How often a damaged photo has it; 0 without a library."""
    count: Annotated[Span, Within(1, 5000)] = (10, 120)
    """Number of outlines."""
    scale: Annotated[Span, Within(0.1, 50)] = (0.8, 3.5)
    """Size of the outlines against that on their scan, relative to the long side: prints show a part of a frame."""
    softness: Annotated[Span, Within(0.0, 0.01)] = (0.0003, 0.0013)
    """Standard deviation of the blur of their edges, in long sides; what is not in the focus of the enlarger."""
    opacity: Annotated[Span, Within(0.01, 1.0)] = (0.5, 1.0)
    """Of the most opaque outlines."""
    dark: Share = 0.4
    """Share of dark outlines."""
    outlines: str = ""
    """URL of the library."""
    outlines_sha256: str = ""
    """Names the outlines, as `outlines_digest` does; others are refused."""
    part: Part = "training"
    """Which part of the library is drawn: `training`, or `held_out`, which no training draws."""

    def __post_init__(self) -> None:
        """Refuses an operation that happens without outlines, besides what every operation refuses."""
        Operation.__post_init__(self)
        if self.probability > 0 and not self.outlines:
            raise ConfigError(
                f"FilmDamage.probability is {self.probability}, but FilmDamage.outlines names no library; give one, or"
                " probability 0"
            )
        if self.part not in PARTS:
            raise ConfigError(f"FilmDamage.part is {self.part!r}; choose {' or '.join(PARTS)}")

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Outlines turned, mirrored and scaled at random, each with its own opacity, in a bright and a dark layer."""
        library = load_outlines(self.outlines, self.outlines_sha256, self.part)
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        count, scale, opacity = dice.count(self, "count"), dice.draw(self, "scale"), dice.draw(self, "opacity")
        softness = dice.draw(self, "softness")
        layers = {True: Canvas(shape), False: Canvas(shape)}
        for outline in _drawn(library, count, rng):
            placed = _placed(outline, scale, shape, rng)
            layers[bool(rng.random() < self.dark)].patch([placed], opacity * rng.uniform(0.5, 1.0))
        bright, dark = (_softened(layers[is_dark].coverage(), softness) for is_dark in (False, True))
        return settle(image, mark(image.astype(np.float32), bright, dark, dice), opaque=True)


def _drawn(library: Outlines, count: int, rng: np.random.Generator) -> list[Points]:
    """Outlines at random. A class is drawn as often as the root of its size: hairs and scratches are few."""
    kinds = list(library.by_class)
    weights = np.sqrt([len(library.by_class[kind]) for kind in kinds])
    chosen = rng.choice(len(kinds), size=count, p=weights / weights.sum())
    groups = (library.by_class[kinds[kind]] for kind in chosen)
    return [group[int(rng.integers(len(group)))] for group in groups]


def _placed(outline: Points, scale: float, shape: Shape, rng: np.random.Generator) -> Points:
    """The outline somewhere in the picture, in any direction, mirrored half of the time."""
    angle, mirror = rng.uniform(0, 2 * np.pi), 1.0 if rng.random() < 0.5 else -1.0
    cos, sin = np.cos(angle), np.sin(angle)
    size = float(np.ptp(outline, axis=0).max())
    factor = min(scale * float(np.exp(SIZES * rng.standard_normal())), LARGEST / max(size, 1e-6))
    turn = np.array([[cos, sin], [-sin * mirror, cos * mirror]]) * factor
    placed: Points = (outline @ turn + rng.random(2) * extent(shape)).astype(np.float32)
    return placed


def _softened(coverage: Field, softness: float) -> Field:
    """The coverage with edges that are blurred by `softness` long sides."""
    sigma = softness * long_side((coverage.shape[0], coverage.shape[1]))
    if sigma < 0.2:
        return coverage
    softened = cv2.GaussianBlur(coverage, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return softened.reshape(coverage.shape).astype(np.float32, copy=False)
