"""Round and linked things: the spokes of wheels, chains, jewellery and spectacles."""

from __future__ import annotations

import numpy as np

from oldphoto_core.degradation.archive.canvas import Canvas, Points, curve
from oldphoto_core.training.detection.thin_structures.sketch import Sketch, ellipse, fine, sagging

MOST_LINKS = 160
"""Of one chain, each drawn twice."""


def wheels(sketch: Sketch, rng: np.random.Generator) -> None:
    """Wheels of carriages and bicycles: rim, hub and spokes, seen from the side."""
    canvas, light = sketch.layer("either"), sketch.layer("bright", opacity=0.45)
    centre, radius = sketch.point(rng), rng.uniform(0.06, 0.28)
    flat, turn = rng.uniform(0.45, 1.0), rng.normal(0, 0.3)
    is_wood = rng.random() < 0.5
    spoke = rng.uniform(0.003, 0.008) if is_wood else fine(rng, 0.0012)
    rim, count = rng.uniform(0.004, 0.012), int(rng.integers(8, 17) if is_wood else rng.integers(20, 40))
    for number in range(int(rng.integers(1, 3))):
        middle = (centre[0] + number * radius * rng.uniform(1.6, 2.6), centre[1])
        radii = np.array([radius * flat, radius])
        canvas.line(ellipse(middle, (radii[0], radii[1]), turn), rim)
        light.line(ellipse(middle, (radii[0] - rim * 0.3, radii[1] - rim * 0.3), turn), rim * 0.25)
        hub, ends = (
            ellipse(middle, (radii[0] * 0.1, radii[1] * 0.1), turn, count + 1),
            ellipse(middle, (radii[0], radii[1]), turn + (0.0 if is_wood else rng.uniform(0, 0.2)), count + 1),
        )
        canvas.patch([hub])
        for inner, outer in zip(hub[:-1], ends[:-1], strict=True):
            canvas.line(np.stack([inner, outer]), spoke)


def chains(sketch: Sketch, rng: np.random.Generator) -> None:
    """A chain of links that lie flat and on edge in turn: of a watch, of a well, of a ship."""
    body, light = sketch.layer("either"), sketch.layer("bright", opacity=rng.uniform(0.4, 0.9))
    link = rng.uniform(0.004, 0.018)
    start, length = sketch.point(rng), rng.uniform(0.12, 0.6)
    if rng.random() < 0.6:
        end = (start[0] + length * float(rng.choice([-1, 1])), start[1] + rng.normal(0, 0.05))
        path = sagging(start, end, rng.uniform(0.05, 0.5) * length, 200)
    else:
        path = curve(start, rng.uniform(0, 2 * np.pi), length, 0.8, rng, points=200)
    for number, (place, angle) in enumerate(_along(path, link * 1.45)):
        is_flat = number % 2 == 0
        radii = (link, link * (0.55 if is_flat else 0.2))
        body.line(ellipse(place, radii, angle, 16), link * 0.3)
        light.line(ellipse(place, radii, angle, 16)[8:13], link * 0.14)


def jewellery(sketch: Sketch, rng: np.random.Generator) -> None:
    """A necklace of beads with a pendant, a row of buttons, or spectacles."""
    kind = (_necklace, _buttons, _spectacles)[int(rng.integers(3))]
    kind(sketch, rng)


def _necklace(sketch: Sketch, rng: np.random.Generator) -> None:
    beads, light = sketch.layer("either"), sketch.layer("bright", opacity=0.8)
    size, span = rng.uniform(0.003, 0.01), rng.uniform(0.08, 0.3)
    left, top = sketch.point(rng)
    for row in range(int(rng.integers(1, 4))):
        path = sagging((left, top), (left + span, top), (0.2 + 0.18 * row + 0.4 * rng.random()) * span, 200)
        for place, _ in _along(path, size * rng.uniform(1.9, 2.6)):
            _bead(beads, light, place, size)
    if rng.random() < 0.6:
        lowest = path[np.argmax(path[:, 1])]
        _bead(beads, light, (float(lowest[0]), float(lowest[1]) + size * 3), size * rng.uniform(2, 3.5))


def _buttons(sketch: Sketch, rng: np.random.Generator) -> None:
    beads, light = sketch.layer("either"), sketch.layer("bright", opacity=0.7)
    size, start = rng.uniform(0.004, 0.014), sketch.point(rng)
    path = curve(start, rng.normal(np.pi / 2, 0.15), rng.uniform(0.1, 0.4), 0.15, rng, points=100)
    apart, rows = size * rng.uniform(4, 8), int(rng.integers(1, 3))
    for place, _ in _along(path, apart):
        for row in range(rows):
            _bead(beads, light, (place[0] + row * apart * 1.3, place[1]), size)


def _bead(body: Canvas, light: Canvas, place: tuple[float, float], size: float) -> None:
    """A ball with a light on its upper left."""
    body.patch([ellipse(place, (size, size), 0.0, 14)])
    light.patch([ellipse((place[0] - size * 0.35, place[1] - size * 0.35), (size * 0.3, size * 0.3), 0.0, 8)])


def _spectacles(sketch: Sketch, rng: np.random.Generator) -> None:
    wire, (x, y) = sketch.layer("either"), sketch.point(rng)
    size, width = rng.uniform(0.015, 0.05), rng.uniform(0.0012, 0.003)
    turn, oval = rng.normal(0, 0.1), rng.uniform(0.7, 1.0)
    apart = np.array([np.cos(turn), np.sin(turn)]) * size * 1.35
    for side in (-1, 1):
        lens = np.array([x, y]) + side * apart
        wire.line(ellipse((float(lens[0]), float(lens[1])), (size, size * oval), turn), width)
        hinge = lens + side * apart * 0.74
        wire.line(np.stack([hinge, hinge + side * apart * 0.7 + [0, size * 0.2]]).astype(np.float32), width)
    bridge = [tuple(map(float, np.array([x, y]) + side * apart * 0.27)) for side in (-1, 1)]
    wire.line(sagging((bridge[0][0], bridge[0][1]), (bridge[1][0], bridge[1][1]), -size * 0.25), width)


def _along(path: Points, apart: float) -> list[tuple[tuple[float, float], float]]:
    """Places at even distances along a path, and its heading there in radians."""
    steps = np.diff(path, axis=0)
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])
    wanted = np.arange(0.0, lengths[-1], apart)[:MOST_LINKS]
    x, y = (np.interp(wanted, lengths, path[:, axis]) for axis in (0, 1))
    headings = np.arctan2(*steps[np.clip(np.searchsorted(lengths, wanted), 1, len(steps)) - 1].T[::-1])
    return [((float(a), float(b)), float(angle)) for a, b, angle in zip(x, y, headings, strict=True)]
