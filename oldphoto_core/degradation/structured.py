"""Defects that have a shape: irregular scratches with their exact masks.

The scratch mapping sees damage only as holes painted white, so what matters here is the mask. Source: section 3.3 of
the paper and its published training recipe (irregular masks painted white, half of the time none).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class ScratchMasks:
    """Irregular strokes: curved polylines of varying width."""

    probability: float = 0.5
    """How often a photo has any scratch at all."""
    strokes: tuple[int, int] = (2, 5)
    """Fewest and most strokes of one mask, inclusive."""
    width: tuple[int, int] = (1, 4)
    """Thinnest and widest stroke, in pixels of the picture that is masked."""
    length: tuple[float, float] = (0.2, 1.0)
    """Length of a stroke as a share of the picture's longer side."""
    bend: float = 0.25
    """Standard deviation of the turn from one segment to the next, in radians."""

    def __post_init__(self) -> None:
        """Refuses empty ranges, widths below a pixel and probabilities outside [0, 1]."""
        if not 0.0 <= self.probability <= 1.0:
            raise ConfigError(f"ScratchMasks.probability is {self.probability}; give a number from 0 to 1")
        for name in ("strokes", "width", "length"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"ScratchMasks.{name} is ({low}, {high}); give 0 < low <= high")
        if self.bend < 0:
            raise ConfigError(f"ScratchMasks.bend is {self.bend}; give 0 or more radians")


def scratch_mask(height: int, width: int, config: ScratchMasks, rng: np.random.Generator) -> NDArray[np.bool_]:
    """`mask_HW bool`, True = damaged; all False with probability `1 - config.probability`."""
    canvas = np.zeros((height, width), np.uint8)
    if rng.random() >= config.probability:
        return canvas.astype(bool)
    for _ in range(int(rng.integers(config.strokes[0], config.strokes[1] + 1))):
        _draw_stroke(canvas, config, rng)
    return canvas.astype(bool)


def _draw_stroke(canvas: NDArray[np.uint8], config: ScratchMasks, rng: np.random.Generator) -> None:
    height, width = canvas.shape
    thickness = int(rng.integers(config.width[0], config.width[1] + 1))
    length = float(rng.uniform(*config.length)) * max(height, width)
    segments = int(rng.integers(4, 13))
    point = rng.random(2) * (width, height)
    angle = float(rng.uniform(0, 2 * np.pi))
    points = [point]
    for _ in range(segments):
        angle += float(rng.normal(0, config.bend))
        point = point + length / segments * np.array([np.cos(angle), np.sin(angle)])
        points.append(point)
    # no anti-aliasing: the mask must be exact, a pixel is either damaged or intact
    cv2.polylines(canvas, [np.rint(points).astype(np.int32)], isClosed=False, color=1, thickness=thickness)


def paint_white(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """`image_HWC` with every damaged pixel white: `image * (1 - m) + m` of the paper, in levels of 255."""
    holed = image.copy()
    holed[mask] = 255
    return holed
