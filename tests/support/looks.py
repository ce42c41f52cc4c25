"""What a restoration would do, as tests ask it."""

from __future__ import annotations

from typing import Any

from oldphoto_core.restoration import RestoreOptions, job_of
from oldphoto_core.runs.dry_run import Check, check
from oldphoto_core.storage import Bucket


def looked(source: Bucket, target: Bucket, **job: Any) -> Check:
    options = {name: job.pop(name) for name in list(job) if name in RestoreOptions.__slots__}
    job = {"model": "invert", "source": source.url, "target": target.url, **job}
    return check(job_of(**job, **options))
