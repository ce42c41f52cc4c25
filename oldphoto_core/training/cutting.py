"""Crops and what is done to them: of one picture, or of a photo, its degraded version and their mask alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Photo = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def window(shape: Sequence[int], size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a square drawn at random from a picture of that shape."""
    top = int(rng.integers(shape[0] - size + 1))
    left = int(rng.integers(shape[1] - size + 1))
    return slice(top, top + size), slice(left, left + size)


def reflected(picture: NDArray[Any], size: int) -> NDArray[Any]:
    """HWC uint8 or HW bool of at least `size` each way: what a smaller one lacks below and on the right is its
    reflection."""
    below, right = (max(0, size - side) for side in picture.shape[:2])
    if not (below or right):
        return picture
    larger = cv2.copyMakeBorder(picture.view(np.uint8), 0, below, 0, right, cv2.BORDER_REFLECT)
    return larger.view(picture.dtype)
