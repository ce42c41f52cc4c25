"""What lies around marked pixels, as whole numbers for each of them, so that sums do not depend on how rows are cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import Readable
from oldphoto_core.detection.frame import Frame
from oldphoto_core.tone.grid import Grid, slabs
from oldphoto_core.tone.luma import TOP, lightness

REACH = 7
"""Pixels: so far around a pixel is looked."""
SCALE = 16
"""Parts of a level in which differences are counted."""
HALO = REACH + 1
"""Rows that are read above and below of those that are asked about."""
THUMBNAIL = 256
"""Cells of the long side of what a picture's range is read from, at most."""
NEARLY_ALL = 0.5
"""Per cent of a picture that may be darker, and as much brighter, than its own range."""
BEYOND = 6.0
"""Levels of 255 that grain adds to a picture's range."""
_FEWEST = REACH
"""Intact pixels that make a side known."""

Maps = dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Range:
    """The levels of a picture itself, 0 to 255: what lies beyond them is rarely photographed."""

    darkest: float
    brightest: float


def range_of(thumbnail: Readable, frame: Frame, size: tuple[int, ...]) -> Range:
    """The levels between which nearly all of the picture inside its frame lies.

    Args:
        thumbnail: The picture, or a smaller copy of it, which is read as a whole.
        frame: In a picture of `size` (height, width, ...).
        size: Of the picture.
    """
    grid = Grid(thumbnail.shape[0], thumbnail.shape[1], 1, THUMBNAIL)
    for top, bottom in slabs(thumbnail):
        grid.add(top, lightness(thumbnail.read(top, bottom)))
    cells = grid.means(TOP)[..., 0] * 255.0
    down, across = len(cells) / size[0], cells.shape[1] / size[1]
    rows = slice(int(frame.top * down), max(1, int(frame.bottom * down)))
    columns = slice(int(frame.left * across), max(1, int(frame.right * across)))
    inside = cells[rows, columns]
    darkest, brightest = np.percentile(inside if inside.size else cells, (NEARLY_ALL, 100.0 - NEARLY_ALL))
    return Range(float(darkest) - BEYOND, float(brightest) + BEYOND)


def grey_of(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """HWC uint8 or uint16 -> its lightness, HW in 8 bits."""
    grey: NDArray[np.uint8] = (lightness(rows)[..., 0] >> 8).astype(np.uint8)
    return grey


def surroundings(grey: NDArray[np.uint8], marked: NDArray[np.bool_], own: Range) -> Maps:
    """Maps HW of what lies around each pixel; meaningful where `marked`.

    Args:
        grey: HW, with HALO rows more than needed above and below, except at the picture's ends.
        marked: HW, what may be damaged: those pixels are no background.
        own: Levels of the picture itself.

    Returns:
        perimeter: intact neighbours, 0 to 4. known: 1 where there is background. contrast: level less the mean of the
        background, and texture: its standard deviation, in parts of SCALE. sided: 1 where two opposite sides are known.
        sides: by how much these differ. outside: 1 where the level is beyond the picture's own range.
    """
    intact = (~marked).astype(np.uint8)
    background = grey * intact
    whole = (2 * REACH + 1, 2 * REACH + 1)
    counts, sums, squares = _box(intact, whole), _box(background, whole), _box(background, whole, squared=True)
    most = np.maximum(counts, 1.0)
    mean = sums / most
    texture = np.sqrt(np.maximum(squares / most - mean * mean, 0.0))
    known = counts >= _FEWEST
    sides, sided = _sides(intact, background)
    levels = grey.astype(np.float64)
    return {
        "perimeter": _intact_neighbours(intact),
        "known": known.astype(np.int64),
        "contrast": _whole(np.where(known, levels - mean, 0.0)),
        "texture": _whole(np.where(known, texture, 0.0)),
        "sided": sided.astype(np.int64),
        "sides": _whole(np.where(sided, sides, 0.0)),
        "outside": ((levels < own.darkest) | (levels > own.brightest)).astype(np.int64),
    }


def _box(values: NDArray[np.uint8], size: tuple[int, int], *, squared: bool = False) -> NDArray[np.float64]:
    """Sums over a box around each pixel; whole numbers below 2^24, which float32 holds exactly."""
    summed = cv2.sqrBoxFilter if squared else cv2.boxFilter
    made = summed(values, cv2.CV_32F, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return made.astype(np.float64)


def _sides(intact: NDArray[np.uint8], background: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The larger difference of left and right or of above and below, and where both of one pair are known."""
    largest = np.zeros(intact.shape)
    sided = np.zeros(intact.shape, bool)
    for axis, size in ((1, (REACH, 2 * REACH + 1)), (0, (2 * REACH + 1, REACH))):
        counts, sums = _box(intact, size), _box(background, size)
        (before, after), (before_sum, after_sum) = _halves(counts, axis), _halves(sums, axis)
        both = (before >= _FEWEST) & (after >= _FEWEST)
        apart = np.abs(before_sum / np.maximum(before, 1.0) - after_sum / np.maximum(after, 1.0))
        largest = np.where(both, np.maximum(largest, apart), largest)
        sided |= both
    return largest, sided


def _halves(boxes: NDArray[np.float64], axis: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The boxes that end before a pixel and begin after it, of boxes that lie around it."""
    away = REACH // 2 + 1
    return _shifted(boxes, away, axis), _shifted(boxes, -away, axis)


def _shifted(values: NDArray[np.float64], by: int, axis: int) -> NDArray[np.float64]:
    moved = np.zeros_like(values)
    if abs(by) >= values.shape[axis]:
        return moved
    to = [slice(None)] * 2
    of = [slice(None)] * 2
    to[axis], of[axis] = (slice(by, None), slice(None, -by)) if by > 0 else (slice(None, by), slice(-by, None))
    moved[tuple(to)] = values[tuple(of)]
    return moved


def _intact_neighbours(intact: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many of the four neighbours of each pixel are intact; beyond the picture there are none."""
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
    return cv2.filter2D(intact, cv2.CV_16S, cross, borderType=cv2.BORDER_CONSTANT).astype(np.int64)


def _whole(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(values * SCALE).astype(np.int64)
