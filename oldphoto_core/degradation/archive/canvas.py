"""Lines and patches with soft edges, drawn in units of the long side, so that width does not depend on resolution."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation.archive.fields import Shape, long_side
from oldphoto_core.degradation.archive.operation import Field

Points = NDArray[np.float32]
"""N2, (x, y) in long sides."""

THINNEST = 0.75
"""No line is drawn thinner than this, in pixels: a hairline of a small picture is faint, but never gone."""


class Canvas:
    """Coverage of the picture by what was drawn, at several samples a pixel where pixels are few."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._samples = 4 if long_side(shape) <= 512 else 2 if long_side(shape) <= 2048 else 1
        self._scale = long_side(shape) * self._samples
        self._pixels = np.zeros((shape[0] * self._samples, shape[1] * self._samples), np.uint8)

    def line(self, points: Points, width: float, value: float = 1.0) -> None:
        """A polyline of `width` long sides; `value` in [0, 1] is what it covers."""
        wanted = max(width * self._scale, THINNEST * self._samples)
        # OpenCV draws odd widths only, and for a thickness of t > 1 the one above t
        thickness = max(1, 2 * round((wanted - 1) / 2))
        cv2.polylines(self._pixels, [self._whole(points)], False, round(255 * value), thickness, self._edge)

    def stroke(self, points: Points, width: float) -> None:
        """A line that thins out toward both ends, as one does that a hand or a grain of sand has drawn."""
        ends = max(1, len(points) // 6)
        self.line(points, width * 0.5)
        self.line(points[ends:-ends], width)

    def patch(self, outlines: Iterable[Points], value: float = 1.0) -> None:
        """Filled outlines, each on its own."""
        for outline in outlines:
            cv2.fillPoly(self._pixels, [self._whole(outline)], round(255 * value), self._edge)

    def stamp(self, pattern: NDArray[np.uint8], corner: Points, across: Points, down: Points) -> None:
        """`pattern_HW`, 255 where it covers, as a parallelogram: from `corner` along two vectors, all in long sides."""
        height, width = pattern.shape
        corners = np.array([[0, 0], [width, 0], [0, height]], np.float32)
        placed = (np.stack([corner, corner + across, corner + down]) * self._scale).astype(np.float32)
        size = (self._pixels.shape[1], self._pixels.shape[0])
        warped = cv2.warpAffine(pattern, cv2.getAffineTransform(corners, placed), size)
        np.maximum(self._pixels, warped.reshape(self._pixels.shape), out=self._pixels)

    def coverage(self) -> Field:
        """HW float32 in [0, 1]."""
        size = (self.shape[1], self.shape[0])
        pixels = self._pixels if self._samples == 1 else cv2.resize(self._pixels, size, interpolation=cv2.INTER_AREA)
        return pixels.astype(np.float32) * np.float32(1 / 255)

    @property
    def _edge(self) -> int:
        return cv2.LINE_AA if self._samples == 1 else cv2.LINE_8

    def _whole(self, points: Points) -> NDArray[np.int32]:
        return np.rint(points * self._scale).astype(np.int32)


def curve(
    start: tuple[float, float], heading: float, length: float, bend: float, rng: np.random.Generator, points: int = 24
) -> Points:
    """A path of `length` long sides whose heading (radians) turns by about `bend` in all: an arc that sways."""
    along = np.linspace(0.0, 1.0, points)
    arc, sway, ripple = rng.normal(0.0, bend, 3) * (1.0, 0.2, 0.08)
    phases = rng.uniform(0, 2 * np.pi, 2)
    headings = heading + arc * along + sway * np.sin(4 * along + phases[0]) + ripple * np.sin(13 * along + phases[1])
    steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / points)
    return (np.asarray(start) + np.cumsum(steps, axis=0)).astype(np.float32)


def blobs(
    centres: NDArray[np.float64],
    radii: NDArray[np.float64],
    roughness: float,
    rng: np.random.Generator,
    corners: int = 9,
) -> NDArray[np.float32]:
    """Outlines of irregular grains, NC2 for C corners, at `centres_N2`.

    Grains are at least half as wide as long; each corner's distance from the centre varies by the share `roughness`.
    """
    count = len(radii)
    angles = (np.arange(corners) + rng.uniform(-0.3, 0.3, (count, corners))) * (2 * np.pi / corners)
    distances = radii[:, None] * np.clip(1.0 + roughness * rng.standard_normal((count, corners)), 0.25, 2.0)
    turns = rng.uniform(0, np.pi, (count, 1))
    x, y = distances * np.cos(angles), distances * np.sin(angles) * rng.uniform(0.5, 1.0, (count, 1))
    turned = np.stack([x * np.cos(turns) - y * np.sin(turns), x * np.sin(turns) + y * np.cos(turns)], axis=2)
    outlines: NDArray[np.float32] = (centres[:, None] + turned).astype(np.float32)
    return outlines
