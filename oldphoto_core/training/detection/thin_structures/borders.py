"""What surrounds pictures: printed frames, mounts of card, scalloped edges, and lines that run right across."""

from __future__ import annotations

import itertools

import numpy as np

from oldphoto_core.degradation.archive.canvas import Points
from oldphoto_core.training.detection.thin_structures.sketch import Sketch, ellipse, fine, points, ring


def frames(sketch: Sketch, rng: np.random.Generator) -> None:
    """Straight lines around the picture, printed on it; or the frame of a painting on the wall behind people."""
    if rng.random() < 0.6:
        canvas = sketch.layer("bright" if rng.random() < 0.5 else "dark", on_print=True)
        margin, width = rng.uniform(0.01, 0.08), fine(rng, 0.005)
        for number in range(int(rng.integers(1, 4))):
            inset = margin + number * width * rng.uniform(2, 5)
            canvas.line(_rectangle(sketch, inset, rng), width)
        return
    canvas, light = sketch.layer("either", uneven=5.0), sketch.layer("bright", opacity=0.5)
    (x, y), wide, high, skew = sketch.point(rng), rng.uniform(0.08, 0.4), rng.uniform(0.08, 0.4), rng.normal(0, 0.03)
    width = rng.uniform(0.004, 0.02)
    outline = points((x, y), (x + wide, y + skew * wide), (x + wide, y + high), (x, y + high), (x, y))
    canvas.line(outline, width)
    light.line((outline + np.float32(width * 0.3)).astype(np.float32), width * 0.2)


def _rectangle(sketch: Sketch, inset: float, rng: np.random.Generator, tilt: float = 0.0015) -> Points:
    """Closed, `inset` from the edges, and a little askew as prints are."""
    corners = [
        (inset, inset), (sketch.wide - inset, inset), (sketch.wide - inset, sketch.high - inset),
        (inset, sketch.high - inset),
    ]  # fmt: skip
    askew = np.array(corners) + rng.normal(0, tilt, (4, 2))
    return np.concatenate([askew, askew[:1]]).astype(np.float32)


def _around(sketch: Sketch) -> Points:
    """More than the whole picture."""
    return points(
        (-0.1, -0.1), (sketch.wide + 0.1, -0.1), (sketch.wide + 0.1, sketch.high + 0.1), (-0.1, sketch.high + 0.1)
    )


def mounts(sketch: Sketch, rng: np.random.Generator) -> None:
    """A mount of card around the photo, with a rectangular or oval opening, its bevel, and lines of gold or ink."""
    margin = rng.uniform(0.02, 0.12)
    card = sketch.layer("bright" if rng.random() < 0.7 else "either", on_print=True, uneven=rng.uniform(2, 6))
    bevel = sketch.layer("dark", on_print=True, opacity=rng.uniform(0.3, 0.8))
    lines = sketch.layer("dark", on_print=True, opacity=rng.uniform(0.4, 0.9))
    if rng.random() < 0.3:
        middle, radii = (sketch.wide / 2, sketch.high / 2), (sketch.wide / 2 - margin, sketch.high / 2 - margin)
        opening = ellipse(middle, radii, 0.0, 120)
        line = ellipse(middle, (radii[0] + margin * 0.3, radii[1] + margin * 0.3), 0.0, 120)
    else:
        opening, line = _rectangle(sketch, margin, rng), _rectangle(sketch, margin * rng.uniform(0.4, 0.8), rng)
    card.patch([ring(_around(sketch), opening)])
    bevel.line(opening, rng.uniform(0.001, 0.004))
    if rng.random() < 0.6:
        lines.line(line, fine(rng, 0.003))


def scalloped_edges(sketch: Sketch, rng: np.random.Generator) -> None:
    """The white margin of a snapshot whose edge is cut in waves, and the scanner's lid or bed beyond it."""
    beyond = sketch.layer("dark" if rng.random() < 0.6 else "bright", on_print=True, uneven=1.5)
    margin, depth, pitch = rng.uniform(0.02, 0.06), rng.uniform(0.002, 0.007), rng.uniform(0.012, 0.035)
    cut = margin * rng.uniform(0.15, 0.5)
    white = sketch.layer("bright", on_print=True, uneven=2.0)
    edge = _waves(_rectangle(sketch, cut, rng), depth, pitch, rng)
    white.patch([ring(edge, _rectangle(sketch, margin, rng))])
    beyond.patch([ring(_around(sketch), edge)])
    if rng.random() < 0.5:
        shade = sketch.layer("dark", on_print=True, opacity=0.5)
        shade.line(edge, rng.uniform(0.0008, 0.0025))


def _waves(rectangle: Points, depth: float, pitch: float, rng: np.random.Generator) -> Points:
    """The rectangle with sides in waves, as a deckle-edge trimmer cuts them: even, or a little ragged."""
    ragged, parts = rng.choice([0.1, 0.5]), []
    for start, end in itertools.pairwise(rectangle):
        length = float(np.hypot(*(end - start)))
        along = np.linspace(0, 1, max(8, round(length / pitch * 8)), endpoint=False)
        normal = np.array([-(end - start)[1], (end - start)[0]]) / max(length, 1e-6)
        wave = depth * (
            np.abs(np.sin(np.pi * along * max(1, round(length / pitch)))) + ragged * rng.normal(0, 0.3, len(along))
        )
        parts.append(start + along[:, None] * (end - start) + wave[:, None] * normal)
    return np.concatenate(parts).astype(np.float32)


def horizons(sketch: Sketch, rng: np.random.Generator) -> None:
    """Lines right across: the horizon of the sea, roofs, kerbs, rails and the edges of tables."""
    slope, y = rng.normal(0, 0.05), rng.uniform(0.1, 0.95) * sketch.high
    ends = (-0.05, y - slope * sketch.wide / 2), (sketch.wide + 0.05, y + slope * sketch.wide / 2)
    if rng.random() < 0.5:
        below = sketch.layer("dark", opacity=rng.uniform(0.1, 0.35), far=rng.random() < 0.5)
        below.patch([points(*ends, (sketch.wide + 0.05, sketch.high + 0.1), (-0.05, sketch.high + 0.1))])
    line, apart = sketch.layer("either", far=rng.random() < 0.7), rng.uniform(0.004, 0.04)
    for number in range(int(rng.integers(1, 4))):
        offset, wider = number * apart, number * apart * rng.uniform(0.5, 1.6)
        line.line(points((ends[0][0], ends[0][1] + offset), (ends[1][0], ends[1][1] + wider)), fine(rng, 0.004))
