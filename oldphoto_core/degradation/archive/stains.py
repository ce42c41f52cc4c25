"""Damage that colours the picture and leaves it visible: stains, foxing, water marks. None of it needs filling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np

from oldphoto_core.degradation.archive.blending import Colour, absorb, settle
from oldphoto_core.degradation.archive.canvas import Canvas, blobs
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

STAIN_COLOURS: dict[str, Colour] = {
    "coffee": (0.45, 0.75, 1.25),
    "adhesive": (0.12, 0.3, 1.1),
    "mould": (0.8, 0.75, 0.95),
    "ink": (1.15, 1.0, 0.6),
}
"""Share of the density that each channel gains."""
RUST: Colour = (0.35, 0.85, 1.35)
"""Iron in the paper, and what fungi leave: absorbs blue most, red least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stains(Operation):
    """Liquid or glue that soaked in: irregular patches, mottled, often darker at the rim where they dried last."""

    name: ClassVar[str] = "stains"
    tints: ClassVar[bool] = True

    probability: Share = 0.22
    """How often a damaged photo has them."""
    count: Annotated[Span, Within(1, 50)] = (1, 4)
    """Number of stains."""
    size: Annotated[Span, Within(0.005, 1.0)] = (0.05, 0.24)
    """Radius of the largest, in long sides."""
    density: Annotated[Span, Within(0.01, 2.0)] = (0.12, 0.7)
    """Optical density (log10) that they add."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Distance from a centre, made uneven by noise of several octaves, cut off softly."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        x, y = coordinates(shape)
        wide, high = extent(shape)
        values = image.astype(np.float32)
        colour = STAIN_COLOURS[dice.choose("colour", tuple(STAIN_COLOURS))]
        size, density = dice.draw(self, "size"), dice.draw(self, "density")
        for _ in range(dice.count(self, "count")):
            centre, radius = rng.random(2) * (wide, high), size * rng.uniform(0.35, 1.0)
            stretch = rng.uniform(0.6, 1.0)
            apart = np.hypot((x - np.float32(centre[0])) * np.float32(stretch), y - np.float32(centre[1]))
            inside = np.float32(1.0) - apart * np.float32(1 / radius)
            inside += np.float32(0.35) * noise(shape, 0.6 / radius, rng, octaves=4)
            soaked = smoothstep(0.0, rng.uniform(0.08, 0.5), inside) * wear(shape, 1.5 / radius, rng, 0.8, 0.2)
            rim = np.float32(rng.uniform(0.0, 0.6)) * np.exp(-np.square(inside * np.float32(1 / 0.09)))
            values = absorb(values, np.float32(density) * (soaked + rim), colour)
        return settle(image, values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Foxing(Operation):
    """Rust-brown spots in damp paper, from iron and fungi: small, soft, each with a darker heart, in colonies."""

    name: ClassVar[str] = "foxing"
    tints: ClassVar[bool] = True

    probability: Share = 0.16
    """How often a damaged photo has it."""
    count: Annotated[Span, Within(1, 5000)] = (15, 130)
    """Number of spots."""
    size: Annotated[Span, Within(0.0005, 0.1)] = (0.003, 0.0095)
    """Typical radius of a spot, in long sides; single ones are three times as large."""
    density: Annotated[Span, Within(0.01, 2.0)] = (0.22, 0.85)
    """Optical density (log10) that a spot adds at its heart."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Irregular spots, blurred by the paper they spread in, with hearts blurred less."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        count, size, density = dice.count(self, "count"), dice.draw(self, "size"), dice.draw(self, "density")
        places = self._places(count, rng) * extent(shape)
        radii = size * np.clip(rng.lognormal(-0.3, 0.6, count), 0.3, 3.0)
        strength = rng.uniform(0.25, 1.0, count)
        spots, hearts = Canvas(shape), Canvas(shape)
        outlines, cores = blobs(places, radii, 0.3, rng), blobs(places, radii * 0.45, 0.4, rng)
        for outline, core, dark in zip(outlines, cores, strength, strict=True):
            spots.patch([outline], 0.6 * dark)
            hearts.patch([core], 0.6 * dark)
        sigma = max(0.3, 0.35 * size * long_side(shape))
        spread = cv2.GaussianBlur(elastic(spots.coverage(), 0.003, 40, rng), (0, 0), sigma)
        darker = cv2.GaussianBlur(hearts.coverage(), (0, 0), max(0.3, sigma / 3))
        added: Field = np.float32(density) * (spread + darker)
        return settle(image, absorb(image.astype(np.float32), added, RUST))

    @staticmethod
    def _places(count: int, rng: np.random.Generator) -> np.ndarray:
        """N2 in shares of the sides: half of them in four colonies, half anywhere."""
        colonies = rng.random((4, 2))[rng.integers(0, 4, count)] + rng.normal(0, 0.09, (count, 2))
        return np.where(rng.random((count, 1)) < 0.5, colonies, rng.random((count, 2)))


