"""Figures of one picture's quality, from its pixels on disk, a few MiB at a time.

Luminance is Y = 0.2126 R + 0.7152 G + 0.0722 B (the channel itself where there is one) of the values as they are
stored, in levels of 255 whatever the depth; no profile is applied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from oldphoto_core.scans import RawPixels

Tone = Literal["grey", "toned", "colour"]

SLAB = 2 * 2**20
"""Bytes of pixels that are looked at together; a slab's arrays are some twenty times as large."""
GREY_BELOW = 2.0
"""Levels of 255: a picture of less chroma than this, by its root mean square, is grey."""
TONED_BELOW = 3.0
"""Levels of 255: a picture whose chroma is no further than this from a function of its luminance is toned."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """Of one picture; NaN where it is too small (under 3 pixels a side)."""

    sharpness: float
    """Standard deviation of the Laplacian (4 neighbours) of luminance, in levels of 255. Grain and noise add to it."""
    noise: float
    """Standard deviation of the noise by Immerkaer's estimate (CVIU 64, 1996), in levels of 255; fine texture adds."""
    contrast: float
    """Standard deviation of luminance, in levels of 255."""
    black_share: float
    """Share of the pixels with every channel at 0, 0 to 1."""
    white_share: float
    """Share of the pixels with every channel at its largest value, 0 to 1."""
    tone: Tone
    """grey: no chroma; toned: chroma that follows from luminance, as in a sepia print; colour: any other."""


class _Sums:
    """What is added up over a picture."""

    def __init__(self) -> None:
        self.pixels = self.inner = 0
        self.luminance = self.squares = self.laplacian = self.laplacian_squares = self.rough = 0.0
        self.black = self.white = 0
        self.by_luminance = np.zeros((3, 256))  # count, and sums of R - Y and B - Y
        self.chroma_squares = 0.0

    def add(self, rows: NDArray[Any], above: int, below: int) -> None:
        """HWC rows, of which `above` and `below` are only there for their neighbours."""
        full = np.iinfo(rows.dtype).max
        own = rows[above : rows.shape[0] - below]
        self.black += int((own == 0).all(axis=2).sum())
        self.white += int((own == full).all(axis=2).sum())
        levels: NDArray[np.float32] = rows.astype(np.float32) * np.float32(255 / full)
        luminance: NDArray[np.float32] = levels @ _LUMINANCE if rows.shape[2] == 3 else levels[..., 0]
        self._add_luminance(luminance[above : rows.shape[0] - below])
        self._add_details(luminance)
        if rows.shape[2] == 3:
            self._add_chroma(levels[above : rows.shape[0] - below], luminance[above : rows.shape[0] - below])

    def _add_luminance(self, luminance: NDArray[np.float32]) -> None:
        self.pixels += luminance.size
        self.luminance += float(luminance.sum(dtype=np.float64))
        self.squares += float(np.square(luminance, dtype=np.float64).sum())

    def _add_details(self, luminance: NDArray[np.float32]) -> None:
        if min(luminance.shape) < 3:
            return
        # a slab's first and last rows are the neighbours of another's, or the picture's border
        laplacian = cv2.filter2D(luminance, -1, _LAPLACIAN)[1:-1, 1:-1]
        self.inner += laplacian.size
        self.laplacian += float(laplacian.sum(dtype=np.float64))
        self.laplacian_squares += float(np.square(laplacian, dtype=np.float64).sum())
        self.rough += float(np.abs(cv2.filter2D(luminance, -1, _IMMERKAER)[1:-1, 1:-1]).sum(dtype=np.float64))

    def _add_chroma(self, levels: NDArray[np.float32], luminance: NDArray[np.float32]) -> None:
        bins = luminance.round().astype(np.uint8).ravel()
        self.by_luminance[0] += np.bincount(bins, minlength=256)
        for row, channel in ((1, 0), (2, 2)):
            chroma = (levels[..., channel] - luminance).ravel()
            self.by_luminance[row] += np.bincount(bins, chroma, minlength=256)
            self.chroma_squares += float(np.square(chroma, dtype=np.float64).sum())

    def tone(self) -> Tone:
        chroma = self.chroma_squares / self.pixels
        if chroma < GREY_BELOW**2:
            return "grey"
        count = np.maximum(self.by_luminance[0], 1)
        explained = float(((self.by_luminance[1:] ** 2) / count).sum()) / self.pixels
        return "toned" if chroma - explained < TONED_BELOW**2 else "colour"


def statistics_of(pixels: RawPixels) -> Statistics:
    """Of a decoded picture, HxWx1 or HxWx3, uint8 or uint16."""
    sums = _Sums()
    for top, bottom in pixels.slabs(SLAB):
        above, below = min(1, top), min(1, pixels.height - bottom)
        sums.add(pixels.read(top - above, bottom + below), above, below)
    return Statistics(
        sharpness=_deviation(sums.laplacian, sums.laplacian_squares, sums.inner),
        noise=round(math.sqrt(math.pi / 2) * sums.rough / (6 * sums.inner), 4) if sums.inner else math.nan,
        contrast=_deviation(sums.luminance, sums.squares, sums.pixels),
        black_share=round(sums.black / sums.pixels, 6),
        white_share=round(sums.white / sums.pixels, 6),
        tone=sums.tone(),
    )


def _deviation(total: float, squares: float, count: int) -> float:
    return round(math.sqrt(max(0.0, squares / count - (total / count) ** 2)), 4) if count else math.nan
