"""What a restoration shows in Prefect: how far it is, what became of it, its report, a photo before and after."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.session.server import unless_away
from oldphoto_core.reports.page.build import INDEX_KEY
from oldphoto_core.reports.page.thumbnails import REPORT, thumbnail_stem
from oldphoto_core.storage import Bucket, LedgerRow

if TYPE_CHECKING:
    from oldphoto_core.reports.summary import Summary

SECONDS_BETWEEN_UPDATES = 10.0
COUNTS = ("found", "restored", "skipped", "failed", "megapixels", "seconds")


class ProgressArtifact:
    """A bar in Prefect; a server that is away does not see it move."""

    def __init__(self, run_id: str, photos: int) -> None:
        self._photos, self._done = photos, 0
        self._updated = time.monotonic()
        self._id: UUID | None = None
        if photos:
            said = f"{photos} photos to restore"
            made = unless_away(
                lambda: create_progress_artifact(key=f"progress-{run_id}", progress=0.0, description=said)
            )
            self._id = made if isinstance(made, UUID) else None

    def advance(self, _row: LedgerRow) -> None:
        """Count one photo that is done with."""
        self._done += 1
        if time.monotonic() - self._updated > SECONDS_BETWEEN_UPDATES or self._done == self._photos:
            self._updated = time.monotonic()
            share = 100.0 * self._done / self._photos
            if (mine := self._id) is not None:
                unless_away(lambda: update_progress_artifact(artifact_id=mine, progress=share))


def publish(summary: Summary) -> None:
    """The summary as a table, the report as a link, and the photo that changed most before and after."""
    run_id, target = summary["run_id"], Bucket(summary["target"])
    reasons = {f"failed: {reason}": count for reason, count in summary["failed_reasons"].items()}
    measured = {name: value for name, value in summary["metrics"].items() if not isinstance(value, dict)}
    figures = {**{name: summary[name] for name in COUNTS}, **reasons, **measured}  # type: ignore[literal-required]
    create_table_artifact(
        key=f"restore-{run_id}",
        table=[{"what": name, "figure": figure} for name, figure in figures.items()],
        description=f"Restoration of {summary['source']} into {summary['target']}",
    )
    run = target.join("runs", run_id)
    if run.info(INDEX_KEY) is not None:
        create_link_artifact(key=f"report-{run_id}", link=f"{run.url}/{INDEX_KEY}", description="The report of the run")
    if picture := _before_and_after(run):
        create_image_artifact(key=f"before-after-{run_id}", image_url=picture, description="Before and after")


def _before_and_after(run: Bucket) -> str:
    """A small picture as a data URL: nothing but the server is needed to see it. Empty where there is none."""
    from oldphoto_core.runs.run import most_changed

    key = most_changed(run)
    name = f"{REPORT}/{thumbnail_stem(key)}-small.jpg" if key else ""
    if not name or run.info(name) is None:
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(run.read(name)).decode()}"
