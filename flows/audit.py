"""Fixity: every derivative and mask of a target is read again and held against what was recorded of it."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger
from pydantic import Field

from flows.progress import CountProgress
from oldphoto_core import custody as core
from oldphoto_core.custody import AuditReport
from oldphoto_core.errors import AuditFailed
from oldphoto_core.storage import Bucket

ROWS_SHOWN = 1000


@flow(name="audit", persist_result=False, retries=0, log_prints=False)
def audit(
    target: Annotated[str, Field(description="Target of restorations: a folder, file://, s3:// or memory://")],
    out: Annotated[str | None, Field(description="Where audit.json and audit.csv are written; none: nowhere")] = None,
    fail_on_findings: Annotated[bool, Field(description="End as failed when something is found, for alerts")] = False,
) -> AuditReport:
    """Audit a target; the findings are also a table artifact.

    Raises AuditFailed when something was found and `fail_on_findings` is on.
    """
    with CountProgress("auditing") as progress:
        report = core.audit(Bucket(target), progress, out=Bucket(out) if out is not None else None)
    get_run_logger().info("%s: %d findings in %.0f s", target, len(report.findings), report.seconds)
    create_table_artifact(
        key="audit",
        table=[{"key": each.key, "finding": each.kind, "detail": each.detail} for each in report.findings[:ROWS_SHOWN]],
        description=f"Audit of {target}: {report.derivatives} derivatives and {report.masks} masks as recorded,"
        f" {len(report.findings)} findings",
    )
    if fail_on_findings and report.findings:
        first = report.findings[0]
        raise AuditFailed(f"{len(report.findings)} findings in {target}; the first is {first.key}: {first.kind}")
    return report
