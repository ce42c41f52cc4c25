"""How a picture renders what is in it: its blur, its grain and its tones, measured so that drawn structures match."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation.archive.operation import Field

Photo = NDArray[np.uint8]
Colour = NDArray[np.float32]
"""RGB in levels of 255."""

SECOND_BLUR = 1.0
"""Standard deviation in pixels of the blur that is added to measure the one that is there."""
DERIVATIVE = 1 / 3
"""Variance in square pixels of the blur that Sobel's difference over two pixels adds itself."""
SHARPEST, SOFTEST = 0.35, 4.0
"""Bounds of the measured blur, as standard deviations in pixels."""
USUAL = 0.7
"""Blur in pixels of a picture without edges to measure it by."""
REGIONS = 4
"""The blur is measured in REGIONS x REGIONS parts of the picture: the background may be out of focus."""
WINDOW = 96
"""Side in pixels of the square in which each part is measured."""
MARGIN = 4
"""Pixels at the edges of that square which are not measured."""
FAINTEST_EDGE = 12.0
"""Least gradient of an edge that is measured, in levels a pixel: grain is fainter."""
FEWEST_EDGES = 40
"""Edge pixels in a region, below which the blur of the whole picture counts."""
TILE = 64
"""Side of the square of grain that is repeated, in pixels."""
PALETTE = 40
"""Tones are taken from a grid of PALETTE x PALETTE pixels of the picture."""
CONTRAST = 30.0
"""Least difference of a structure's luminance from what lies below it, where the picture has such tones."""


