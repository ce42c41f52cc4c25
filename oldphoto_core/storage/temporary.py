"""Writes that were begun and not ended: what they are called, whose they are, and when they are nobody's any more."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from typing import Protocol

from oldphoto_core.errors import StorageError
from oldphoto_core.storage.keys import TEMP_PREFIX
from oldphoto_core.storage.processes import began, is_gone, kernel
from oldphoto_core.storage.store import Unfinished

ABANDONED_SECONDS = 24 * 3600.0
"""A write without a sign of life for so long is abandoned; a writer of this machine is known as soon as it is gone."""

_OF_A_PROCESS = re.compile(
    rf"{re.escape(TEMP_PREFIX)}(?:probe-)?([0-9a-f]{{16}})-(\d{{1,9}})-(\d+)-[0-9a-f]{{16}}(?:\.\w)?"
)

log = logging.getLogger(__name__)


def temporary_name(kind: str = "") -> str:
    """A fresh name for what this process is about to write; others of this machine can tell when it is gone.

    `kind` is empty, or `probe-`.
    """
    mine = began(os.getpid())
    writer = f"{_kernel_digest()}-{os.getpid()}-{mine}-" if mine and kernel() else ""
    return f"{TEMP_PREFIX}{kind}{writer}{secrets.token_hex(8)}"


def writer_is_gone(name: str) -> bool:
    """Whether a temporary name is that of a process of this machine that is no more; False where nobody can tell."""
    match = _OF_A_PROCESS.fullmatch(name)
    return match is not None and match[1] == _kernel_digest() and is_gone(int(match[2]), match[3])


def is_abandoned(write: Unfinished, now: float | None = None) -> bool:
    """Whether nobody will ever end it; `now` in seconds since 1970."""
    age = (time.time() if now is None else now) - write.touched_at
    return age > ABANDONED_SECONDS or writer_is_gone(write.key.rsplit("/", 1)[-1])


class Sweepable(Protocol):
    """What `sweep` needs of a bucket."""

    def unfinished(self, folders: tuple[str, ...]) -> Iterator[Unfinished]:
        """Writes that were begun and have not ended, in it and in these folders of it."""

    def discard(self, write: Unfinished) -> None:
        """Removes what was written of it."""


def sweep(bucket: Sweepable, folders: tuple[str, ...]) -> list[Unfinished]:
    """Removes abandoned writes directly in the bucket and anywhere in these folders of it; returns what it removed.

    Safe beside writers on any machine. It never fails: what a store does not list or does not let go of stays for the
    next time, and the log says why.
    """
    swept: list[Unfinished] = []
    try:
        for write in _abandoned(bucket, folders):
            bucket.discard(write)
            swept.append(write)
    except StorageError as error:
        log.info("unfinished writes in %s were not swept: %s", bucket, error)
    if swept:
        log.info("removed %d unfinished writes of killed processes from %s", len(swept), bucket)
    return swept


def _abandoned(bucket: Sweepable, folders: tuple[str, ...]) -> Iterator[Unfinished]:
    return (write for write in bucket.unfinished(folders) if is_abandoned(write))


def _kernel_digest() -> str:
    return hashlib.sha256(kernel().encode()).hexdigest()[:16]
