"""Many thin strands: hair, grass, bare twigs and lace."""

from __future__ import annotations

import numpy as np

from oldphoto_core.degradation.archive.canvas import Canvas, curve
from oldphoto_core.training.detection.thin_structures.sketch import Sketch, ellipse

HAIR = 0.0011
"""Width of a strand of hair, in long sides."""
MOST_TWIGS = 150


def hair(sketch: Sketch, rng: np.random.Generator) -> None:
    """Strands of hair or of fur that lie beside each other, dark and light, and some that stray."""
    layers = (sketch.layer("dark", opacity=0.8), sketch.layer("bright", opacity=0.6))
    root, heading = np.asarray(sketch.point(rng)), rng.uniform(0, 2 * np.pi)
    breadth, length, curl = rng.uniform(0.02, 0.2), rng.uniform(0.06, 0.35), rng.uniform(0.2, 1.6)
    bend = rng.normal(0, curl)
    across = np.array([-np.sin(heading), np.cos(heading)])
    share = rng.uniform(0.2, 0.8)
    for _ in range(int(rng.integers(25, 120))):
        start = root + across * rng.normal(0, breadth / 2)
        path = curve((float(start[0]), float(start[1])), heading + rng.normal(0, 0.08), length, 0.15, rng, 16)
        # strands of one lock bend together
        turned = bend * np.linspace(0, 1, 16) ** 2 * length * 0.5 * rng.uniform(0.7, 1.3)
        path = (path + across * turned[:, None]).astype(np.float32)
        layers[int(rng.random() < share)].stroke(path, HAIR * rng.uniform(0.6, 1.5))


def grass(sketch: Sketch, rng: np.random.Generator) -> None:
    """Blades that grow from a line upward and lean with the wind, the nearer ones larger."""
    layers = (sketch.layer("dark", opacity=0.85), sketch.layer("bright", opacity=0.75))
    ground, wind = rng.uniform(0.5, 1.1) * sketch.high, rng.normal(0, 0.3)
    left, right = np.sort(rng.uniform(-0.1, 1.1, 2)) * sketch.wide
    height, share = rng.uniform(0.04, 0.2), rng.uniform(0.2, 0.8)
    for _ in range(int(rng.integers(40, 160))):
        nearer = rng.uniform(0.5, 1.0)
        start = (rng.uniform(left, max(right, left + 0.1)), ground + nearer * 0.06)
        lean = -np.pi / 2 + wind + rng.normal(0, 0.22)
        path = curve(start, lean, height * nearer * rng.uniform(0.5, 1.2), 0.5, rng, 12)
        _blade(layers[int(rng.random() < share)], path, 0.003 * nearer * rng.uniform(0.4, 1.2))


def _blade(canvas: Canvas, path: np.ndarray, width: float) -> None:
    """A line that thins out toward its tip."""
    parts = np.array_split(np.arange(len(path)), 3)
    for part, share in zip(parts, (1.0, 0.7, 0.4), strict=True):
        canvas.line(path[part[0] : part[-1] + 2], width * share)


def twigs(sketch: Sketch, rng: np.random.Generator) -> None:
    """A bare branch that forks, each fork thinner than what bears it, against the sky."""
    canvas = sketch.layer("dark" if rng.random() < 0.8 else "either", far=rng.random() < 0.5)
    side = rng.uniform(0, 1, 2) * (sketch.wide, sketch.high)
    side[int(rng.integers(2))] = rng.choice([0.0, 1.0])
    towards = np.asarray(sketch.point(rng, 0.3)) - side
    heading = float(np.arctan2(towards[1], towards[0]))
    growing = [(side, heading, rng.uniform(0.1, 0.25), rng.uniform(0.003, 0.012))]
    for _ in range(MOST_TWIGS):
        if not growing:
            return
        start, heading, length, width = growing.pop(0)
        path = curve((float(start[0]), float(start[1])), heading, length, 0.25, rng, 10)
        canvas.line(path, width)
        if width > 0.0008 and length > 0.012:
            for _ in range(int(rng.integers(2, 4))):
                fork = path[int(rng.integers(4, 10))]
                growing.append((fork, heading + rng.normal(0, 0.55), length * rng.uniform(0.5, 0.85), width * 0.62))


def lace(sketch: Sketch, rng: np.random.Generator) -> None:
    """The hem of lace: rows of loops and eyelets along a curve, and a net above them."""
    canvas, thread = sketch.layer("bright", opacity=0.9), rng.uniform(0.0009, 0.002)
    loop, start = rng.uniform(0.006, 0.016), np.asarray(sketch.point(rng, 0.1))
    heading = rng.normal(0, 0.4)
    hem = curve((float(start[0]), float(start[1])), heading, rng.uniform(0.15, 0.5), 0.6, rng, 80)
    steps = np.gradient(hem, axis=0)
    across = np.stack([-steps[:, 1], steps[:, 0]], axis=1) / np.maximum(np.hypot(*steps.T)[:, None], 1e-6)
    every = max(1, round(2 * loop / max(1e-4, float(np.hypot(*steps.T).mean()))))
    for row in range(int(rng.integers(2, 6))):
        offset = row * loop * 1.6
        line = (hem - across * offset).astype(np.float32)
        canvas.line(line, thread)
        for number, place in enumerate(line[::every]):
            way = across[::every][number]
            centre = place + way * loop * 0.5
            turn = float(np.arctan2(way[1], way[0]))
            canvas.line(ellipse((float(centre[0]), float(centre[1])), (loop * 0.6, loop * 0.9), turn, 14), thread)
            canvas.patch([ellipse((float(place[0]), float(place[1])), (loop * 0.22, loop * 0.22), 0.0, 8)])
