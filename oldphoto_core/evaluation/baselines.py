"""What anyone can do without a network: OpenCV's inpainting and denoising, the rows that ours must beat."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

INPAINT_RADIUS = 3
"""Neighbourhood of Telea's inpainting, in pixels."""


def opencv_restore(image: NDArray[np.uint8], mask: NDArray[np.bool_], strength: float) -> NDArray[np.uint8]:
    """`image_HWC` -> Telea inpainting under `mask_HW`, then non-local means of `strength` (OpenCV's h; 3 is light)."""
    filled = cv2.inpaint(image, mask.astype(np.uint8), INPAINT_RADIUS, cv2.INPAINT_TELEA) if mask.any() else image
    if strength <= 0:
        return filled.astype(np.uint8, copy=False)
    return cv2.fastNlMeansDenoisingColored(filled, None, strength, strength).astype(np.uint8, copy=False)
