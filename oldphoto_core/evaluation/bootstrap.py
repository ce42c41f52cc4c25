"""How far a mean over photos may be off: the percentile bootstrap (Efron, 1979)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95
"""Of the intervals in tables."""


def mean_interval(values: NDArray[np.float64], *, level: float = LEVEL, seed: int = 0) -> tuple[float, float]:
    """(low, high) of the mean of `values_N`, of which nans are left out; (nan, nan) of fewer than two.

    Photos are drawn with replacement, so the interval speaks of other photos of the same kind. For the difference of
    two methods give the photos' own differences: both saw the same photos. The same seed gives the same interval.
    """
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if len(known) < 2:
        return (float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    means = known[rng.integers(0, len(known), (RESAMPLES, len(known)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
