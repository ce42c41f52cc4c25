"""Export a run's records."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.reports.exports import run as core
from oldphoto_core.storage import Bucket


@task(cache_policy=NO_CACHE, persist_result=False, retries=0, log_prints=False)
def export_records(target: str, run_id: str, options: core.ExportOptions) -> core.ExportResult:
    """Every form that was asked for; returns what was written."""
    result = core.export_records(Bucket(target), run_id, options)
    get_run_logger().info("exported %d photos of %s into %s", result["photos"], target, ", ".join(result["written"]))
    return result
