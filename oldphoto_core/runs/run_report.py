"""The report of a finished run, at its end and again later."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from oldphoto_core.errors import OldPhotoError, UsageError
from oldphoto_core.reports.page.build import write_report
from oldphoto_core.runs.recovery import FACTS, SUMMARY, finalise_killed_run
from oldphoto_core.storage import Bucket

if TYPE_CHECKING:
    from oldphoto_core.reports.summary import Summary

log = logging.getLogger(__name__)


def report_of_closed(target: Bucket, summary: Summary) -> None:
    """The report at the end of a run; one that cannot be written is a warning, as the run itself is done."""
    if not summary["options"].get("report", True):
        return
    try:
        write_report(target, summary)
    except OldPhotoError as error:
        log.warning("no report of run %s: %s", summary["run_id"], error)


def make_report(target: Bucket, run_id: str) -> str:
    """Make the report of any run again, after finalising it if it was killed; returns the key of its index.

    Raises UsageError when there is no such run, StorageError when its files cannot be read or written.
    """
    run = target.join("runs", run_id)
    finalise_killed_run(target, run_id)
    if run.info(SUMMARY) is None:
        raise UsageError(f"there is no finished run {run_id} in {target}: no {SUMMARY} or {FACTS} lies in {run}")
    return write_report(target, json.loads(run.read(SUMMARY)))
