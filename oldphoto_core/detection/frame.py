"""The frame of a picture: the rectangle inside a mount, a card, a deckled margin or the scanner's bed.

A margin is found on a thumbnail, from the outside inwards. From each side of the scan, every column is followed until
its level leaves that of the margin. Where most columns leave it on one straight line, and leave it sharply, that line
is an edge of the picture. A single such side may be a horizon under a white sky, so three sides with margins of one
level are asked for. In doubt the frame is the whole scan: what is cut off here is never searched for damage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import Readable
from oldphoto_core.tone.grid import Grid, slabs
from oldphoto_core.tone.luma import TOP, lightness

THUMBNAIL = 512
"""Pixels of the long side of what the frame is looked for on, at most."""
SMALLEST = 48
"""Pixels: a thumbnail with a shorter side has no frame."""
NESTED = 4
"""Margins that may lie around each other at most: a scanner's bed, a card, a printed line, paper."""
DEEPEST = 0.3
"""Of a side: the widest margin."""
LEVELS = 12.0
"""By so many levels of 255 a picture differs from its margin at least; a margin varies by less."""
SHARP = 8.0
"""By so many levels most columns change within four pixels where the margin ends."""
STRAIGHT = 0.8
"""Share of the columns that leave the margin on its line."""
STRAY = 0.01
"""Of the long side: how far from the line still counts as on it, as deckled edges do."""
STEEPEST = 0.035
"""Slope of the line: a photo lies askew by up to two degrees."""
ONE_MARGIN = 30.0
"""By so many levels the margins of three sides differ at most."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the picture lies in a scan, in pixels."""

    top: int
    left: int
    bottom: int
    """The first row below the picture."""
    right: int
    """The first column beside it."""

    @property
    def box(self) -> list[int]:
        """Left, top, width and height, as records name them."""
        return [self.left, self.top, self.right - self.left, self.bottom - self.top]

    def is_whole(self, height: int, width: int) -> bool:
        """Whether nothing of a scan of that size lies outside."""
        return (self.top, self.left, self.bottom, self.right) == (0, 0, height, width)

    def inside(self, top: int, bottom: int, width: int) -> NDArray[np.bool_]:
        """HW of rows `top` to before `bottom` of a scan: True inside the frame."""
        rows = np.arange(top, bottom)
        columns = np.arange(width)
        inside: NDArray[np.bool_] = ((rows >= self.top) & (rows < self.bottom))[:, np.newaxis] & (
            (columns >= self.left) & (columns < self.right)
        )
        return inside


@dataclass(frozen=True, slots=True)
class _Margin:
    """A margin along one side of a picture."""

    depth: float
    """Rows until the picture begins, where it begins first."""
    level: float
    """Median, 0 to 255."""


def frame_of(photo: Readable, height: int, width: int) -> Frame:
    """The frame of a scan of that size, found on `photo`: the scan itself or a smaller copy of it.

    The same pixels give the same frame, however many rows are read at once.
    """
    return frame_of_thumbnail(_thumbnail(photo), height, width)


def frame_of_thumbnail(grey: Floats, height: int, width: int) -> Frame:
    """The same from a thumbnail HW with levels from 0 to 255."""
    top, left, bottom, right = 0, 0, grey.shape[0], grey.shape[1]
    for _ in range(NESTED):
        depths = _depths(grey[top:bottom, left:right])
        if depths is None:
            break
        top, left, bottom, right = top + depths[0], left + depths[1], bottom - depths[2], right - depths[3]
    rows, columns = grey.shape
    # whole numbers, so that the last row of a thumbnail is the last one of the scan
    return Frame(
        top * height // rows, left * width // columns, -(-bottom * height // rows), -(-right * width // columns)
    )


def _thumbnail(photo: Readable) -> Floats:
    grid = Grid(photo.shape[0], photo.shape[1], 1, THUMBNAIL)
    for top, bottom in slabs(photo):
        grid.add(top, lightness(photo.read(top, bottom)))
    means: Floats = grid.means(TOP)[..., 0] * 255.0
    return means


def _depths(grey: Floats) -> tuple[int, int, int, int] | None:
    """Rows and columns of margin at the top, on the left, at the bottom and on the right; None: there is no margin."""
    if min(grey.shape) < SMALLEST:
        return None
    margins = [_margin(seen) for seen in (grey, grey.T, grey[::-1], grey.T[::-1])]
    levels = [margin.level for margin in margins if margin is not None]
    if len(levels) < 3 or max(levels) - min(levels) > ONE_MARGIN:
        return None
    # one pixel less: the picture's own edge stays inside
    top, left, bottom, right = (max(0, int(margin.depth) - 1) if margin else 0 for margin in margins)
    return (top, left, bottom, right) if any((top, left, bottom, right)) else None


def _margin(seen: Floats) -> _Margin | None:
    """The margin along the top of a picture; None: there is none."""
    height, width = seen.shape
    columns = np.arange(width // 8, width - width // 8)
    # the outermost row is often a mixture of the picture and what lies around the file
    level = float(np.median(seen[1:3, columns]))
    deepest = int(DEEPEST * height)
    leaves = np.abs(seen[1 : deepest + 2, columns] - level) > LEVELS
    leaves = leaves[:-1] & leaves[1:]
    first = np.where(leaves.any(axis=0), leaves.argmax(axis=0) + 1, deepest + 1)
    line = _line(first.astype(np.float64))
    stray = max(2.0, STRAY * max(seen.shape))
    on_line = (np.abs(first - line) <= stray) & (first <= deepest)
    depth = float(min(line[0], line[-1]))
    if on_line.mean() < STRAIGHT or depth < 2 or abs(line[-1] - line[0]) > STEEPEST * width:
        return None
    if not _is_sharp(seen, columns[on_line], first[on_line]):
        return None
    return _Margin(depth, level)


def _line(first: Floats) -> Floats:
    """A straight line through the medians of the first and of the last third."""
    third = max(1, len(first) // 3)
    left, right = float(np.median(first[:third])), float(np.median(first[-third:]))
    slope = (right - left) / max(1.0, float(len(first) - third))
    away: Floats = np.arange(len(first), dtype=np.float64) - (third - 1) / 2
    return left + slope * away


def _is_sharp(seen: Floats, columns: NDArray[np.intp], first: NDArray[np.intp]) -> bool:
    """Whether most columns change within a few pixels: a vignette leaves its margin slowly."""
    before, after = np.maximum(first - 2, 0), np.minimum(first + 2, len(seen) - 1)
    steps = np.abs(seen[after, columns] - seen[before, columns])
    return float(np.median(steps)) >= SHARP
