"""Train one stage."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.training import StageConfig
from oldphoto_core.training import process as core
from oldphoto_core.training.loop import Progress


@task(
    task_run_name="train-{config.stage}",
    tags={"train"},
    retries=0,
    timeout_seconds=None,  # trains for hours, and resumes when it is called again
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def train_stage(
    config: StageConfig, clean: str, old: str, out: str, progress: Progress, device: str, processes: int = 1
) -> dict[str, Any]:
    """One stage, from its last checkpoint on, in one process or in several."""
    spent = core.train_here(config, clean, old, out, progress, device, processes)
    get_run_logger().info("%s: %d steps in %.0f s", config.stage, spent["steps"], spent["seconds"])
    return spent
