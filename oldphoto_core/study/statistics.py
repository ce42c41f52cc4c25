"""What rankings say: agreement (Kendall's W) and strengths with intervals (Bradley and Terry, the bootstrap).

A table of rankings has one row per ranking and one column per method; a cell is the rank, 1 = best.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ranks = NDArray[np.int64]

RESAMPLES = 1000
LEVEL = 0.95
"""Of the intervals of scores."""
PRIOR = 0.5
"""Wins that each method is given over each other one, so that a method that never loses has a score, too."""
STEPS = 1000
PRECISION = 1e-9


def kendall_w(ranks: Ranks) -> float:
    """Return the agreement of rankings (N, M): 0 = none, 1 = all are equal (Kendall and Babington Smith, 1939).

    nan of fewer than two rankings, or of one method.
    """
    rankings, methods = ranks.shape
    if rankings < 2 or methods < 2:
        return float("nan")
    sums = ranks.sum(axis=0)
    spread = float(np.square(sums - sums.mean()).sum())
    return float(12.0 * spread / (rankings**2 * (methods**3 - methods)))


def wins(ranks: Ranks) -> NDArray[np.float64]:
    """Return how often each method (row) was ranked before each other one (column)."""
    return np.asarray((ranks[:, :, None] < ranks[:, None, :]).sum(axis=0), np.float64)


def bradley_terry(won_against: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log strength of each method; their mean is 0, and a difference of d means odds of e^d to one.

    Maximum likelihood by the MM algorithm (Hunter, 2004), with `PRIOR` wins of each over each added. Several tables of
    wins (..., M, M) are solved at once.
    """
    methods = won_against.shape[-1]
    won = won_against + PRIOR * (1 - np.eye(methods))
    games, total = won + won.swapaxes(-1, -2), won.sum(axis=-1)
    strength = np.ones(won_against.shape[:-1])
    for _ in range(STEPS):
        shares = games / (strength[..., :, None] + strength[..., None, :])
        better = total / shares.sum(axis=-1)
        better /= np.exp(np.log(better).mean(axis=-1, keepdims=True))
        moved = float(np.abs(np.log(better) - np.log(strength)).max())
        strength = better
        if moved < PRECISION:
            break
    scores: NDArray[np.float64] = np.log(strength)
    return scores


def score_intervals(
    by_participant: Sequence[Ranks], *, seed: int = 0, resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Return the percentile bootstrap interval of each method's score, as (2, M): low and high.

    Participants are drawn with replacement, each with all answers: the answers of one person depend on each other.
    nan of fewer than two participants.
    """
    methods = by_participant[0].shape[1]
    if len(by_participant) < 2:
        return np.full((2, methods), np.nan)
    each = np.stack([wins(ranks) for ranks in by_participant])
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(each), (resamples, len(each)))
    scores = bradley_terry(np.stack([each[draw].sum(axis=0) for draw in draws]))
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.stack([low, high])
