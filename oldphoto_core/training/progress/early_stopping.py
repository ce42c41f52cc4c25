"""What ends a training before its last step: losses that run away, and validations that no longer improve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from oldphoto_core.training.config import StageConfig

JUDGED_BY = ("psnr", "f1")
"""What validations are compared by, the first of them that a stage measures; more is better."""


@dataclass(slots=True)
class EarlyStopping:
    """State that is part of every checkpoint."""

    lowest_loss: float = math.inf
    """Of the rows of the history so far."""
    best: float = -math.inf
    """Best validation so far."""
    best_step: int = 0
    """Its step."""
    waited: int = 0
    """Validations since, none of them better."""

    def runs_away(self, loss: float, config: StageConfig) -> str:
        """Why training must end, if the loss is no number or far above what it was; else empty."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        limit = self.lowest_loss * config.most_loss_rise
        if config.most_loss_rise and loss > limit:
            return (
                f"the loss is {loss:.4g}, over {config.most_loss_rise:g} times the {self.lowest_loss:.4g} it had been"
            )
        return ""

    def see_row(self, row: Mapping[str, float]) -> None:
        """Of the history, when it is closed."""
        self.lowest_loss = min(self.lowest_loss, row["loss"])

    def improves(self, quality: Mapping[str, float], step: int) -> bool:
        """Counts a validation; whether it is the best so far."""
        value = next((quality[name] for name in JUDGED_BY if name in quality), None)
        if value is None:
            return False
        if value > self.best:
            self.best, self.best_step, self.waited = value, step, 0
            return True
        self.waited += 1
        return False

    def is_over(self, config: StageConfig) -> bool:
        """Whether patience has run out."""
        return bool(config.patience) and self.waited >= config.patience

    def record(self) -> dict[str, Any]:
        """JSON-ready; infinities as Python's JSON writes them."""
        return asdict(self)
