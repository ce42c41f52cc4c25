"""The champion trained further on what has arrived, and replaced only by a challenger that is better."""

from oldphoto_core.retraining.config import RetrainConfig
from oldphoto_core.retraining.plan import Plan, make_plan
from oldphoto_core.retraining.run import (
    Outcome,
    conclude,
    judge_challenger,
    occupied,
    open_retraining,
    train_challenger,
)

__all__ = [
    "Outcome",
    "Plan",
    "RetrainConfig",
    "conclude",
    "judge_challenger",
    "make_plan",
    "occupied",
    "open_retraining",
    "train_challenger",
]
