"""Hold a target against its records."""

from __future__ import annotations

from collections.abc import Callable

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core import custody as core
from oldphoto_core.storage import Bucket


@task(cache_policy=NO_CACHE, persist_result=False, retries=0, log_prints=False)
def audit_target(target: str, out: str | None, on_object: Callable[[int, int], None]) -> core.AuditReport:
    """Read everything again; the report is written to `out`, if there is one."""
    report = core.audit(Bucket(target), on_object, out=Bucket(out) if out is not None else None)
    get_run_logger().info("%s: %d findings in %.0f s", target, len(report.findings), report.seconds)
    return report
