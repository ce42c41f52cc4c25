"""How good a model is, beside what costs nothing: metrics, baselines, comparison tables."""

from oldphoto_core.evaluation.compare import (
    Crop,
    EvaluationConfig,
    baseline_methods,
    compare,
    summarise,
    to_markdown,
)

__all__ = ["Crop", "EvaluationConfig", "baseline_methods", "compare", "summarise", "to_markdown"]
