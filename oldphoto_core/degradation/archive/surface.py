"""Damage to the layer that carries the image: cracked emulsion, folds and creases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np

from oldphoto_core.degradation.archive.blending import blend, mark, settle
from oldphoto_core.degradation.archive.canvas import Canvas, Points
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Cracks(Operation):
    """Gelatine that dried and shrank on a support that did not: a network of cracks, some of its islands fallen off.

    Coarse cracks come first and release the tension; finer ones divide what lies between them.
    """

    name: ClassVar[str] = "cracks"

    probability: Share = 0.15
    """How often a damaged photo has them."""
    cells: Annotated[Span, Within(3, 1000)] = (25, 80)
    """Number of islands between the coarse cracks, over a square picture; the fine ones are four times as many."""
    width: Annotated[Span, Within(0.0001, 0.02)] = (0.001, 0.0028)
    """Of coarse cracks, in long sides; fine ones are half as wide."""
    opacity: Annotated[Span, Within(0.01, 1.0)] = (0.35, 0.95)
    """Where the crack is widest open."""
    reach: Annotated[Span, Within(0.01, 1.0)] = (0.08, 0.5)
    """Share of the picture whose emulsion has cracked."""
    fallen: Annotated[Span, Within(0.0, 0.5)] = (0.0, 0.05)
    """Share of the fine islands within the cracked part that have fallen off."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Edges of two Voronoi tessellations, pushed about, within a patch of noise."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        is_bright = dice.choose("tone", ("bright", "dark")) == "bright"
        cells, width = dice.count(self, "cells"), dice.draw(self, "width")
        coarse, fine, flakes = Canvas(shape), Canvas(shape), Canvas(shape)
        for island in _islands(shape, cells, rng):
            coarse.line(island, width * rng.uniform(0.5, 1.0))
        islands = _islands(shape, 4 * cells, rng)
        gone = rng.random(len(islands)) < dice.draw(self, "fallen")
        for island in islands:
            fine.line(island, width * 0.5)
        flakes.patch(_shrunk(island, rng) for island, off in zip(islands, gone, strict=True) if off)
        within = _patch(shape, dice.draw(self, "reach"), rng)
        network = np.maximum(coarse.coverage(), fine.coverage() * smoothstep(0.55, 0.95, within))
        moved = elastic(np.dstack([network, flakes.coverage()]), 0.006, 14, rng)
        opened, bare = moved[..., 0] * within * wear(shape, 12, rng, 0.7, 0.4), moved[..., 1] * (within > 0.6)
        opened *= np.float32(dice.draw(self, "opacity"))
        nothing = np.zeros_like(opened)
        bright, dark = (opened, nothing) if is_bright else (nothing, opened)
        values = mark(image.astype(np.float32), bright, dark, dice)
        values = blend(values, (float(dice.once.uniform(200, 250)),) * 3, bare, "cover")
        return settle(image, values, opaque=True, hidden=bare > 0.5)


def _islands(shape: Shape, count: int, rng: np.random.Generator) -> list[Points]:
    """Closed outlines of a Voronoi tessellation that covers the picture and its surroundings."""
    wide, high = extent(shape)
    count = max(4, round(count * wide * high))
    # whole steps of a fixed grid: OpenCV's subdivision wants float32 points that are not all but equal
    grid = 2**14
    net = cv2.Subdiv2D((-grid, -grid, 3 * grid, 3 * grid))
    sites = np.rint((rng.random((count, 2)) * 1.2 - 0.1) * (wide * grid, high * grid))
    for x, y in sites:
        net.insert((float(x), float(y)))
    facets, _ = net.getVoronoiFacetList([])
    return [np.concatenate([facet, facet[:1]]).astype(np.float32) / np.float32(grid) for facet in facets]


def _shrunk(island: Points, rng: np.random.Generator) -> Points:
    """What comes off first is the middle of an island: its rims have curled away from the cracks and hold."""
    middle = island.mean(axis=0)
    shrunk: Points = middle + (island - middle) * np.float32(rng.uniform(0.35, 0.95))
    return shrunk


