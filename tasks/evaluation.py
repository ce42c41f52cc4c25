"""Evaluate models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.evaluation import EvaluationConfig
from oldphoto_core.evaluation import run as core
from oldphoto_core.storage import Bucket


@task(cache_policy=NO_CACHE, persist_result=False)
def evaluate_models(
    clean: str, out: str, models: Sequence[str], config: EvaluationConfig, on_crop: Callable[[], None]
) -> str:
    """Models and baselines on one kind of degraded photos; returns the table."""
    table = core.evaluate_models(Bucket(clean), Bucket(out), models, config, on_crop)
    get_run_logger().info("%s", table)
    return table
