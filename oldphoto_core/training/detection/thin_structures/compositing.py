"""Layers into the picture: blurred as the picture is there, with its grain, and behind the objects before them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from oldphoto_core.degradation.archive.fields import noise, smoothstep
from oldphoto_core.degradation.archive.operation import Field
from oldphoto_core.training.detection.thin_structures.appearance import Appearance, Photo, luminance
from oldphoto_core.training.detection.thin_structures.sketch import Layer

INK_BLUR = 0.4
"""Standard deviation in pixels of the blur of what lies on the print: that of the scan alone."""
FAINTEST = 1 / 128
"""Coverage below this changes no level."""
LEAST_SHOWN = 0.35
"""What lies behind objects is drawn in front of all where they would hide more than the rest of it."""
HAZIEST = 0.7
"""Most that distant ends fade."""


def composite(photo: Photo, layer: Layer, look: Appearance, rng: np.random.Generator) -> None:
    """Draws one layer into `photo_HWC`, in place."""
    coverage = layer.canvas.coverage()
    box = cv2.boundingRect((coverage > 0).view(np.uint8))
    if box[2] == 0:
        return
    sigma = INK_BLUR if layer.on_print else look.blur_at(coverage)
    part = _part(box, round(3 * sigma) + 1, coverage.shape)
    opacity = _blurred(coverage[part], sigma) * np.float32(layer.opacity)
    if layer.far:
        opacity *= _shown(look.grey[part], opacity, sigma, rng) * _haze(opacity.shape, rng)
    rows, columns = np.nonzero(opacity > FAINTEST)
    if not rows.size:
        return
    weights, pixels = opacity[rows, columns][:, None], photo[part][rows, columns].astype(np.float32)
    below = float((luminance(pixels) * weights[:, 0]).sum() / weights.sum())
    layered = np.broadcast_to(look.tone(layer.level, below, rng), pixels.shape)
    if layer.uneven:
        layered = layered + np.float32(layer.uneven) * _slow(opacity.shape, rng)[rows, columns][:, None]
    if not layer.on_print:
        side = len(look.grain)
        layered = layered + look.grain[rows % side, columns % side]
    after = np.rint(np.clip(pixels + weights * (layered - pixels), 0, 255))
    photo[part][rows, columns] = after.astype(np.uint8)


def _slow(shape: tuple[int, ...], rng: np.random.Generator) -> Field:
    """Noise of mean 0 and variance 1 that changes slowly, from an eighth of the pixels."""
    small = noise((max(2, shape[0] // 8), max(2, shape[1] // 8)), 3, rng, 2)
    return cv2.resize(small, (shape[1], shape[0])).reshape(shape).astype(np.float32, copy=False)


def _part(box: Sequence[int], margin: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top, width, height = (int(side) for side in box)
    rows = slice(max(0, top - margin), min(shape[0], top + height + margin))
    return rows, slice(max(0, left - margin), min(shape[1], left + width + margin))


def _blurred(coverage: Field, sigma: float) -> Field:
    softened = cv2.GaussianBlur(coverage, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return softened.reshape(coverage.shape).astype(np.float32, copy=False)


def _shown(grey: Field, opacity: Field, sigma: float, rng: np.random.Generator) -> Field:
    """Opacity of what lies behind objects: where the picture is of the tone of most of what is covered, as a sky is."""
    height, width = grey.shape
    calm = cv2.medianBlur(cv2.GaussianBlur(grey, (0, 0), max(0.8, sigma)).astype(np.uint8).reshape(height, width), 5)
    covered = opacity > 0.3
    if not covered.any():
        return np.ones_like(opacity)
    background = np.float32(np.median(calm[covered]))
    reach = rng.uniform(25.0, 60.0)
    away = np.abs(calm.reshape(height, width).astype(np.float32) - background)
    shown = np.float32(1.0) - smoothstep(reach, reach + 14.0, away)
    return shown if float(shown[covered].mean()) > LEAST_SHOWN else np.ones_like(opacity)


def _haze(shape: tuple[int, ...], rng: np.random.Generator) -> Field:
    """Opacity that falls evenly from one side to the other, as wires fade into a bright sky."""
    amount, angle = rng.uniform(0.0, HAZIEST), rng.uniform(0.0, 2 * np.pi)
    x, y = np.linspace(-0.5, 0.5, shape[1], dtype=np.float32), np.linspace(-0.5, 0.5, shape[0], dtype=np.float32)
    ramp = np.clip(0.5 + x * np.float32(np.cos(angle)) + y[:, None] * np.float32(np.sin(angle)), 0.0, 1.0)
    haze: Field = np.float32(1.0) - np.float32(amount) * ramp
    return haze
