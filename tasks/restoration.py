"""The three steps of a restoration: open a run, restore one shard of it, close it."""

from __future__ import annotations

from collections.abc import Callable

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.reports.summary import Summary
from oldphoto_core.restoration import run as core
from oldphoto_core.restoration.engine import OnPart
from oldphoto_core.restoration.job import RestoreJob
from oldphoto_core.storage import LedgerRow


@task(cache_policy=NO_CACHE, persist_result=False)
def open_run(job: RestoreJob) -> core.Run:
    """Inventory and plan."""
    run = core.open_run(job)
    get_run_logger().info("run %s: %d files found, %d to restore", run.run_id, run.found, run.planned)
    return run


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="restore-shard-{number}")
def restore_shard(run: core.Run, number: int, on_row: Callable[[LedgerRow], None], on_part: OnPart) -> None:
    """Restore the photos of one shard; each is a row of the ledger and a call of `on_row`."""
    core.restore_shard(run, number, on_row, on_part)
    get_run_logger().info("run %s: shard %d of %d done", run.run_id, number + 1, len(run.shards))


@task(cache_policy=NO_CACHE, persist_result=False)
def close_run(run: core.Run) -> Summary:
    """Merge the ledger, hold it against manifest and bucket, write the summary."""
    summary = core.close_run(run)
    get_run_logger().info("run %s: %d restored, %d failed", run.run_id, summary["restored"], summary["failed"])
    return summary
