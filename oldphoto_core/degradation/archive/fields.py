"""Smooth random fields: what makes stains organic, opacities uneven and outlines wobble, at the price of a resize."""

from __future__ import annotations

import cv2
import numpy as np

from oldphoto_core.degradation.archive.operation import Field

Shape = tuple[int, int]
"""(height, width) in pixels."""


def long_side(shape: Shape) -> int:
    """The unit of all lengths, in pixels."""
    return max(shape)


def noise(shape: Shape, cells: float, rng: np.random.Generator, octaves: int = 1) -> Field:
    """Field of mean 0 and variance 1 whose features are a `cells`-th of the long side; each octave halves both.

    Drawn on a coarse grid and enlarged: the same generator gives the same shapes at every resolution.
    """
    height, width = shape
    total: Field = np.zeros(shape, np.float32)
    for octave in range(octaves):
        per_pixel = cells * 2**octave / long_side(shape)
        rows, columns = (min(side, max(2, round(side * per_pixel) + 1)) for side in shape)
        coarse = rng.standard_normal((rows, columns), dtype=np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.5**octave)
    mean, deviation = cv2.meanStdDev(total)
    total -= np.float32(mean[0, 0])
    total /= np.float32(max(float(deviation[0, 0]), 1e-6))
    return total


def wear(shape: Shape, cells: float, rng: np.random.Generator, mean: float = 0.75, spread: float = 0.35) -> Field:
    """Opacity in [0, 1] that varies smoothly around `mean`, as a scratch does along its length."""
    uneven: Field = np.clip(np.float32(mean) + np.float32(spread) * noise(shape, cells, rng), 0.0, 1.0)
    return uneven


def smoothstep(low: float, high: float, values: Field) -> Field:
    """0 below `low`, 1 above `high`, without a corner between."""
    t = np.clip((values - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    eased: Field = t * t * (np.float32(3.0) - np.float32(2.0) * t)
    return eased


def coordinates(shape: Shape) -> tuple[Field, Field]:
    """(x_HW, y_HW) of the pixels' centres in long sides, from the upper left corner."""
    height, width = shape
    scale = np.float32(1.0 / long_side(shape))
    x = (np.arange(width, dtype=np.float32) + np.float32(0.5)) * scale
    y = (np.arange(height, dtype=np.float32) + np.float32(0.5)) * scale
    return np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape)


def extent(shape: Shape) -> tuple[float, float]:
    """(width, height) in long sides; the larger one is 1."""
    return shape[1] / long_side(shape), shape[0] / long_side(shape)


def elastic(layers: Field, amplitude: float, cells: float, rng: np.random.Generator) -> Field:
    """Layers (HW, or HWC that belong together) pushed about by some `amplitude` in long sides: no outline is ruled."""
    shape = (layers.shape[0], layers.shape[1])
    reach = np.float32(amplitude * long_side(shape))
    columns = np.arange(shape[1], dtype=np.float32)[None, :] + reach * noise(shape, cells, rng)
    rows = np.arange(shape[0], dtype=np.float32)[:, None] + reach * noise(shape, cells, rng)
    moved = cv2.remap(layers, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return moved.reshape(layers.shape).astype(np.float32, copy=False)
