"""Pixels as the networks and metrics want them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_rgb8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """HWC uint8 or uint16, 1 or 3 channels -> HWC uint8 RGB; 16 bits lose their lower half."""
    shifted = pixels >> 8 if pixels.dtype == np.uint16 else pixels
    eight: NDArray[np.uint8] = shifted.astype(np.uint8, copy=False)
    return np.repeat(eight, 3, axis=2) if eight.shape[2] == 1 else eight
