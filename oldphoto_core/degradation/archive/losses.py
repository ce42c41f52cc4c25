"""Parts of the picture that are gone or covered: tears, missing corners, tape, holes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np

from oldphoto_core.degradation.archive.blending import Values, absorb, blend, settle
from oldphoto_core.degradation.archive.canvas import Canvas, blobs, curve
from oldphoto_core.degradation.archive.fields import (
    Shape,
    coordinates,
    elastic,
    extent,
    long_side,
    noise,
    smoothstep,
    wear,
)
from oldphoto_core.degradation.archive.operation import Dice, Field, Operation, Outcome, Share, Span, Within
from oldphoto_core.degradation.unstructured import Image

BACKGROUNDS = {"white": 246.0, "grey": 150.0, "black": 14.0}
"""What lies behind a lost part when it is scanned, in levels of 255: the lid, an album page, an open lid."""


def _torn(image: Image, gap: Field, fibre: Field, dice: Dice) -> Outcome:
    """The background through `gap_HW`, and around it the rough white inside of the paper, `fibre_HW`."""
    shape = (image.shape[0], image.shape[1])
    paper = np.float32(dice.once.uniform(222, 244)) + np.float32(7) * noise(shape, 120, dice.rng)
    values: Values = image.astype(np.float32)
    values += (fibre * np.float32(0.95))[..., None] * (paper[..., None] - values)
    behind = BACKGROUNDS[dice.choose("background", ("white", "white", "grey", "black"))]
    values = blend(values, (behind,) * 3, gap, "cover")
    return settle(image, values, opaque=True, hidden=np.maximum(gap, fibre) > 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tears(Operation):
    """Paper torn in from an edge: it parts along its fibres, jagged, and shows white inside along one lip."""

    name: ClassVar[str] = "tears"

    probability: Share = 0.14
    """How often a damaged photo has them."""
    count: Annotated[Span, Within(1, 20)] = (1, 3)
    """Number of tears."""
    length: Annotated[Span, Within(0.01, 2.0)] = (0.1, 0.55)
    """Of the longest, in long sides."""
    width: Annotated[Span, Within(0.0002, 0.3)] = (0.002, 0.018)
    """Of the gap at the edge, in long sides; it narrows to nothing."""
    lip: Annotated[Span, Within(0.0002, 0.1)] = (0.002, 0.009)
    """Of the white fibres along one side, in long sides."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """A wedge along a jagged path from an edge."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        gap, both = Canvas(shape), Canvas(shape)
        length, width, lip = (dice.draw(self, name) for name in ("length", "width", "lip"))
        for _ in range(dice.count(self, "count")):
            start, inward = self._edge(shape, rng)
            path = curve(start, inward + rng.normal(0, 0.35), length * rng.uniform(0.5, 1.0), 0.4, rng, points=40)
            path += rng.normal(0, 0.0022, path.shape).astype(np.float32)
            narrowing = np.linspace(1.0, 0.0, len(path))[:, None] ** 0.8
            ragged = np.clip(1 + 0.5 * rng.standard_normal((2, len(path), 1)), 0.1, 2.0)
            across = np.array([-np.sin(inward), np.cos(inward)]) * (1 if rng.random() < 0.5 else -1)
            left = path + across * width * narrowing
            right = path + across * -lip * ragged[0] * np.minimum(1.0, 3 * narrowing)
            gap.patch([np.concatenate([left, path[::-1]])])
            gap.line(path, 0.001)
            both.patch([np.concatenate([left, right[::-1]])])
        moved = elastic(np.dstack([gap.coverage(), both.coverage()]), 0.002, 50, rng)
        return _torn(image, moved[..., 0], np.maximum(moved[..., 1] - moved[..., 0], 0.0), dice)

    @staticmethod
    def _edge(shape: Shape, rng: np.random.Generator) -> tuple[tuple[float, float], float]:
        """A point just outside the picture, and the heading from there inward, in radians."""
        wide, high = extent(shape)
        side, place = int(rng.integers(4)), rng.uniform(0.08, 0.92)
        starts = (
            (-0.01, place * high),
            (wide + 0.01, place * high),
            (place * wide, -0.01),
            (place * wide, high + 0.01),
        )
        return starts[side], (0.0, np.pi, np.pi / 2, -np.pi / 2)[side]


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingCorners(Operation):
    """Corners broken off, most often of brittle card: a rough edge, white fibres, and the background beyond."""

    name: ClassVar[str] = "missing_corners"

    probability: Share = 0.1
    """How often a damaged photo lacks some."""
    count: Annotated[Span, Within(1, 4)] = (1, 3)
    """Number of corners."""
    size: Annotated[Span, Within(0.005, 1.0)] = (0.04, 0.22)
    """Of the longer leg, in long sides."""
    lip: Annotated[Span, Within(0.0002, 0.1)] = (0.002, 0.012)
    """Of the white fibres along the break, in long sides."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Everything beyond a line from side to side that noise has made rough."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        x, y = coordinates(shape)
        wide, high = extent(shape)
        size, lip = dice.draw(self, "size"), dice.draw(self, "lip")
        beyond = np.full(shape, -1.0, np.float32)
        for corner in rng.permutation(4)[: dice.count(self, "count")]:
            across = x if corner % 2 == 0 else np.float32(wide) - x
            down = y if corner < 2 else np.float32(high) - y
            legs = size * rng.uniform(0.45, 1.0, 2)
            normal = np.array([legs[1], legs[0]]) / np.hypot(*legs)
            line = np.float32(normal[0] * legs[0]) - across * np.float32(normal[0]) - down * np.float32(normal[1])
            beyond = np.maximum(beyond, line)
        rough = beyond + np.float32(0.012) * noise(shape, 6, rng) + np.float32(0.0035) * noise(shape, 24, rng, 3)
        soft = 0.75 / long_side(shape)
        gap = smoothstep(-soft, soft, rough)
        width = np.float32(lip) * (1 + np.float32(0.5) * noise(shape, 16, rng, 2))
        fibre = smoothstep(-soft, soft, rough + np.maximum(width, 0)) - gap
        return _torn(image, gap, np.maximum(fibre, 0), dice)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tape(Operation):
    """Adhesive tape: a strip whose glue has yellowed and mottled, or an opaque one of paper, cut or torn at its ends.

    Below yellowed tape the photograph can be seen: it is a defect with a mask, but nothing to fill.
    """

    name: ClassVar[str] = "tape"
    tints: ClassVar[bool] = True

    probability: Share = 0.07
    """How often a damaged photo has some."""
    count: Annotated[Span, Within(1, 10)] = (1, 2)
    """Number of strips."""
    width: Annotated[Span, Within(0.005, 0.5)] = (0.045, 0.11)
    """In long sides."""
    length: Annotated[Span, Within(0.01, 2.0)] = (0.18, 0.6)
    """In long sides."""
    density: Annotated[Span, Within(0.01, 2.0)] = (0.12, 0.5)
    """Optical density (log10) of yellowed glue."""
    opaque: Share = 0.3
    """Share of opaque tape."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """A rectangle, turned, with ragged ends and darker long edges where dirt sticks."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        width, length, density = (dice.draw(self, name) for name in ("width", "length", "density"))
        covers = bool(rng.random() < self.opaque)
        dice.drawn["covers"] = int(covers)
        values = image.astype(np.float32)
        hidden = np.zeros(shape, bool)
        tone = np.array([1.0, 0.93, 0.78], np.float32) * np.float32(rng.uniform(165, 235))
        for _ in range(dice.count(self, "count")):
            strip, rim = self._strip(shape, width, length * rng.uniform(0.5, 1.0), rng)
            mottled = strip * wear(shape, 14, rng, 0.85, 0.15)
            if covers:
                paper = tone * (1 + np.float32(0.03) * noise(shape, 90, rng))[..., None]
                values = blend(values, paper.astype(np.float32), strip, "cover")
                hidden |= strip > 0.5
            else:
                values = blend(values, (226.0, 214.0, 180.0), strip * np.float32(0.12), "cover")
            values = absorb(
                values, np.float32(density) * (mottled * np.float32(not covers) + 0.35 * rim), (0.25, 0.5, 1.1)
            )
        return settle(image, values, hidden=hidden if covers else None)

    @staticmethod
    def _strip(shape: Shape, width: float, length: float, rng: np.random.Generator) -> tuple[Field, Field]:
        """Opacity of the strip, and of its long edges."""
        x, y = coordinates(shape)
        wide, high = extent(shape)
        middle, turn = rng.uniform(0.05, 0.95, 2) * (wide, high), rng.integers(0, 2) * np.pi / 2 + rng.normal(0, 0.25)
        cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        along = (x - np.float32(middle[0])) * cosine + (y - np.float32(middle[1])) * sine
        across = (y - np.float32(middle[1])) * cosine - (x - np.float32(middle[0])) * sine
        ragged = np.abs(along) + np.float32(0.006) * noise(shape, 30, rng, 2) - np.float32(length / 2)
        apart = np.abs(across) + np.float32(0.0008) * noise(shape, 12, rng) - np.float32(width / 2)
        soft = 0.75 / long_side(shape)
        strip = smoothstep(-soft, soft, -np.maximum(ragged, apart))
        return strip, strip * np.exp(np.minimum(apart, 0) / np.float32(0.004))


