"""Examine a collection."""

from __future__ import annotations

from collections.abc import Callable

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core import inventory as core
from oldphoto_core.storage import Bucket
from tasks.retrying import RETRY_SECONDS, cluster_was_lost


@task(
    task_run_name="take-stock",
    tags={"inventory"},
    retries=2,
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=cluster_was_lost,
    timeout_seconds=None,  # reads the whole collection
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def take_stock(
    source: str,
    out: str,
    dask: str | None,
    limit: int | None,
    on_row: Callable[[core.InventoryRow], None],
    on_link: Callable[[str], None],
) -> core.InventoryReport:
    """Examine every object that is new, over Dask, and write the table to `out`; rows that lie there are kept."""
    report = core.take_stock(Bucket(source), out, dask=dask, limit=limit, on_row=on_row, on_link=on_link)
    get_run_logger().info("%s: %d objects, %d failed, in %.0f s", source, report.found, report.failed, report.seconds)
    return report