@dataclass(frozen=True, kw_only=True, slots=True)
class WaterMarks(Operation):
    """Tide lines: water came in from an edge, carried dirt with it, and left it where it stopped and dried."""

    name: ClassVar[str] = "water_marks"
    tints: ClassVar[bool] = True

    probability: Share = 0.14
    """How often a damaged photo has them."""
    reach: Annotated[Span, Within(0.01, 1.5)] = (0.12, 0.6)
    """How far the water came, in long sides."""
    width: Annotated[Span, Within(0.0003, 0.1)] = (0.003, 0.009)
    """Of a tide line, in long sides."""
    density: Annotated[Span, Within(0.01, 2.0)] = (0.2, 0.8)
    """Optical density (log10) of a tide line."""
    lines: Annotated[Span, Within(1, 10)] = (1, 3)
    """Number of tide lines: of times that it got wet."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Level lines of the distance from an edge or corner, sharp outside and fading inward."""
        shape = (image.shape[0], image.shape[1])
        reach, width, density = (dice.draw(self, name) for name in ("reach", "width", "density"))
        way, steepness = self._way(shape, dice.rng)
        laid = np.zeros(shape, np.float32)
        for number in range(dice.count(self, "lines")):
            inside = (np.float32(reach * 0.72**number) - way) / steepness
            tide = np.exp(-np.maximum(inside, 0) / np.float32(3 * width))
            tide *= np.exp(-np.square(np.minimum(inside, 0) / np.float32(0.35 * width)))
            laid += np.float32(dice.rng.uniform(0.5, 1.0)) * tide + np.float32(0.12) * (inside > 0)
        laid *= np.float32(density) * wear(shape, 6, dice.rng, 0.75, 0.3)
        return settle(image, absorb(image.astype(np.float32), laid, (0.55, 0.75, 1.0)))

    @staticmethod
    def _way(shape: Shape, rng: np.random.Generator) -> tuple[Field, Field]:
        """How far water had to come, in long sides, with bays and tongues; and how steeply that rises."""
        x, y = coordinates(shape)
        wide, high = extent(shape)
        across = x if rng.random() < 0.5 else np.float32(wide) - x
        down = y if rng.random() < 0.5 else np.float32(high) - y
        kind = int(rng.integers(3))
        base = across if kind == 0 else down if kind == 1 else np.hypot(across, down)
        way: Field = base + np.float32(0.07) * noise(shape, 2.5, rng) + np.float32(0.018) * noise(shape, 9, rng, 3)
        # divided by the slope, a line keeps its width wherever noise is steep or flat
        slopes = [cv2.Sobel(way, cv2.CV_32F, *axis, scale=long_side(shape) / 8) for axis in ((1, 0), (0, 1))]
        return way, np.maximum(np.hypot(*slopes), 0.4).astype(np.float32)
