"""When to stop fitting a network to one photo, without its original: the windowed moving variance (ES-WMV).

Wang et al., "Early Stopping for Deep Image Prior" (TMLR 2023, arXiv 2112.06074). While the network takes up the picture
its output changes much, near the best output little, and once it takes up the noise, much again. So the fit stops where
the variance over the last outputs is lowest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Output = NDArray[np.float32]


@dataclass(slots=True)
class MovingVariance:
    """The lowest variance so far over a window of outputs, and the newest output of that window."""

    window: int
    """Outputs whose variance is taken."""
    patience: int
    """Outputs without a lower variance after which the fit stops."""
    best: Output | None = None
    """Of the window of lowest variance, the newest output; None before the first window is full."""
    best_at: int = 0
    """Its number, from 1."""
    lowest: float = float("inf")
    _seen: int = 0
    _last: deque[Output] = field(default_factory=deque)
    _sum: NDArray[np.float64] | float = 0.0
    _squares: float = 0.0

    def add(self, output: Output) -> bool:
        """Take the next output of the fit; returns whether the fit is to stop."""
        self._seen += 1
        self._last.append(output)
        self._sum = self._sum + output.astype(np.float64)
        self._squares += float(np.square(output, dtype=np.float64).sum())
        if len(self._last) > self.window:
            gone = self._last.popleft()
            self._sum = self._sum - gone
            self._squares -= float(np.square(gone, dtype=np.float64).sum())
        if len(self._last) == self.window:
            self._judge(output)
        return self.best is not None and self._seen - self.best_at >= self.patience

    def _judge(self, output: Output) -> None:
        # mean of |x - mean|^2 over the window, from the sums that are carried along
        mean = np.asarray(self._sum) / self.window
        variance = self._squares / self.window - float(np.square(mean).sum())
        if variance < self.lowest:
            self.lowest, self.best, self.best_at = variance, output, self._seen
