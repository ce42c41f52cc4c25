"""Evaluate models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.evaluation import Backbones, EvaluationConfig
from oldphoto_core.evaluation import run as core
from oldphoto_core.storage import Bucket


@task(
    task_run_name="evaluate-{config.recipe}-scratched-{config.scratched}",
    tags={"evaluate"},
    retries=0,
    timeout_seconds=None,  # as long as the photos and methods need
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def evaluate_models(
    clean: str,
    out: str,
    models: Sequence[str],
    config: EvaluationConfig,
    on_crop: Callable[[], None],
    backbones: Backbones | None = None,
    rivals: Sequence[str] = (),
) -> str:
    """Models and baselines on one kind of degraded photos; returns the table."""
    table = core.evaluate_models(Bucket(clean), Bucket(out), models, config, on_crop, backbones, rivals)
    get_run_logger().info("%s", table)
    return table


@task(
    task_run_name="evaluate-real",
    tags={"evaluate"},
    retries=0,
    timeout_seconds=None,  # as long as the photos and methods need
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def evaluate_on_real(
    clean: str,
    old: str,
    out: str,
    models: Sequence[str],
    config: EvaluationConfig,
    on_photo: Callable[[], None],
    rivals: Sequence[str] = (),
) -> str:
    """Models and baselines on real old photos; returns the tables."""
    table = core.evaluate_on_real(Bucket(clean), Bucket(old), Bucket(out), models, config, on_photo, rivals)
    get_run_logger().info("%s", table)
    return table
