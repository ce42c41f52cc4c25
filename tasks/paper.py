"""Plan, train, restore and measure the rows of the paper's table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.evaluation.paper import PaperConfig, Plan, make_plan, rows_named
from oldphoto_core.evaluation.paper import table as core
from oldphoto_core.evaluation.paper.rows import ROWS
from oldphoto_core.storage import Bucket


@task(
    task_run_name="plan-table",
    tags={"evaluate"},
    retries=0,
    timeout_seconds=None,  # as long as a few steps of every stage need
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def plan_table(clean: str, old: str, out: str, rows: Sequence[str], config: PaperConfig, device: str) -> Plan:
    """How many steps each stage has; what was planned before stays."""
    plan = make_plan(config, rows_named(rows), Bucket(clean), Bucket(old), Bucket(out), device)
    for row, steps in plan.steps.items():
        get_run_logger().info("%s: %s", row, ", ".join(f"{stage} {count} steps" for stage, count in steps.items()))
    return plan


@task(
    task_run_name="restore-{row}",
    tags={"evaluate"},
    retries=0,
    timeout_seconds=None,  # as long as the photos and the method need
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def restore_row(
    clean: str, old: str, out: str, row: str, config: PaperConfig, on_photo: Callable[[], None], device: str
) -> None:
    """What a row's method makes of the photos of the table."""
    core.restore_row(Bucket(clean), Bucket(old), Bucket(out), ROWS[row], config, on_photo, device)


@task(
    task_run_name="write-table",
    tags={"evaluate"},
    retries=0,
    timeout_seconds=None,  # as long as the photos and metrics need
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def write_table(clean: str, old: str, out: str, rows: Sequence[str], config: PaperConfig) -> str:
    """The table in all its forms; returns Markdown."""
    text = core.write_table(Bucket(clean), Bucket(old), Bucket(out), rows_named(rows), config)
    get_run_logger().info("%s", text)
    return text
