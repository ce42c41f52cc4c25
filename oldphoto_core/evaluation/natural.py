"""How natural a photo looks without a reference: NIQE, fitted on clean photos of the user's own.

Mittal, Soundararajan, Bovik: "Making a Completely Blind Image Quality Analyzer" (IEEE Signal Processing Letters, 2013).
Natural pictures, divided by their local contrast, have statistics that defects change. The published model was fitted
on 125 photos that are not at hand; here it is fitted on clean photos that are, so scores compare within one fit only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import ConfigError

Photo = NDArray[np.uint8]
Floats = NDArray[np.float64]

PATCH = 96
"""Side of the patches whose statistics are taken, in pixels, as published; half of it at the second scale."""
SHARP = 0.75
"""Clean patches count if they are at least so sharp as this share of their photo's sharpest."""
FEATURES = 36
"""Of a patch: 18 at each of two scales."""
_SHAPES = np.arange(0.2, 10.001, 0.001)
"""Candidates of a generalised Gaussian's shape."""
_LOG_GAMMA = np.frompyfunc(math.lgamma, 1, 1)


def _gamma_ratio(shapes: Floats) -> Floats:
    """Gamma(2/a)^2 / (Gamma(1/a) Gamma(3/a)): of a generalised Gaussian, (E|x|)^2 / E x^2."""
    logs = 2 * _LOG_GAMMA(2 / shapes) - _LOG_GAMMA(1 / shapes) - _LOG_GAMMA(3 / shapes)
    ratio: Floats = np.exp(np.asarray(logs, np.float64))
    return ratio


_RATIOS = _gamma_ratio(_SHAPES)


@dataclass(frozen=True, slots=True)
class Naturalness:
    """A Gaussian over the features of sharp patches of clean photos."""

    mean: Floats
    """F."""
    covariance: Floats
    """FF."""

    @classmethod
    def fit(cls, photos: Iterable[Photo]) -> Naturalness:
        """From clean photos HWC; ConfigError if they have too few patches for a covariance."""
        patches = [features(photo, sharpest=SHARP) for photo in photos]
        known = np.concatenate([rows for rows in patches if len(rows)]) if any(len(rows) for rows in patches) else ()
        if len(known) <= FEATURES:
            raise ConfigError(
                f"naturalness is fitted on sharp patches of {PATCH} x {PATCH} pixels, and the clean photos have"
                f" {len(known)}; give photos enough for more than {FEATURES}"
            )
        return cls(*_moments(np.asarray(known)))

    def score(self, photo: Photo) -> float:
        """Distance of `photo_HWC` from clean photos, 0 or more, lower = more natural; nan if no patch fits into it."""
        rows = features(photo)
        if len(rows) < 2:
            return float("nan")
        mean, covariance = _moments(rows)
        apart = mean - self.mean
        return float(np.sqrt(apart @ np.linalg.pinv((self.covariance + covariance) / 2) @ apart))


def features(photo: Photo, *, sharpest: float = 0.0) -> Floats:
    """PF: statistics of the patches of `photo_HWC uint8` that are at least `sharpest` of the sharpest one."""
    grey = _grey(photo)
    down, right = grey.shape[0] // PATCH, grey.shape[1] // PATCH
    if not (down and right):
        return np.empty((0, FEATURES))
    grey = grey[: down * PATCH, : right * PATCH]
    scales, sharpness = [], np.empty(0)
    for side in (PATCH, PATCH // 2):
        normalised, contrast = _normalised(grey)
        if side == PATCH:
            sharpness = _patches(contrast, side).mean(axis=(1, 2))
        scales.append(np.array([_patch_features(patch) for patch in _patches(normalised, side)]))
        half = (grey.shape[1] // 2, grey.shape[0] // 2)
        grey = np.asarray(cv2.resize(grey, half, interpolation=cv2.INTER_AREA), np.float64)
    rows = np.concatenate(scales, axis=1)
    chosen: Floats = rows[sharpness >= sharpest * sharpness.max()]
    return chosen


def _grey(photo: Photo) -> Floats:
    plane = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) if photo.shape[2] == 3 else photo[..., 0]
    return np.asarray(plane, np.float64)


def _normalised(grey: Floats) -> tuple[Floats, Floats]:
    """HW less its local mean and divided by its local deviation (Gaussian of 7 x 7, sigma 7 / 6); and the deviation."""
    mean = cv2.GaussianBlur(grey, (7, 7), 7 / 6)
    deviation = np.sqrt(np.abs(cv2.GaussianBlur(grey * grey, (7, 7), 7 / 6) - mean * mean))
    return (grey - mean) / (deviation + 1.0), deviation


def _patches(plane: Floats, side: int) -> Floats:
    """P side side."""
    down, right = plane.shape[0] // side, plane.shape[1] // side
    cut = plane[: down * side, : right * side].reshape(down, side, right, side)
    return cut.swapaxes(1, 2).reshape(-1, side, side)


def _patch_features(patch: Floats) -> list[float]:
    """18: shape and spread of the values, and shape, mean and both spreads of the products of neighbours in four
    directions."""
    shape, left, right = _asymmetric(patch)
    found = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = _asymmetric(patch * np.roll(patch, shift, axis=(0, 1)))
        lean = math.exp(math.lgamma(2 / shape) - (math.lgamma(1 / shape) + math.lgamma(3 / shape)) / 2)
        found += [shape, (right - left) * lean, left, right]
    return found


def _asymmetric(values: Floats) -> tuple[float, float, float]:
    """Shape, left and right spread of an asymmetric generalised Gaussian, by matching moments (Lasmar et al., 2009)."""
    below, above = values[values < 0], values[values > 0]
    left = math.sqrt(float(np.square(below).mean())) if below.size else 0.0
    right = math.sqrt(float(np.square(above).mean())) if above.size else 0.0
    power = float(np.square(values).mean())
    if not (left and right and power):
        return float(_SHAPES[-1]), left, right  # a flat patch has no shape
    skew = left / right
    ratio = float(np.abs(values).mean()) ** 2 / power
    wanted = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    return float(_SHAPES[np.argmin(np.square(_RATIOS - wanted))]), left, right


def _moments(rows: Floats) -> tuple[Floats, Floats]:
    return rows.mean(axis=0), np.cov(rows, rowvar=False)
