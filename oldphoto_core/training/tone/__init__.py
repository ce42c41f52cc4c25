"""The stage `tone`: training the network that predicts one map of tones for a whole photo."""

from oldphoto_core.training.tone.data import ToneBatches
from oldphoto_core.training.tone.stage import ToneStage
from oldphoto_core.training.tone.validation import ToneValidation

__all__ = ["ToneBatches", "ToneStage", "ToneValidation"]
