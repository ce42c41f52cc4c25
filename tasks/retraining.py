"""The steps of a retraining: plan, train a stage, judge, conclude."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core import retraining as core
from oldphoto_core.training import StageConfig
from oldphoto_core.training.loop import Progress


@task(
    task_run_name="open-retraining",
    tags={"retrain"},
    retries=0,
    timeout_seconds=None,  # reads what has arrived
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def open_retraining(config: core.RetrainConfig) -> core.Plan:
    """The plan, new or of an interrupted retraining."""
    plan = core.open_retraining(config)
    get_run_logger().info("%s against %s:\n%s", plan.challenger, plan.champion, plan.in_words())
    return plan


@task(
    task_run_name="train-{stage.stage}",
    tags={"retrain"},
    retries=0,
    timeout_seconds=None,  # trains for hours, and resumes when it is called again
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def train_challenger(plan: core.Plan, stage: StageConfig, progress: Progress, device: str) -> dict[str, Any]:
    """One stage, from its last checkpoint on."""
    spent = core.train_challenger(plan, stage, progress, device)
    get_run_logger().info("%s: %d steps in %.0f s", stage.stage, spent["steps"], spent["seconds"])
    return spent


@task(
    task_run_name="judge-{plan.challenger}",
    tags={"retrain"},
    retries=0,
    timeout_seconds=None,  # restores the held-out photos by both models
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def conclude_retraining(plan: core.Plan, on_photo: Callable[[], None], check: Callable[[], None]) -> core.Outcome:
    """Both models on the same photos, then the decision. `check` raises Occupied if another retraining is at work."""
    verdict = core.judge_challenger(plan, on_photo)
    check()
    outcome = core.conclude(plan, verdict)
    get_run_logger().info("%s: %s, see %s", outcome.challenger, outcome.decision, outcome.place)
    return outcome