class Appearance:
    """Blur, grain and tones of one photo `photo_HWC uint8`."""

    def __init__(self, photo: Photo, rng: np.random.Generator) -> None:
        self.photo = photo
        self.grey: Field = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).reshape(photo.shape[:2]).astype(np.float32)
        self.blurs = _blurs(self.grey)
        self.grain = _grain(photo, self.grey, rng)
        rows, columns = (np.linspace(0, side - 1, PALETTE).astype(int) for side in photo.shape[:2])
        palette = photo[rows][:, columns].reshape(-1, 3).astype(np.float32)
        self._palette = palette[np.argsort(luminance(palette), kind="stable")]

    def blur_at(self, coverage: Field) -> float:
        """Standard deviation in pixels of the picture's blur where `coverage_HW` lies."""
        weights = cv2.resize(coverage, (REGIONS, REGIONS), interpolation=cv2.INTER_AREA)
        total = float(weights.sum())
        return float((weights * self.blurs).sum() / total) if total > 0 else float(self.blurs.mean())

    def tone(self, level: str, below: float, rng: np.random.Generator) -> Colour:
        """A colour of the picture itself: `dark`, `bright`, or `either`, which stands out from luminance `below`."""
        is_bright = level == "bright" or (level == "either" and below < float(luminance(self._palette).mean()))
        place = rng.uniform(0.82, 0.995) if is_bright else rng.uniform(0.005, 0.18)
        chosen: Colour = self._palette[int(place * (len(self._palette) - 1))]
        if abs(float(luminance(chosen)) - below) >= CONTRAST:
            return chosen
        ends = self._palette[[len(self._palette) // 200, -1 - len(self._palette) // 200]]
        sides = {"dark": 0, "bright": 1, "either": int(np.argmax(np.abs(luminance(ends) - below)))}
        end: Colour = ends[sides[level]]
        return end


def luminance(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of RGB colours, ...3 -> ..., in levels of 255."""
    weighed: NDArray[np.float32] = colours @ np.array([0.299, 0.587, 0.114], np.float32)
    return weighed


def _blurs(grey: Field) -> Field:
    """REGIONS x REGIONS standard deviations of the blur of edges, in pixels.

    The gradient of an edge of blur s falls by sqrt((s^2 + t^2) / s^2) when a blur t is added (Zhuo and Sim, "Defocus
    map estimation from a single image", 2011).
    """
    variances = [_edges(grey[part]) for part in _windows(grey.shape)]
    whole = _typical(np.concatenate(variances), USUAL)
    return np.array([_typical(each, whole) for each in variances], np.float32).reshape(REGIONS, REGIONS)


def _windows(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """A square in the middle of each region, in row order: enough to measure it, at a fraction of the cost."""
    rows, columns = ([_middle(part, side) for part in range(REGIONS)] for side in shape)
    return [(row, column) for row in rows for column in columns]


def _middle(part: int, side: int) -> slice:
    middle, half = (part + 0.5) * side / REGIONS, min(WINDOW, side / REGIONS) / 2
    return slice(int(middle - half), max(int(middle + half), int(middle - half) + 1))


def _edges(grey: Field) -> NDArray[np.float32]:
    """Variances of the blur at the steepest pixels of `grey_HW`, in square pixels."""
    softer = cv2.GaussianBlur(grey, (0, 0), SECOND_BLUR).reshape(grey.shape).astype(np.float32, copy=False)
    steep, flatter = _gradient(grey), _gradient(softer)
    ratio = steep / np.maximum(flatter, np.float32(1e-3))
    variances = np.float32(SECOND_BLUR**2) / np.maximum(ratio * ratio - np.float32(1.0), np.float32(1e-3))
    if min(grey.shape) > 4 * MARGIN:  # beyond the square, the blur has only reflections to go by
        inner = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
        steep, variances = steep[inner], variances[inner]
    steepest = variances[steep >= max(FAINTEST_EDGE, float(np.quantile(steep, 0.95)))]
    return (steepest - np.float32(DERIVATIVE)).astype(np.float32)


def _typical(variances: NDArray[np.float32], otherwise: float) -> float:
    """The lower quartile, as edges of soft shadows are no measure of the lens."""
    if len(variances) < FEWEST_EDGES:
        return otherwise
    return float(np.clip(np.sqrt(max(0.0, float(np.quantile(variances, 0.25)))), SHARPEST, SOFTEST))


def _gradient(grey: Field) -> Field:
    x, y = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return cv2.magnitude(x, y).reshape(grey.shape).astype(np.float32, copy=False)


def _grain(photo: Photo, grey: Field, rng: np.random.Generator) -> NDArray[np.float32]:
    """A tile of the picture's grain, side x side x 3, mean 0, whose repetitions fit without a seam.

    It has the spectrum of a calm part of the picture, and random phases that all channels share (Galerne et al.,
    "Random phase textures", 2011).
    """
    side = min(TILE, *grey.shape)
    if side < 8:
        return np.zeros((1, 1, 3), np.float32)
    top, left = _calm_part(grey, side)
    part = photo[top : top + side, left : left + side].astype(np.float32)
    residual = part - cv2.GaussianBlur(part, (0, 0), 2.0)
    residual -= residual.mean(axis=(0, 1))
    # of a photo without a calm part, details are no grain: it is no stronger than in the calmer half of all pixels
    residual *= min(1.0, _deviation(grey) / max(float(residual.std()), 1e-3))
    phases = np.exp(1j * np.angle(np.fft.fft2(rng.standard_normal((side, side)))))
    spectrum = np.fft.fft2(residual, axes=(0, 1)) * phases[..., None]
    return np.fft.ifft2(spectrum, axes=(0, 1)).real.astype(np.float32)


def _deviation(grey: Field) -> float:
    """Standard deviation of the grain, in levels, from the median of the fine detail: few pixels have other detail."""
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 2.0).reshape(grey.shape)
    return 1.4826 * float(np.median(np.abs(fine[::3, ::3])))


def _calm_part(grey: Field, side: int) -> tuple[int, int]:
    """Corner of a square with little detail that is neither black nor white, where grain does not show."""
    rows, columns = grey.shape[0] // side, grey.shape[1] // side
    parts = grey[: rows * side, : columns * side].reshape(rows, side, columns, side)
    mean, deviation = parts.mean(axis=(1, 3)), parts.std(axis=(1, 3))
    deviation = np.where((mean > 20) & (mean < 235), deviation, deviation + 255.0)
    order = np.argsort(deviation, axis=None, kind="stable")
    row, column = divmod(int(order[len(order) // 8]), columns)
    return row * side, column * side
