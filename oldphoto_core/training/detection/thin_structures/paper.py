"""Bright patches with straight edges: papers in a hand, collars and cuffs."""

from __future__ import annotations

import numpy as np

from oldphoto_core.degradation.archive.canvas import Points
from oldphoto_core.training.detection.thin_structures.sketch import Sketch, points


def papers(sketch: Sketch, rng: np.random.Generator) -> None:
    """A letter, a newspaper or an open book: a bright sheet with its shadow, and lines of small print."""
    sheet, corner = _sheet(sketch, rng)
    shade = sketch.layer("dark", opacity=rng.uniform(0.2, 0.6))
    shade.patch([(sheet + np.float32(rng.uniform(0.003, 0.01))).astype(np.float32)])
    sketch.layer("bright", uneven=rng.uniform(3, 9)).patch([sheet])
    if rng.random() < 0.6:
        ink, lines = sketch.layer("dark", opacity=rng.uniform(0.3, 0.7)), int(rng.integers(3, 14))
        across, down = sheet[1] - sheet[0], sheet[3] - sheet[0]
        for share in np.linspace(0.12, 0.88, lines):
            start = corner + down * share + across * 0.1
            ink.line(np.stack([start, start + across * rng.uniform(0.4, 0.8)]).astype(np.float32), 0.0009)
    if rng.random() < 0.3:
        fold = sketch.layer("dark", opacity=0.4)
        fold.line(np.stack([(sheet[0] + sheet[1]) / 2, (sheet[2] + sheet[3]) / 2]).astype(np.float32), 0.0012)


def _sheet(sketch: Sketch, rng: np.random.Generator) -> tuple[Points, Points]:
    """Corners of a sheet in a hand, clockwise, seen from the side, and its first corner."""
    turn, size, shape = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.2), rng.uniform(0.5, 1.0)
    across = np.array([np.cos(turn), np.sin(turn)]) * size
    down = np.array([-np.sin(turn), np.cos(turn)]) * size * shape * rng.uniform(0.5, 1.0)
    corner = np.asarray(sketch.point(rng))
    lean = across * rng.normal(0, 0.15)
    sheet = np.stack([corner, corner + across, corner + across + down + lean, corner + down + lean])
    return sheet.astype(np.float32), corner.astype(np.float32)


def collars(sketch: Sketch, rng: np.random.Generator) -> None:
    """A white collar with its two points above a dark coat, or the shirt front between lapels."""
    x, y = sketch.point(rng, 0.1)
    wide, high = rng.uniform(0.02, 0.08), rng.uniform(0.02, 0.09)
    coat, white, seam = (
        sketch.layer("dark", uneven=4.0),
        sketch.layer("bright", uneven=5.0),
        sketch.layer("dark", opacity=0.6),
    )
    coat.patch([points((x - wide * 2.6, y + high * 1.1), (x, y + high * 3), (x + wide * 2.6, y + high * 1.1),
                       (x + wide, y - high * 0.1), (x - wide, y - high * 0.1))])  # fmt: skip
    for side in (-1, 1):
        tip = (x + side * wide * rng.uniform(0.3, 0.7), y + high)
        white.patch([points((x, y + high * 0.25), (x + side * wide, y - high * 0.3), (x + side * wide * 1.1, y), tip)])
        seam.line(points((x + side * wide * 1.1, y), tip, (x, y + high * 0.25)), 0.0012)
    if rng.random() < 0.6:
        white.patch([points((x - wide * 0.35, y + high * 0.5), (x + wide * 0.35, y + high * 0.5), (x, y + high * 2.6))])


def cuffs(sketch: Sketch, rng: np.random.Generator) -> None:
    """A narrow white band between a dark sleeve and a hand, with a button."""
    white, seam = sketch.layer("bright", uneven=4.0), sketch.layer("dark", opacity=0.7)
    for _ in range(int(rng.integers(1, 3))):
        turn, (x, y) = rng.uniform(0, 2 * np.pi), sketch.point(rng, 0.1)
        wide, high = rng.uniform(0.02, 0.06), rng.uniform(0.005, 0.018)
        across, down = np.array([np.cos(turn), np.sin(turn)]) * wide, np.array([-np.sin(turn), np.cos(turn)]) * high
        first = np.array([x, y])
        bulge = first + across / 2 - down * 0.3
        band = np.stack([first, bulge, first + across, first + across + down, bulge + down, first + down])
        white.patch([band.astype(np.float32)])
        seam.line(np.stack([first + down, bulge + down, first + across + down]).astype(np.float32), 0.0014)
        if rng.random() < 0.5:
            button = first + across * 0.8 + down * 0.5
            seam.line(np.stack([button, button + down * 0.05]).astype(np.float32), 0.003)
