"""Thumbnails of a photo before and after, and of its mask, for the report of the run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from oldphoto_core.names import visible
from oldphoto_core.reports.page.thumbnails import write_thumbnails
from oldphoto_core.scans.metadata.plain_icc import plain_profile

if TYPE_CHECKING:
    from oldphoto_core.pipeline.photo_task import PhotoTask

log = logging.getLogger(__name__)


def show(task: PhotoTask, *, restored: bool = False) -> None:
    """Thumbnails of a photo while its pixels are at hand; without them its restoration is as good as with them.

    `restored`: also of a photo whose derivative is not delivered yet, as that of a page is not.
    """
    report, buffer = task.place.report, task.buffer
    if report is None or buffer is None or buffer.scan is None:
        return
    try:
        write_thumbnails(
            report,
            task.photo.key,
            buffer.photo,
            buffer.restored if task.output or restored else None,
            buffer.mask,
            orientation=buffer.scan.orientation,
            icc_profile=plain_profile(buffer.scan),
        )
    except Exception as error:  # whatever it is, the derivative is written
        log.warning("no thumbnails of %s: %s", visible(task.photo.key), error)
