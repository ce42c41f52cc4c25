"""Plan, train, restore and measure the rows of the paper's table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.evaluation.paper import PaperConfig, Plan, make_plan, rows_named
from oldphoto_core.evaluation.paper import table as core
from oldphoto_core.evaluation.paper.rows import ROWS
from oldphoto_core.storage import Bucket
from oldphoto_core.training.assembling import publish, publish_baseline

UNKEPT: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False, "retries": 0, "log_prints": False}


@task(**UNKEPT)
def plan_table(clean: str, old: str, out: str, rows: Sequence[str], config: PaperConfig, device: str) -> Plan:
    """How many steps each stage has; what was planned before stays."""
    plan = make_plan(config, rows_named(rows), Bucket(clean), Bucket(old), Bucket(out), device)
    for row, steps in plan.steps.items():
        get_run_logger().info("%s: %s", row, ", ".join(f"{stage} {count} steps" for stage, count in steps.items()))
    return plan


@task(task_run_name="publish-{row}", **UNKEPT)
def publish_row(out: str, row: str, plan: Plan) -> None:
    """The model of a trained row, unless it is there."""
    each, place = ROWS[row], core.place_of_row(Bucket(out), ROWS[row])
    if Bucket(core.model_of(Bucket(out), each)).info("card.json") is not None:
        return
    config = plan.stages(each)[-1]
    if each.kind == "baseline":
        publish_baseline(config, place, name=row)
    else:
        publish(config, place, name=row)


@task(task_run_name="restore-{row}", **UNKEPT)
def restore_row(
    clean: str, old: str, out: str, row: str, config: PaperConfig, on_photo: Callable[[], None], device: str
) -> None:
    """What a row's method makes of the photos of the table."""
    core.restore_row(Bucket(clean), Bucket(old), Bucket(out), ROWS[row], config, on_photo, device)


@task(**UNKEPT)
def write_table(clean: str, old: str, out: str, rows: Sequence[str], config: PaperConfig) -> str:
    """The table in all its forms; returns Markdown."""
    text = core.write_table(Bucket(clean), Bucket(old), Bucket(out), rows_named(rows), config)
    get_run_logger().info("%s", text)
    return text
