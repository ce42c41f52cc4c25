"""The stage `scratches`: training the network that finds what is damaged (section 3.4 of the paper, and beyond)."""

from oldphoto_core.training.detection.data import DetectionBatches
from oldphoto_core.training.detection.stage import DetectionStage
from oldphoto_core.training.detection.validation import DetectionValidation

__all__ = ["DetectionBatches", "DetectionStage", "DetectionValidation"]
