"""Staged training: autoencoders, mapping; one loop that goes on from its last checkpoint."""

from oldphoto_core.training.config import STAGES, StageConfig
from oldphoto_core.training.defaults import default_config
from oldphoto_core.training.run import train_all, train_stage

__all__ = ["STAGES", "StageConfig", "default_config", "train_all", "train_stage"]
