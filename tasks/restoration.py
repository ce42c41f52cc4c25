"""The steps of a restoration: open a run, restore its shards here or in a process of a fleet, close it."""

from __future__ import annotations

from collections.abc import Callable

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.pipeline.callbacks import ShardCallbacks
from oldphoto_core.reports.summary import Summary
from oldphoto_core.runs import run as core
from oldphoto_core.runs import shard
from oldphoto_core.runs.job import RestoreJob


@task(
    task_run_name="open-run",
    tags={"restore"},
    retries=0,
    timeout_seconds=None,  # listing a source of millions takes as long as its store
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def open_run(
    job: RestoreJob, cancel_orphaned_runs: Callable[[list[str]], None], workers: int, check: Callable[[], None]
) -> core.Run:
    """Manifest and plan; `cancel_orphaned_runs` is called first with killed runs whose shards may still be restored."""
    run = core.open_run(job, cancel_orphaned_runs, workers, check)
    get_run_logger().info("run %s: %d files found, %d to restore", run.run_id, run.found, run.planned)
    return run


@task(
    task_run_name="restore-shard-{number}",
    tags={"restore"},
    retries=0,
    timeout_seconds=None,  # --photo-timeout bounds a photo
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def restore_shard(run: core.Run, number: int, callbacks: ShardCallbacks, device: str = "") -> None:
    """Restore the photos of one shard; each is a row of the ledger and a call of `callbacks.on_row`."""
    core.restore_shard(run, number, callbacks, device)
    get_run_logger().info("run %s: shard %d of %d done", run.run_id, number + 1, len(run.shards))


@task(
    task_run_name="restore-shard-{number}-attempt-{attempt}",
    tags={"restore"},
    retries=0,
    timeout_seconds=None,  # --photo-timeout bounds a photo
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def restore_stored_shard(target: str, run_id: str, number: int, attempt: int, callbacks: ShardCallbacks) -> None:
    """Restore what is left of a shard that another process handed out."""
    count = shard.restore_stored_shard(target, run_id, number, attempt, callbacks)
    get_run_logger().info("run %s: shard %d done at attempt %d, %d rows", run_id, number, attempt, count)


@task(
    task_run_name="close-{run.run_id}",
    tags={"restore"},
    retries=0,
    timeout_seconds=None,  # cut off, it would leave the run to the next one
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def close_run(run: core.Run) -> Summary:
    """Merge the ledger, hold it against manifest and bucket, write the summary."""
    summary = core.close_run(run)
    get_run_logger().info("run %s: %d restored, %d failed", run.run_id, summary["restored"], summary["failed"])
    return summary
