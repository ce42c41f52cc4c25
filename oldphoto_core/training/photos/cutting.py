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


def fine_detail(crop: Photo) -> float:
    """Return how much of HWC is finer than about 4 pixels: mean distance of luminance from itself blurred, 0 to 255.

    A mean of magnitudes, not of squares: texture all over counts for more than one hard edge.
    """
    luminance = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.shape[2] == 3 else crop[..., 0]
    return float(cv2.absdiff(luminance, cv2.GaussianBlur(luminance, (0, 0), 2.0)).mean())


def reduced_crop(photo: Photo, size: int, least_scale: float, rng: np.random.Generator) -> Photo:
    """A square of a photo HWC of at least `size` each way, as it is after the photo was reduced by a random factor.

    The factor is from 1 to `least_scale`, its logarithm uniform, and leaves the photo at least `size` each way. Only
    what is cut is computed.
    """
    least = max(least_scale, size / min(photo.shape[:2]))
    if least >= 1.0:
        return photo[window(photo.shape, size, rng)]
    side = min(round(size / least ** rng.random()), *photo.shape[:2])
    crop = photo[window(photo.shape, side, rng)]
    if side == size:
        return crop
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
