"""Thin damage on or above the emulsion: scratches, hairs, dust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from oldphoto_core.degradation.archive.blending import mark, settle
from oldphoto_core.degradation.archive.canvas import Canvas, blobs, curve
from oldphoto_core.degradation.archive.fields import Shape, elastic, extent, wear
from oldphoto_core.degradation.archive.operation import Dice, Operation, Outcome, Share, Span, Within
from oldphoto_core.degradation.unstructured import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class Scratches(Operation):
    """Emulsion ploughed off by grit: bright where white paper shows, dark where dirt has settled or a negative was hit.

    One pass of a sleeve or a projector gate leaves a bundle of nearly parallel strokes, pressed unevenly.
    """

    name: ClassVar[str] = "scratches"

    probability: Share = 0.5
    """How often a damaged photo has them."""
    bundles: Annotated[Span, Within(1, 50)] = (1, 5)
    """Number of bundles."""
    strokes: Annotated[Span, Within(1, 50)] = (1, 5)
    """Number of strokes in a bundle, each about half as long and three quarters as wide as drawn below."""
    width: Annotated[Span, Within(0.0001, 0.05)] = (0.0012, 0.005)
    """Of a stroke, in long sides."""
    length: Annotated[Span, Within(0.01, 2.0)] = (0.2, 0.9)
    """Of the longest strokes, in long sides."""
    opacity: Annotated[Span, Within(0.01, 1.0)] = (0.4, 1.0)
    """At full pressure."""
    bend: Annotated[Span, Within(0.0, 6.0)] = (0.06, 0.35)
    """How far a stroke turns from end to end, in radians."""
    dark: Share = 0.3
    """Share of dark bundles."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Two layers, one bright and one dark, each with its own blend and its own opacity along the strokes."""
        shape = (image.shape[0], image.shape[1])
        layers = {True: Canvas(shape), False: Canvas(shape)}
        count, width, length = dice.count(self, "bundles"), dice.draw(self, "width"), dice.draw(self, "length")
        strokes, bend = dice.count(self, "strokes"), dice.draw(self, "bend")
        main = dice.rng.uniform(0, np.pi)
        for _ in range(count):
            # most passes follow the way the print was pushed in and out of its sleeve
            heading = main + dice.rng.normal(0, 0.12) if dice.rng.random() < 0.6 else dice.rng.uniform(0, np.pi)
            bundle = int(dice.rng.integers(1, strokes + 1))
            self._bundle(layers[bool(dice.rng.random() < self.dark)], shape, heading, bundle, width, length, bend, dice)
        opacity = dice.draw(self, "opacity")
        drawn = elastic(np.dstack([layers[False].coverage(), layers[True].coverage()]), 0.001, 12, dice.rng)
        drawn *= (np.float32(opacity) * wear(shape, 10, dice.rng, 0.75, 0.3))[..., None]
        return settle(image, mark(image.astype(np.float32), drawn[..., 0], drawn[..., 1], dice), opaque=True)

    @staticmethod
    def _bundle(
        layer: Canvas, shape: Shape, heading: float, strokes: int, width: float, length: float, bend: float, dice: Dice
    ) -> None:
        rng = dice.rng
        wide, high = extent(shape)
        middle = rng.random(2) * (wide, high)
        along, across = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
        for _ in range(strokes):
            reach = length * rng.uniform(0.25, 1.0)
            start = middle + across * rng.normal(0, 0.018) + along * (rng.normal(0, 0.08) - reach / 2)
            path = curve((float(start[0]), float(start[1])), heading + rng.normal(0, 0.04), reach, bend, rng)
            layer.stroke(path, width * rng.uniform(0.5, 1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Hairs(Operation):
    """Hairs and fibres on the scanner's glass or caught under the enlarger: long, thin, curled, nearly opaque."""

    name: ClassVar[str] = "hairs"

    probability: Share = 0.12
    """How often a damaged photo has them."""
    count: Annotated[Span, Within(1, 100)] = (1, 5)
    """Number of hairs."""
    width: Annotated[Span, Within(0.0001, 0.02)] = (0.0012, 0.0034)
    """In long sides."""
    length: Annotated[Span, Within(0.01, 2.0)] = (0.08, 0.4)
    """Of the longest hair, in long sides."""
    opacity: Annotated[Span, Within(0.01, 1.0)] = (0.55, 1.0)
    """At its thickest."""
    curl: Annotated[Span, Within(0.0, 12.0)] = (1.0, 3.0)
    """How far a hair turns from end to end, in radians."""
    dark: Share = 0.65
    """Share of dark hairs; one in the enlarger leaves a bright shadow."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Curled strokes, all of one opacity."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        layers = {True: Canvas(shape), False: Canvas(shape)}
        width, length, curl = (dice.draw(self, name) for name in ("width", "length", "curl"))
        wide, high = extent(shape)
        for _ in range(dice.count(self, "count")):
            start = (rng.random() * wide, rng.random() * high)
            path = curve(start, rng.uniform(0, 2 * np.pi), length * rng.uniform(0.3, 1.0), curl, rng, points=40)
            layers[bool(rng.random() < self.dark)].stroke(path, width * rng.uniform(0.7, 1.0))
        opacity = np.float32(dice.draw(self, "opacity"))
        bright, dark = (layer.coverage() * opacity for layer in (layers[False], layers[True]))
        return settle(image, mark(image.astype(np.float32), bright, dark, dice), opaque=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dust(Operation):
    """Specks on the negative (they print white) or on the print and the glass (dark): many, small, in drifts."""

    name: ClassVar[str] = "dust"

    probability: Share = 0.45
    """How often a damaged photo has it."""
    count: Annotated[Span, Within(1, 5000)] = (8, 160)
    """Number of specks."""
    size: Annotated[Span, Within(0.0002, 0.05)] = (0.0014, 0.0045)
    """Typical radius of a speck, in long sides; single ones are three times as large."""
    opacity: Annotated[Span, Within(0.01, 1.0)] = (0.6, 1.0)
    """At the middle of a speck."""
    dark: Share = 0.35
    """Share of dark specks."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Irregular grains, half of them gathered around a few places."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        layers = {True: Canvas(shape), False: Canvas(shape)}
        count, size = dice.count(self, "count"), dice.draw(self, "size")
        places = rng.random((count, 2))
        drifts = rng.random((3, 2))[rng.integers(0, 3, count)] + rng.normal(0, 0.12, (count, 2))
        places = np.where(rng.random((count, 1)) < 0.5, places, drifts) * extent(shape)
        radii = size * np.clip(rng.lognormal(-0.2, 0.5, count), 0.4, 3.0)
        grains = blobs(places, radii, 0.35, rng, corners=7)
        dark_ones = rng.random(count) < self.dark
        for is_dark, layer in layers.items():
            layer.patch(grains[dark_ones == is_dark])
        opacity = np.float32(dice.draw(self, "opacity")) * wear(shape, 16, rng, 0.85, 0.25)
        bright, dark = (layer.coverage() * opacity for layer in (layers[False], layers[True]))
        return settle(image, mark(image.astype(np.float32), bright, dark, dice), opaque=True)
