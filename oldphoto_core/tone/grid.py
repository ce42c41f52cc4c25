"""A picture of any size reduced to a grid of at most 256 cells a side, from rows of it, in exact integers.

Cells are means over the intact pixels. Sums of integers do not depend on how many rows arrive at once, so a picture in
memory and one on disk give the same grid, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import Readable

CELLS = 256
"""On the long side, at most; a smaller picture has a cell for each pixel."""
_SLAB = 4 * 2**20
"""Bytes of a picture that are read at once."""

Floats = NDArray[np.float64]


class Grid:
    """Sums of the intact pixels of a picture, cell by cell, filled row by row."""

    def __init__(self, height: int, width: int, channels: int, cells: int = CELLS) -> None:
        """Of a picture of that size; `cells`: on its long side, at most."""
        self.rows, self.columns = edges(height), edges(width)
        longest = max(height, width)
        if longest > cells:
            self.rows = edges(height, max(1, round(height * cells / longest)))
            self.columns = edges(width, max(1, round(width * cells / longest)))
        shape = (len(self.rows) - 1, len(self.columns) - 1)
        self.sums: NDArray[np.int64] = np.zeros((*shape, channels), np.int64)
        self.counts: NDArray[np.int64] = np.zeros(shape, np.int64)
        """Intact pixels of each cell."""

    def add(self, top: int, rows: NDArray[Any], damaged: NDArray[np.bool_] | None = None) -> None:
        """Adds `rows_HWC` that begin at row `top` of the picture; pixels that `damaged_HW` marks do not count."""
        if damaged is not None and damaged.any():
            kept = ~damaged
            rows = rows * kept[..., np.newaxis]
        else:
            kept = None
        bottom = top + len(rows)
        for cell in range(int(np.searchsorted(self.rows, top, "right")) - 1, len(self.rows) - 1):
            first, last = max(top, int(self.rows[cell])), min(bottom, int(self.rows[cell + 1]))
            if first >= bottom:
                break
            summed = rows[first - top : last - top].sum(axis=0, dtype=np.uint32 if last - first < 2**16 else np.int64)
            self.sums[cell] += np.add.reduceat(summed.astype(np.int64), self.columns[:-1], axis=0)
            if kept is None:
                self.counts[cell] += (last - first) * np.diff(self.columns)
            else:
                counted = kept[first - top : last - top].sum(axis=0, dtype=np.int64)
                self.counts[cell] += np.add.reduceat(counted, self.columns[:-1])

    def means(self, highest: int) -> Floats:
        """Cell means from 0 to 1 (`highest` is the level of 1); 0 where no pixel is intact."""
        means: Floats = self.sums / (highest * np.maximum(self.counts, 1))[..., np.newaxis]
        return means

    def shares(self) -> Floats:
        """Of each cell, the share of its pixels that is intact."""
        sizes = np.diff(self.rows)[:, np.newaxis] * np.diff(self.columns)[np.newaxis]
        shares: Floats = self.counts / sizes
        return shares


def edges(side: int, cells: int = 0) -> NDArray[np.int64]:
    """Where the cells of a side begin, and its end; `cells` 0: one a pixel."""
    cells = cells or side
    return np.arange(cells + 1, dtype=np.int64) * side // cells


def slabs(picture: Readable) -> Iterator[tuple[int, int]]:
    """(top, bottom) of slabs of rows that together are the picture."""
    height, width, channels = picture.shape
    step = max(1, _SLAB // (width * channels * picture.dtype.itemsize))
    yield from ((top, min(top + step, height)) for top in range(0, height, step))