def _patch(shape: Shape, reach: float, rng: np.random.Generator) -> Field:
    """Opacity of a region with soft, irregular borders that covers the share `reach` of the picture."""
    ground = noise(shape, 2.5, rng, octaves=3)
    level = float(np.quantile(ground, 1.0 - reach))
    return smoothstep(level - 0.25, level + 0.25, ground)


@dataclass(frozen=True, kw_only=True, slots=True)
class Folds(Operation):
    """A print bent sharply: a ridge that catches light beside a valley in shade, and emulsion broken off along it.

    Light falls on one flank of the ridge, so the two flat parts also differ a little in tone.
    """

    name: ClassVar[str] = "folds"

    probability: Share = 0.25
    """How often a damaged photo has them."""
    count: Annotated[Span, Within(1, 20)] = (1, 3)
    """Number of folds."""
    width: Annotated[Span, Within(0.0002, 0.05)] = (0.0016, 0.0042)
    """Of each of the two lines, in long sides."""
    contrast: Annotated[Span, Within(1, 255)] = (22, 95)
    """Of the lines against the picture, in levels of 255."""
    shading: Annotated[Span, Within(0, 100)] = (3, 20)
    """Difference in tone between the two sides of the fold, in levels of 255."""
    broken: Annotated[Span, Within(0.0, 1.0)] = (0.05, 0.75)
    """Share of the ridge along which the emulsion has come off."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Signed distance to the fold, given a profile; the shading is not part of what is lost."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        drawn = {name: dice.draw(self, name) for name in ("width", "contrast", "shading", "broken")}
        width = np.float32(max(drawn["width"], 0.8 / long_side(shape)))
        values = image.astype(np.float32)
        lines, bare = np.zeros(shape, bool), np.zeros(shape, np.float32)
        for _ in range(dice.count(self, "count")):
            distance = _crease(shape, rng)
            pressed = wear(shape, 5, rng, 0.75, 0.3)
            near = distance / width
            ridge = np.exp(-np.square(near - 1)) - np.float32(0.8) * np.exp(-np.square(near + 1))
            flank = np.sign(distance) * np.exp(-np.abs(distance) / np.float32(0.06))
            relief = np.float32(drawn["contrast"]) * ridge + np.float32(drawn["shading"]) * flank
            values += (pressed * relief)[..., None]
            ragged = np.abs(near) + np.float32(0.6) * noise(shape, 60, rng)
            chipped = smoothstep(-0.15, 0.15, noise(shape, 16, rng, octaves=2) - _above(drawn["broken"]))
            bare = np.maximum(bare, chipped * (np.float32(1.0) - smoothstep(0.7, 1.5, ragged)))
            lines |= np.abs(near) < 3
        values = blend(values, (float(dice.once.uniform(215, 252)),) * 3, bare, "cover")
        return settle(image, values, opaque=lines)


def _above(part: float) -> np.float32:
    """The level that noise of mean 0 and variance 1 exceeds on about this share of the picture."""
    return np.float32(np.log(1.0 / min(0.999, max(0.001, part)) - 1.0) / 1.7)


def _crease(shape: Shape, rng: np.random.Generator) -> Field:
    """Signed distance in long sides to a nearly straight line: across the picture, or off a corner."""
    x, y = coordinates(shape)
    wide, high = extent(shape)
    if rng.random() < 0.35:
        legs = rng.uniform(0.15, 0.55, 2)
        corner = rng.integers(0, 2, 2) * (wide, high)
        normal = np.array([legs[1], legs[0]]) * np.where(corner > 0, -1, 1)
        normal /= np.linalg.norm(normal)
        offset = float(normal @ corner) + float(legs[0] * legs[1] / np.hypot(*legs))
    else:
        angle = rng.integers(0, 2) * np.pi / 2 + rng.normal(0, 0.12)
        normal = np.array([np.cos(angle), np.sin(angle)])
        offset = float(normal @ (rng.uniform(0.15, 0.85, 2) * (wide, high)))
    straight = x * np.float32(normal[0]) + y * np.float32(normal[1]) - np.float32(offset)
    wobble = np.float32(0.004) * noise(shape, 4, rng) + np.float32(0.0012) * noise(shape, 24, rng)
    return (straight + wobble) * np.float32(1.0 if rng.random() < 0.5 else -1.0)