@dataclass(frozen=True, kw_only=True, slots=True)
class Holes(Operation):
    """Losses within the picture: pins, insects, mould, emulsion that stuck to glass; edges feathered (section 4.1)."""

    name: ClassVar[str] = "holes"

    probability: Share = 0.14
    """How often a damaged photo has some."""
    count: Annotated[Span, Within(1, 200)] = (1, 7)
    """Number of holes."""
    size: Annotated[Span, Within(0.001, 0.5)] = (0.007, 0.05)
    """Radius of the largest, in long sides."""
    feather: Annotated[Span, Within(0.0001, 0.1)] = (0.0012, 0.006)
    """Over which a hole's edge fades, in long sides."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Irregular outlines, pushed about and blurred; paper fibres show around the larger ones."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        size, feather = dice.draw(self, "size"), dice.draw(self, "feather")
        holes = Canvas(shape)
        wide, high = extent(shape)
        for _ in range(dice.count(self, "count")):
            centre, radius = rng.random(2) * (wide, high), size * rng.uniform(0.2, 1.0) ** 1.5
            around = centre + rng.normal(0, radius, (int(rng.integers(1, 5)), 2))
            around[0] = centre
            parts = radius * rng.uniform(0.2, 0.7, len(around))
            parts[0] = radius
            holes.patch(blobs(around, parts, 0.3, rng, corners=12))
        rough = elastic(elastic(holes.coverage(), 0.006, 12, rng), 0.0025, 50, rng)
        soft: Field = cv2.GaussianBlur(rough, (0, 0), max(0.4, feather * long_side(shape))).astype(np.float32)
        gap = smoothstep(0.4, 0.75, soft)
        return _torn(image, gap, np.maximum(smoothstep(0.12, 0.4, soft) - gap, 0), dice)
