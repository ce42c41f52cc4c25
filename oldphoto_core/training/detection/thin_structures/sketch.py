"""What a drawer draws into: layers of coverage, each with the tone it is to have and how it lies in the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from oldphoto_core.degradation.archive.canvas import Canvas, Points
from oldphoto_core.degradation.archive.fields import Shape, extent

Level = Literal["dark", "bright", "either"]
"""Tone against the picture; `either` is what stands out from what lies below."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """Coverage of one tone."""

    canvas: Canvas
    """What is covered."""
    level: Level = "either"
    """Which of the picture's tones it has."""
    opacity: float = 1.0
    """Where it covers a pixel as a whole."""
    far: bool = False
    """Whether it lies behind objects, which hide it, and fades with the distance along its length."""
    on_print: bool = False
    """Whether it is on the print and not in the picture: ink and borders have neither its blur nor its grain."""
    uneven: float = 0.0
    """Standard deviation of slow changes of its tone, in levels of 255: paper and card are lit unevenly."""


class Sketch:
    """Layers over a picture of `shape`; lengths are in long sides, as in `Canvas`."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.wide, self.high = extent(shape)
        self.layers: list[Layer] = []

    def layer(
        self,
        level: Level = "either",
        *,
        opacity: float = 1.0,
        far: bool = False,
        on_print: bool = False,
        uneven: float = 0.0,
    ) -> Canvas:
        """A new layer above the others; returns the canvas to draw into."""
        canvas = Canvas(self.shape)
        self.layers.append(
            Layer(canvas=canvas, level=level, opacity=opacity, far=far, on_print=on_print, uneven=uneven)
        )
        return canvas

    def point(self, rng: np.random.Generator, margin: float = 0.0) -> tuple[float, float]:
        """Somewhere in the picture, `margin` of its sides away from its edges."""
        x, y = rng.uniform(margin, 1.0 - margin, 2)
        return float(x * self.wide), float(y * self.high)


def fine(rng: np.random.Generator, most: float = 0.003) -> float:
    """Width of a thin line: from half a pixel to two of a picture of 768; small ones are the more frequent."""
    return float(np.exp(rng.uniform(np.log(0.0007), np.log(most))))


def points(*pairs: tuple[float, float]) -> Points:
    """Corners as an array."""
    return np.array(pairs, np.float32)


def sagging(start: tuple[float, float], end: tuple[float, float], sag: float, count: int = 24) -> Points:
    """A parabola between two points whose middle hangs `sag` below their chord."""
    along = np.linspace(0.0, 1.0, count)
    x = start[0] + along * (end[0] - start[0])
    y = start[1] + along * (end[1] - start[1]) + 4.0 * sag * along * (1.0 - along)
    return np.stack([x, y], axis=1).astype(np.float32)


def between(start: tuple[float, float], end: tuple[float, float], share: float) -> tuple[float, float]:
    """The point at `share` of the way."""
    return (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))


def ellipse(centre: tuple[float, float], radii: tuple[float, float], turn: float = 0.0, count: int = 48) -> Points:
    """A closed ellipse, turned by `turn` radians."""
    angles = np.linspace(0.0, 2 * np.pi, count)
    x, y = radii[0] * np.cos(angles), radii[1] * np.sin(angles)
    turned = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1)
    placed: Points = (turned + np.asarray(centre)).astype(np.float32)
    return placed


def ring(outer: Points, inner: Points) -> Points:
    """One outline that encloses what lies between two, as fills count crossings."""
    return np.concatenate([outer, outer[:1], inner, inner[:1], outer[:1]]).astype(np.float32)
