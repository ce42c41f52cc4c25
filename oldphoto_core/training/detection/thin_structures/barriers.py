"""Rows of bars: railings, fences and the bars of windows."""

from __future__ import annotations

import itertools

import numpy as np

from oldphoto_core.degradation.archive.canvas import Canvas, Points
from oldphoto_core.training.detection.thin_structures.sketch import Sketch, ellipse, fine, points, sagging


def railings(sketch: Sketch, rng: np.random.Generator) -> None:
    """Bars at even distances between two rails that come together in the distance, lit from one side."""
    bars, light = sketch.layer("either"), sketch.layer("bright", opacity=rng.uniform(0.2, 0.6))
    width, gap = rng.uniform(0.0014, 0.005), rng.uniform(0.012, 0.05)
    tops, feet = _rails(sketch, rng, int(rng.integers(8, 60)), gap)
    for top, foot in zip(tops, feet, strict=True):
        bars.line(points(tuple(top), tuple(foot)), width)
        light.line(points((top[0] + width * 0.3, top[1]), (foot[0] + width * 0.3, foot[1])), width * 0.3)
        if rng.random() < 0.02:
            bars.patch([ellipse((float(top[0]), float(top[1])), (width * 2, width * 2))])
    for rail in (tops, feet, tops + (feet - tops) * np.float32(0.12)):
        bars.line(rail, width * 1.4)


def _rails(sketch: Sketch, rng: np.random.Generator, count: int, gap: float) -> tuple[Points, Points]:
    """Where bars meet the upper and the lower rail, N2 each; bars come closer toward one end."""
    left, height = rng.uniform(-0.2, 0.5) * sketch.wide, rng.uniform(0.1, 0.5)
    top, slope, closer = rng.uniform(0.2, 0.8) * sketch.high, rng.normal(0, 0.12), rng.normal(0, 0.5)
    along = np.arange(count) * gap
    along = along / (1.0 + abs(closer) * along / max(gap, float(along[-1])))
    shrinking = 1.0 - min(0.6, abs(closer) * 0.5) * along / max(gap, float(along[-1]))
    x = left + along if closer > 0 else sketch.wide - left - along
    upper = np.stack([x, top + slope * along], axis=1)
    lower = np.stack([x, top + slope * along + height * shrinking], axis=1)
    return upper.astype(np.float32), lower.astype(np.float32)


def fences(sketch: Sketch, rng: np.random.Generator) -> None:
    """Pickets, posts with wire, or a mesh."""
    kind = (_pickets, _post_and_wire, _mesh)[int(rng.integers(3))]
    kind(sketch, rng)


def _pickets(sketch: Sketch, rng: np.random.Generator) -> None:
    boards, gap = sketch.layer("bright", uneven=6.0), rng.uniform(0.018, 0.06)
    tops, feet = _rails(sketch, rng, int(rng.integers(8, 40)), gap)
    half = gap * rng.uniform(0.18, 0.36)
    for share in (0.25, 0.75):
        boards.line(tops + (feet - tops) * np.float32(share), half * 0.7)
    for top, foot in zip(tops, feet, strict=True):
        (x, y), (below, end) = top, foot
        boards.patch([points((x - half, y), (x, y - half), (x + half, y), (below + half, end), (below - half, end))])


def _post_and_wire(sketch: Sketch, rng: np.random.Generator) -> None:
    posts, wire = sketch.layer("either"), sketch.layer("either")
    tops, feet = _rails(sketch, rng, int(rng.integers(3, 9)), rng.uniform(0.12, 0.3))
    width = rng.uniform(0.004, 0.012)
    for top, foot in zip(tops, feet, strict=True):
        posts.line(points((top[0] + rng.normal(0, 0.003), top[1]), tuple(foot)), width)
    for share in np.linspace(0.08, 0.75, int(rng.integers(2, 6))):
        strand = tops + (feet - tops) * np.float32(share)
        for one, other in itertools.pairwise(strand):
            line = sagging(tuple(one), tuple(other), rng.uniform(0, 0.008))
            wire.line(line, fine(rng, 0.0015))
            for place in line[:: int(rng.integers(2, 6))]:
                wire.line(points((place[0] - 0.002, place[1] - 0.002), (place[0] + 0.002, place[1] + 0.002)), 0.0008)


def _mesh(sketch: Sketch, rng: np.random.Generator) -> None:
    canvas, cell, width = sketch.layer("either", opacity=0.85), rng.uniform(0.012, 0.035), fine(rng, 0.0018)
    left, top = rng.uniform(-0.2, 0.5) * sketch.wide, rng.uniform(0.1, 0.7) * sketch.high
    wide, high = rng.uniform(0.4, 1.2), rng.uniform(0.15, 0.5)
    for offset in np.arange(-high, wide, cell):
        for lean in (1, -1):
            start, end = max(0.0, offset), min(wide, offset + high)
            depth = ((start - offset), (end - offset)) if lean > 0 else (high - (start - offset), high - (end - offset))
            canvas.line(points((left + start, top + depth[0]), (left + end, top + depth[1])), width)
    for y in (top, top + high):
        canvas.line(points((left, y), (left + wide, y)), width * 2)


def window_bars(sketch: Sketch, rng: np.random.Generator) -> None:
    """The frame and the bars of a window, of a grating, or of panelling, seen a little from the side."""
    canvas, width = sketch.layer("either", uneven=4.0), rng.uniform(0.002, 0.01)
    x, y = sketch.point(rng)
    wide, high = rng.uniform(0.08, 0.5), rng.uniform(0.1, 0.6)
    skew, turn = rng.normal(0, 0.08), rng.normal(0, 0.03)
    corners = [
        np.array([x + across * wide + turn * down * high, y + down * high + skew * across * wide])
        for across, down in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    _grid(canvas, corners, int(rng.integers(2, 9)), int(rng.integers(2, 9)), width)
    if rng.random() < 0.5:
        frame = np.stack([*corners, corners[0]]).astype(np.float32)
        canvas.line(frame, width * rng.uniform(1.5, 3.5))


def _grid(canvas: Canvas, corners: list[Points], columns: int, rows: int, width: float) -> None:
    """Lines at even distances across a quadrilateral, both ways."""
    first, second, third, fourth = corners
    for share in np.linspace(0, 1, columns):
        ends = [first + (second - first) * share, fourth + (third - fourth) * share]
        canvas.line(np.stack(ends).astype(np.float32), width)
    for share in np.linspace(0, 1, rows):
        ends = [first + (fourth - first) * share, second + (third - second) * share]
        canvas.line(np.stack(ends).astype(np.float32), width)
