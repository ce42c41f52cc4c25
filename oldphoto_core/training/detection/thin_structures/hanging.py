"""What hangs between supports: telegraph and tram wires, and the cables of bridges."""

from __future__ import annotations

import itertools

import numpy as np

from oldphoto_core.degradation.archive.canvas import Canvas
from oldphoto_core.training.detection.thin_structures.sketch import Sketch, between, fine, points, sagging


def wires(sketch: Sketch, rng: np.random.Generator) -> None:
    """Telegraph wires: some that hang alike, and come together in the distance."""
    canvas, width = sketch.layer("either", far=True), fine(rng)
    top, fall = rng.uniform(-0.05, 0.6) * sketch.high, rng.normal(0, 0.2) * sketch.high
    distance, nearer = rng.uniform(0.012, 0.06), np.exp(rng.normal(0, 0.6))
    sag = rng.uniform(0.0, 0.09)
    for number in range(int(rng.integers(2, 8))):
        left = (-0.02, top + number * distance)
        right = (sketch.wide + 0.02, top + fall + number * distance * nearer)
        canvas.line(sagging(left, right, sag * rng.uniform(0.85, 1.15)), width)


def crossing_wires(sketch: Sketch, rng: np.random.Generator) -> None:
    """Overhead wires above a street: they cross, run towards a point, and are held by short spans."""
    canvas, meet = sketch.layer("either", far=True), sketch.point(rng, 0.25)
    ends = []
    for _ in range(int(rng.integers(3, 7))):
        end = (rng.uniform(-0.4, 1.4) * sketch.wide, -0.02)
        ends.append(end)
        canvas.line(sagging(end, meet, rng.uniform(0, 0.02)), fine(rng, 0.0022))
    for _ in range(int(rng.integers(1, 5))):
        height = rng.uniform(0.05, 0.5) * sketch.high
        slope, sag = rng.normal(0, 0.06), rng.uniform(0.0, 0.05)
        canvas.line(sagging((-0.02, height), (sketch.wide + 0.02, height + slope), sag), fine(rng, 0.0018))
    for one, other in itertools.pairwise(ends):
        for share in rng.uniform(0.1, 0.8, int(rng.integers(0, 4))):
            canvas.line(points(between(one, meet, share), between(other, meet, share)), fine(rng, 0.0012))


def suspension(sketch: Sketch, rng: np.random.Generator) -> None:
    """A suspension bridge: main cables between towers, hangers at even distances down to the deck."""
    canvas, width = sketch.layer("either", far=True), fine(rng, 0.004)
    deck, tilt = rng.uniform(0.4, 0.95) * sketch.high, rng.normal(0, 0.04)
    height, span = rng.uniform(0.15, 0.5) * sketch.high, rng.uniform(0.4, 1.3) * sketch.wide
    first = rng.uniform(-1.0, 0.2) * sketch.wide
    for x in np.arange(first, sketch.wide + span, span):
        tops = (x, deck - height + tilt * x), (x + span, deck - height + tilt * (x + span))
        cable = sagging(*tops, height * 0.9, 60)
        canvas.line(cable, width * 2.0)
        canvas.line(cable + np.array([0, width * 5], np.float32), width * 1.5)
        for place in cable[1 :: int(rng.integers(1, 4))]:
            canvas.line(points((place[0], place[1]), (place[0], deck + tilt * place[0])), width * 0.7)
        tower(canvas, x, deck + tilt * x, height, width)
    for offset in (0.0, 6.0 * width):
        canvas.line(points((-0.1, deck - tilt * 0.1 + offset), (1.1, deck + tilt * 1.1 + offset)), width * 2.5)


def tower(canvas: Canvas, x: float, foot: float, height: float, width: float) -> None:
    """Two legs with crosses between them."""
    half = 5 * width
    for side in (-half, half):
        canvas.line(points((x + side, foot), (x + side, foot - height * 1.04)), width * 3)
    steps = np.linspace(0, 1, 5)
    for low, high in itertools.pairwise(steps):
        canvas.line(points((x - half, foot - height * low), (x + half, foot - height * high)), width)
        canvas.line(points((x + half, foot - height * low), (x - half, foot - height * high)), width)


def cable_fan(sketch: Sketch, rng: np.random.Generator) -> None:
    """Cables that spread from the top of a mast to points at even distances: a fan, or a harp of parallels."""
    canvas, width = sketch.layer("either", far=True), fine(rng, 0.0025)
    x, foot = rng.uniform(-0.1, 1.1) * sketch.wide, rng.uniform(0.5, 1.05) * sketch.high
    height, count = rng.uniform(0.3, 0.9) * sketch.high, int(rng.integers(5, 24))
    is_harp, reach = rng.random() < 0.4, rng.uniform(0.3, 0.9)
    sides = (-1, 1) if rng.random() < 0.6 else (int(rng.choice([-1, 1])),)
    for side in sides:
        for share in (np.arange(count) + 1) / count:
            top = foot - height * (share if is_harp else rng.uniform(0.97, 1.0))
            canvas.line(points((x, top), (x + side * reach * share, foot)), width)
    canvas.line(points((x, foot + 0.02), (x, foot - height * 1.03)), width * rng.uniform(3, 7))
    canvas.line(points((x - reach, foot), (x + reach, foot)), width * 3)
