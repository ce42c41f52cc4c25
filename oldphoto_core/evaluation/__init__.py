"""How good a model is, beside what costs nothing: metrics, baselines, comparison tables."""

from oldphoto_core.evaluation.backbones import Backbones
from oldphoto_core.evaluation.compare import Crop, EvaluationConfig, baseline_methods, compare
from oldphoto_core.evaluation.tables import summarise, to_markdown

__all__ = ["Backbones", "Crop", "EvaluationConfig", "baseline_methods", "compare", "summarise", "to_markdown"]
