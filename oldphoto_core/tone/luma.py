"""The lightness of a photo in levels of 16 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114])
"""Rec. 601 weights, as `nets.luminance` has them: a grey photo made of a coloured one is what networks see of it."""
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
