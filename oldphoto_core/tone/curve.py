"""Smooth curves over lightness that a minority of other points does not bend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DEGREE = 4
_ROUNDS = 8
_REACH = 4.0
"""Points further from the curve than this times the typical distance have no weight (Tukey's biweight)."""
_MOST = 8192
"""Points that are fitted, at most: every n-th of more."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Polynomials of one number from 0 to 1, beyond its range the value at its ends."""

    coefficients: Floats
    """Highest power first, a column for each value."""
    low: float
    high: float
    """Between these the curve is known."""

    def __call__(self, places: Floats) -> Floats:
        """`places_N` -> values_NC."""
        return _powers(places, self.low, self.high) @ self.coefficients


def robust_curve(places: Floats, values: Floats, weights: Floats, floor: float) -> Curve:
    """The curve that most points lie on.

    Iteratively reweighted least squares with Tukey's biweight, begun from the median of the values.

    Args:
        places: N, from 0 to 1.
        values: NC.
        weights: N, not negative: how much each point counts.
        floor: Distance within which points count as on the curve.
    """
    known = weights > 0
    step = max(1, -(-int(known.sum()) // _MOST))
    places, values, weights = (part[known][::step] for part in (places, values, weights))
    if not len(places):
        return Curve(np.zeros((DEGREE + 1, values.shape[1])), 0.0, 1.0)
    low, high = (float(end) for end in np.quantile(places, (0.005, 0.995)))
    powers = _powers(places, low, high)
    apart = np.linalg.norm(values - np.median(values, axis=0), axis=1)
    coefficients = np.zeros((DEGREE + 1, values.shape[1]))
    for _ in range(_ROUNDS):
        reach = _REACH * max(floor, 1.2 * weighted_median(apart, weights))
        counted = powers.T * (weights * (1 - (apart / reach).clip(0, 1) ** 2) ** 2)
        coefficients = np.linalg.lstsq(counted @ powers, counted @ values, rcond=1e-9)[0]
        apart = np.linalg.norm(values - powers @ coefficients, axis=1)
    return Curve(coefficients, low, high)


def weighted_median(values: Floats, weights: Floats) -> float:
    """The value below which half of the weight lies; 0 without any."""
    if not len(values):
        return 0.0
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(summed, summed[-1] / 2)]])


def _powers(places: Floats, low: float, high: float) -> Floats:
    middle, half = (low + high) / 2, max((high - low) / 2, 1e-6)
    return np.vander((places.clip(low, high) - middle) / half, DEGREE + 1)
