"""Masts, spars and what holds them: the rigging of ships, ladders, telegraph poles and lamp posts."""

from __future__ import annotations

import itertools

import numpy as np

from oldphoto_core.degradation.archive.canvas import Canvas
from oldphoto_core.training.detection.thin_structures.sketch import Sketch, between, fine, points, sagging

Place = tuple[float, float]


def rigging(sketch: Sketch, rng: np.random.Generator) -> None:
    """A ship's masts with yards, stays from mast to mast, and shrouds with the steps that are tied across them."""
    spars, ropes = sketch.layer("either", far=True), sketch.layer("either", far=True)
    width, lean = fine(rng, 0.0016), rng.normal(0, 0.05)
    deck, places = rng.uniform(0.6, 1.1) * sketch.high, np.sort(rng.uniform(-0.1, 1.1, int(rng.integers(1, 4))))
    tops: list[Place] = []
    for x in places * sketch.wide:
        height = rng.uniform(0.4, 0.9) * sketch.high
        foot, top = (x, deck), (x + lean * height, deck - height)
        taper(spars, foot, top, width * rng.uniform(4, 8))
        yards(spars, ropes, foot, top, width, rng)
        shrouds(ropes, foot, top, width, rng)
        tops.append(top)
    ends = [(tops[0][0] - rng.uniform(0.2, 0.5), deck), *tops, (tops[-1][0] + rng.uniform(0.2, 0.5), deck)]
    for one, other in itertools.pairwise(ends):
        for share in rng.uniform(0.0, 0.5, int(rng.integers(1, 4))):
            ropes.line(sagging(one, between(other, (other[0], deck), share), rng.uniform(0, 0.03)), width)


def yards(spars: Canvas, ropes: Canvas, foot: Place, top: Place, width: float, rng: np.random.Generator) -> None:
    """Spars across a mast, shorter toward its top, with lines from their ends."""
    tilt = rng.normal(0, 0.05)
    for share in np.sort(rng.uniform(0.35, 0.95, int(rng.integers(0, 4)))):
        middle = between(foot, top, share)
        half = rng.uniform(0.08, 0.2) * (1.3 - share)
        left, right = (middle[0] - half, middle[1] + tilt * half), (middle[0] + half, middle[1] - tilt * half)
        spars.line(points(left, right), width * 3)
        for end in (left, right):
            ropes.line(points(end, between(foot, top, min(1.0, share + 0.15))), width)


def shrouds(ropes: Canvas, foot: Place, top: Place, width: float, rng: np.random.Generator) -> None:
    """Ropes that spread from high on a mast to the ship's side, with a ladder of lines across."""
    side, reach, count = float(rng.choice([-1, 1])), rng.uniform(0.08, 0.22), int(rng.integers(3, 7))
    high = between(foot, top, rng.uniform(0.5, 0.9))
    feet = [(foot[0] + side * reach * (0.4 + 0.6 * number / count), foot[1]) for number in range(count)]
    for end in feet:
        ropes.line(points(high, end), width)
    for share in np.linspace(0.15, 1.0, int(rng.integers(8, 22))):
        ropes.line(points(between(high, feet[0], share), between(high, feet[-1], share)), width * 0.8)


def taper(canvas: Canvas, foot: Place, top: Place, width: float) -> None:
    """A pole that is thinner toward its top."""
    outline = points(
        (foot[0] - width / 2, foot[1]), (foot[0] + width / 2, foot[1]),
        (top[0] + width / 4, top[1]), (top[0] - width / 4, top[1]),
    )  # fmt: skip
    canvas.patch([outline])


def ladders(sketch: Sketch, rng: np.random.Generator) -> None:
    """A ladder against a wall: two rails and rungs at even distances."""
    is_far = rng.random() < 0.5
    canvas, light = sketch.layer("either", far=is_far), sketch.layer("bright", opacity=0.5, far=is_far)
    foot, angle = sketch.point(rng), rng.normal(-np.pi / 2, 0.3)
    length, gap, width = rng.uniform(0.3, 0.9), rng.uniform(0.03, 0.1), rng.uniform(0.002, 0.007)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    narrower = rng.uniform(0.6, 1.0)
    sides = [(np.asarray(foot) + across * gap / 2 * side, side) for side in (-1, 1)]
    tops = [np.asarray(foot) + along * length + across * gap / 2 * side * narrower for _, side in sides]
    starts = [start for start, _ in sides]
    for start, top in zip(starts, tops, strict=True):
        canvas.line(np.stack([start, top]).astype(np.float32), width)
        light.line((np.stack([start, top]) + across * width * 0.3).astype(np.float32), width * 0.25)
    for share in np.linspace(0.04, 0.97, int(length / rng.uniform(0.025, 0.06))):
        rung = np.stack([start + share * (top - start) for start, top in zip(starts, tops, strict=True)])
        canvas.line(rung.astype(np.float32), width * 0.7)


def poles(sketch: Sketch, rng: np.random.Generator) -> None:
    """Telegraph poles, flag poles and lamp posts, smaller in the distance, some with wires between them."""
    canvas, wire = sketch.layer("either", far=rng.random() < 0.5), sketch.layer("either", far=True)
    horizon, near = rng.uniform(0.4, 0.8) * sketch.high, rng.uniform(0.4, 1.1) * sketch.high
    away = sketch.point(rng)[0]
    x, tops = rng.uniform(-0.1, 1.1) * sketch.wide, []
    for share in np.cumprod(np.full(int(rng.integers(1, 6)), rng.uniform(0.45, 0.75))) / 0.6:
        place, size = away + (x - away) * share, near * share
        foot, top = (place, horizon + size * 0.35), (place + rng.normal(0, 0.01) * size, horizon - size * 0.65)
        taper(canvas, foot, top, max(0.0016, 0.016 * size))
        arms(canvas, top, size, rng)
        tops.append(top)
    for one, other in itertools.pairwise(tops):
        for offset in (-0.02, 0.0, 0.02):
            wire.line(sagging((one[0] + offset, one[1]), (other[0] + offset / 2, other[1]), 0.01), 0.0009)


def arms(canvas: Canvas, top: Place, size: float, rng: np.random.Generator) -> None:
    """Cross-arms with insulators, or a lamp."""
    for number in range(int(rng.integers(0, 4))):
        y, half = top[1] + size * (0.03 + 0.04 * number), size * rng.uniform(0.03, 0.08)
        canvas.line(points((top[0] - half, y), (top[0] + half, y)), max(0.0012, 0.007 * size))
        for x in np.linspace(-half, half, 4):
            canvas.line(points((top[0] + x, y), (top[0] + x, y - size * 0.012)), max(0.001, 0.005 * size))
