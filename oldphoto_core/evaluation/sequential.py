"""The rival `sequential`: one classical step after another, each blind to the others (denoise, inpaint, sharpen)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import ConfigError
from oldphoto_core.evaluation.baselines import INPAINT_RADIUS


@dataclass(frozen=True, kw_only=True, slots=True)
class SequentialConfig:
    """Strengths of the three steps."""

    denoise: float = 6.0
    """OpenCV's h of non-local means, for lightness and colour."""
    sharpen: float = 0.6
    """Share of the detail that the unsharp mask adds; 0 adds none."""
    sigma: float = 1.5
    """Of the Gaussian that tells detail from the rest, in pixels."""

    def __post_init__(self) -> None:
        """Refuses negative strengths."""
        if min(self.denoise, self.sharpen) < 0 or self.sigma <= 0:
            raise ConfigError(
                f"SequentialConfig is denoise={self.denoise:g}, sharpen={self.sharpen:g}, sigma={self.sigma:g};"
                " give strengths of 0 or more and a sigma above 0"
            )


def sequential_restore(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], config: SequentialConfig | None = None
) -> NDArray[np.uint8]:
    """Return `image_HWC` after non-local means, inpainting of what `mask_HW` marks, and an unsharp mask.

    The steps are OpenCV's: non-local means (Buades et al., CVPR 2005), Telea's inpainting (2004), and Gaussian blur for
    the unsharp mask. Each works on what the one before left, as a person with a photo editor would proceed.
    """
    config = config or SequentialConfig()
    photo = np.ascontiguousarray(image)
    if config.denoise > 0:
        photo = cv2.fastNlMeansDenoisingColored(photo, None, config.denoise, config.denoise).astype(
            np.uint8, copy=False
        )
    if mask.any():
        filled = cv2.inpaint(photo, mask.astype(np.uint8), INPAINT_RADIUS, cv2.INPAINT_TELEA)
        photo = filled.astype(np.uint8, copy=False)
    if config.sharpen > 0:
        smooth = cv2.GaussianBlur(photo, (0, 0), config.sigma)
        sharper = cv2.addWeighted(photo, 1.0 + config.sharpen, smooth, -config.sharpen, 0.0)
        photo = sharper.astype(np.uint8, copy=False)
    return photo
