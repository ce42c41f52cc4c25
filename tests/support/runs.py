"""Runs of the core without Prefect, in buckets of any kind."""

from __future__ import annotations

import os
from typing import Any

from fakes import encoded, picture, register

from oldphoto_core.reports.summary import Summary
from oldphoto_core.restoration import RestoreOptions, close_run, job_of, open_run, restore_shard
from oldphoto_core.storage import Bucket

register()


def put(bucket: Bucket, keys: list[str], *, first: int = 0, **look: int) -> None:
    """A picture under each key; every one differs."""
    for seed, key in enumerate(keys, start=first):
        bucket.write(key, encoded(picture(seed=seed, **look), os.path.splitext(key)[1]))


def restore(source: Bucket, target: Bucket, **job: Any) -> Summary:
    """One run from its inventory to its summary; options of restoration and of the job alike.

    It decodes in this process: starting decoder processes costs more than the rest of a small run.
    """
    options = {"isolate": False} | {name: job.pop(name) for name in list(job) if name in RestoreOptions.__slots__}
    job = {"model": "invert", "source": source.url, "target": target.url, **job}
    run = open_run(job_of(**job, **options))
    for number in range(len(run.shards)):
        restore_shard(run, number)
    return close_run(run)


def contents(bucket: Bucket) -> dict[str, bytes]:
    """Everything that lies there."""
    return {info.key: bucket.read(info.key) for info in bucket.list()}


def copied(source: Bucket, target: Bucket) -> Bucket:
    """The target, with everything of the source."""
    for key, data in contents(source).items():
        target.write(key, data)
    return target
