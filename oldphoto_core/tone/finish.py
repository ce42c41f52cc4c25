"""From what a network made of a photo to the photo's own levels: corrected and, if it is monochrome, tinted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.tone.colours import LUMA, Colours
from oldphoto_core.tone.curve import Curve
from oldphoto_core.tone.hold import Correction

TOP = 65535
"""Of the levels in between, whatever the photo's depth is."""
_WEIGHTS = np.array([19595, 38470, 7471], np.uint32)
"""LUMA in 65536ths: they add up, so that the luma of R = G = B is that level exactly."""


def lightness(rows: NDArray[Any]) -> NDArray[np.uint16]:
    """`rows_HWC` of 1 or 3 channels, uint8 or uint16 -> their luma, HW1 in 16 bits; exact where R = G = B."""
    wide = rows if rows.dtype == np.uint16 else rows * np.uint16(257)
    if wide.shape[2] == 1:
        return wide
    summed = wide[..., 0] * _WEIGHTS[0]
    summed += wide[..., 1] * _WEIGHTS[1]
    summed += wide[..., 2] * _WEIGHTS[2] + np.uint32(2**15)
    luma: NDArray[np.uint16] = (summed >> 16).astype(np.uint16)[..., np.newaxis]
    return luma


class Finish:
    """Puts the last hand to rows of a photo."""

    def __init__(self, colours: Colours, correction: Correction, channels: int, dtype: np.dtype[Any]) -> None:
        self._correction = correction
        self._top = np.float32(np.iinfo(dtype).max)
        self._dtype = dtype
        self._table = tinted(colours.tint, channels, dtype) if colours.is_monochrome else None

    def rows(self, top: int, made: NDArray[np.uint16]) -> NDArray[Any]:
        """HWC in the photo's dtype of what the network made of its rows from `top` on, HW1 or HW3 in 16 bits."""
        values = self._correction.rows(top, top + len(made))
        scale = np.float32(TOP if self._table is not None else self._top)
        values *= scale
        values += made * np.float32(scale / TOP)
        np.rint(values, out=values)
        np.clip(values, 0, scale, out=values)
        if self._table is None:
            return values.astype(self._dtype)
        levels: NDArray[Any] = self._table[values[..., 0].astype(np.uint16)]
        return levels


def tinted(tint: Curve | None, channels: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """65536 x C: the levels of each lightness. Without a tint all channels are equal.

    Beyond the lightness of the photo's own colours the tint goes on, as far as there are such colours: black and white
    have none. Its luma is the lightness.
    """
    levels = np.linspace(0.0, 1.0, TOP + 1)
    values = np.repeat(levels[:, np.newaxis], channels, axis=1)
    if tint is not None:
        offsets = tint(levels)
        offsets -= (offsets @ LUMA)[:, np.newaxis]
        room = np.where(offsets > 0, 1 - values, values) / np.maximum(np.abs(offsets), 1e-9)
        values += offsets * room.min(axis=1, keepdims=True).clip(0, 1)
    top = np.iinfo(dtype).max
    table: NDArray[Any] = np.rint(values.clip(0, 1) * top).astype(dtype)
    return table
