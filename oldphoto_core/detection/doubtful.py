"""Whether a photo is one that the method cannot do well, and why: what the paper names as its limits.

Told from the geometry of the mask that counts and from the detector's doubt, before the network sees the photo.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import Readable

COMPLEX, HOLES, SHADING = "complex scratches", "large holes", "shading"
SIDE = 512
"""Cells of the longer side to which a mask is reduced: shapes of a thousandth of it are of no account here."""
HOLE_RADIUS = 0.03
"""Of the largest disc inside the damage, as a share of the longer side, from which a hole is large."""
LONG = 0.1
"""Length of a scratch, as a share of the longer side: what is shorter is dust."""
TILES = 16
"""Squares along the longer side by which scratches are counted."""
TOUCHED = 0.35
"""Share of these squares that long scratches touch, from which they are complex: about six across the whole photo."""
UNSURE = 0.25
"""Doubt from which what the detector marks may be shading as well as damage."""
SLAB = 2**20
"""Pixels that are read at once, at least a row of cells."""


def doubtful_of(mask: Readable | None, doubt: float = math.nan) -> tuple[str, ...]:
    """Why the method will not do this photo well, in a fixed order; empty: nothing speaks against it.

    Args:
        mask: HW1, not 0 = damaged, of any size; None: nothing is damaged.
        doubt: Of the detector, 0 to 1; nan where it does not say.
    """
    if mask is None:
        return ()
    touched, share = _reduced(mask)
    reasons = (
        (COMPLEX, _scratched(touched) >= TOUCHED),
        (HOLES, _radius(share >= 0.5) >= HOLE_RADIUS * max(share.shape)),
        (SHADING, doubt >= UNSURE),
    )
    return tuple(reason for reason, is_so in reasons if is_so) if touched.any() else ()


def _reduced(mask: Readable) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Cells of the mask: whether any pixel of each is damaged, and what share is."""
    height, width = mask.shape[:2]
    cell = max(1, math.ceil(max(height, width) / SIDE))
    rows = max(1, SLAB // (width * cell)) * cell
    parts = []
    for top in range(0, height, rows):
        damaged = mask.read(top, min(top + rows, height))[..., 0] != 0
        down, across = (math.ceil(side / cell) for side in damaged.shape)
        padded = np.zeros((down * cell, across * cell), bool)
        padded[: damaged.shape[0], : damaged.shape[1]] = damaged
        parts.append(padded.reshape(down, cell, across, cell).mean(axis=(1, 3)))
    share = np.concatenate(parts)
    return share > 0, share


def _radius(damaged: NDArray[np.bool_]) -> float:
    """Of the largest disc inside the damage, in cells; what lies at the border goes on beyond it."""
    inside = np.pad(damaged, 1, mode="edge").astype(np.uint8)
    return float(cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max()) if damaged.any() else 0.0


def _scratched(touched: NDArray[np.bool_]) -> float:
    """Share of the squares of the photo that damage as long as a scratch touches."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(touched.astype(np.uint8), connectivity=8)
    lengths = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    long = (lengths >= LONG * max(touched.shape)) & (np.arange(count) > 0)
    square = max(1, math.ceil(max(touched.shape) / TILES))
    height, width = touched.shape
    rows, columns = np.nonzero(long[labels])
    squares = set(zip((rows // square).tolist(), (columns // square).tolist(), strict=True))
    return float(len(squares) / (math.ceil(height / square) * math.ceil(width / square)))
