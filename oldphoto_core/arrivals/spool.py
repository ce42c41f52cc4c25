"""Arrivals on disk, from being accepted until a run has taken them: what was accepted outlives any kill.

    incoming/<nanoseconds>-<token>.json    the keys of one notification, on disk before it is answered
    batches/<batch id>.json                what was gathered of them, until a run has it
    quarantine/                            damaged files of both, for a person to look at
    lock                                   held by the one process that gathers here

A batch is written before its notifications are removed, and names them: a kill between the two leaves notifications
that the next start recognises as gathered.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oldphoto_core.arrivals.spool_files import SpoolFiles, damaged
from oldphoto_core.errors import ConfigError, UnsafeKey, UsageError
from oldphoto_core.storage import Bucket, safe_key

INCOMING, BATCHES = "incoming", "batches"
_NOTIFICATION = re.compile(r"[01]\d{19}-[0-9a-f]{16}\.json")
_LATEST = 2e10
"""Seconds since 1970 that the name of a notification can tell."""
_BATCH = re.compile(r"\d{8}-\d{6}-[0-9a-f]{12}\.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathering:
    """When a burst of arrivals counts as over."""

    quiet_seconds: float = 60.0
    """A batch is made when nothing has arrived for so long."""

    longest_seconds: float = 900.0
    """And at the latest so long after its first arrival, however busy the bucket is."""

    max_keys: int = 10_000
    """Of one batch; more become several."""

    def __post_init__(self) -> None:
        if not 0 <= self.quiet_seconds <= self.longest_seconds:
            raise ConfigError(
                f"quiet_seconds is {self.quiet_seconds:g} and longest_seconds {self.longest_seconds:g}; give"
                " 0 <= quiet_seconds <= longest_seconds"
            )
        if self.max_keys < 1:
            raise ConfigError(f"max_keys is {self.max_keys}; give 1 or more")

    def is_over(self, first: float, last: float, now: float) -> bool:
        """Whether a burst that began at `first` and last grew at `last` is over (seconds since 1970)."""
        # a clock that was set back would otherwise hold arrivals until it has caught up
        return not 0 <= now - last < self.quiet_seconds or now - first >= self.longest_seconds


@dataclass(frozen=True, slots=True)
class Batch:
    """Keys that one run restores."""

    id: str
    keys: tuple[str, ...]
    since: float
    """When its first key arrived, seconds since 1970."""
    of: tuple[str, ...]
    """Names of the notifications that it was gathered from."""


class ArrivalSpool:
    """A folder of this machine that one process at a time gathers in; `accept` may be called from any thread.

    Raises:
        UsageError: another process gathers there.
    """

    def __init__(self, folder: Path, gathering: Gathering | None = None) -> None:
        self._gathering = gathering or Gathering()
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("ab")
        except OSError as error:
            raise UsageError(f"{folder} cannot be a spool ({error.strerror}); name a folder to write in") from error
        self._files = Bucket(folder)
        self._incoming = SpoolFiles(folder, INCOMING, _NOTIFICATION, lambda _name, keys: _checked(keys))
        self._batches = SpoolFiles(folder, BATCHES, _BATCH, _batch)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise UsageError(f"another process gathers in {folder}; give each its own folder") from error
        gathered = {name for batch in self.batches() for name in batch.of}
        for name in self._incoming.names():
            if name in gathered:
                self._files.delete(f"{INCOMING}/{name}")

    def accept(self, keys: Sequence[str]) -> None:
        """Keep the keys of one notification; when this returns, they are on disk. Raises WriteFailed."""
        if keys:
            name = f"{time.time_ns():020d}-{secrets.token_hex(8)}.json"
            self._files.write(f"{INCOMING}/{name}", json.dumps(list(keys)).encode())

    def gather(self, now: float) -> None:
        """Make batches of what has arrived, if the burst is over; `now` in seconds since 1970."""
        names = self._incoming.names()
        if not names or not self._gathering.is_over(_arrived(names[0]), _arrived(names[-1]), now):
            return
        taken: list[str] = []
        keys: dict[str, None] = {}
        for name, found in self._incoming.read():
            taken.append(name)
            keys.update(dict.fromkeys(found))
            if len(keys) >= self._gathering.max_keys:
                self._put_down(taken, tuple(sorted(keys)))
                taken, keys = [], {}
        if taken:
            self._put_down(taken, tuple(sorted(keys)))

    def batches(self) -> list[Batch]:
        """Those that no run has taken yet, the oldest first."""
        return sorted((batch for _, batch in self._batches.read()), key=lambda batch: batch.since)

    def settle(self, batch: Batch) -> None:
        """A run has it."""
        self._files.delete(f"{BATCHES}/{batch.id}.json")

    @property
    def waiting(self) -> int:
        """Notifications that are not gathered yet, and batches that no run has taken."""
        return len(self._incoming.names()) + len(self._batches.names())

    @property
    def damaged(self) -> int:
        """Files that were put aside as damaged, and lie in `quarantine` still."""
        return damaged(self._folder)

    def close(self) -> None:
        """Let another process gather here."""
        self._lock.close()

    def _put_down(self, names: Sequence[str], keys: tuple[str, ...]) -> None:
        since = _arrived(names[0])
        # the same notifications make the same batch, whoever gathers them and however often
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
        batch_id = f"{datetime.fromtimestamp(since, UTC):%Y%m%d-%H%M%S}-{digest}"
        content = {"keys": keys, "since": since, "of": list(names)}
        self._files.write(f"{BATCHES}/{batch_id}.json", json.dumps(content).encode())
        for name in names:
            self._files.delete(f"{INCOMING}/{name}")


def _checked(keys: Any) -> tuple[str, ...]:
    """Keys of a file of the spool; ValueError, TypeError for what `accept` never writes."""
    if not isinstance(keys, list) or not keys:
        raise TypeError("no list of keys")
    for key in keys:
        if not isinstance(key, str):
            raise TypeError("a key is no string")
        try:
            safe_key(key)
        except UnsafeKey as error:
            raise ValueError("an unsafe key") from error
    return tuple(keys)


def _batch(name: str, content: Any) -> Batch:
    """The batch of a file; ValueError, TypeError, KeyError for what `gather` never writes."""
    since, names = content["since"], content["of"]
    if not isinstance(since, float) or not 0 <= since < _LATEST:
        raise ValueError("no time")
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise TypeError("no names of notifications")
    return Batch(name.removesuffix(".json"), _checked(content["keys"]), since, tuple(names))


def _arrived(name: str) -> float:
    return int(name.partition("-")[0]) / 1e9
