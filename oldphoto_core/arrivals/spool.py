"""Arrivals on disk, from being accepted until a run has taken them: what was accepted outlives any kill.

    incoming/<nanoseconds>-<token>.json    the keys of one notification, on disk before it is answered
    batches/<batch id>.json                what was gathered of them, until a run has it
    lock                                   held by the one process that gathers here

A batch is written before its notifications are removed, and names them: a kill between the two leaves notifications
that the next start recognises as gathered.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from oldphoto_core.errors import ConfigError, UsageError
from oldphoto_core.storage import Bucket

INCOMING, BATCHES = "incoming", "batches"


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
        """Whether a burst that began at `first` and was last heard of at `last` is over (seconds since 1970)."""
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
        folder.mkdir(parents=True, exist_ok=True)
        self._files = Bucket(folder)
        self._lock = (folder / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise UsageError(f"another process gathers in {folder}; give each its own folder") from error
        gathered = {name for batch in self.batches() for name in batch.of}
        for name in self._incoming():
            if name in gathered:
                self._files.delete(f"{INCOMING}/{name}")

    def accept(self, keys: Sequence[str]) -> None:
        """Keep the keys of one notification; when this returns, they are on disk. Raises WriteFailed."""
        if keys:
            name = f"{time.time_ns():020d}-{secrets.token_hex(8)}.json"
            self._files.write(f"{INCOMING}/{name}", json.dumps(list(keys)).encode())

    def gather(self, now: float) -> None:
        """Make batches of what has arrived, if the burst is over; `now` in seconds since 1970."""
        names = self._incoming()
        if not names or not self._gathering.is_over(_arrived(names[0]), _arrived(names[-1]), now):
            return
        taken: list[str] = []
        keys: dict[str, None] = {}
        for name in names:
            taken.append(name)
            keys.update(dict.fromkeys(json.loads(self._files.read(f"{INCOMING}/{name}"))))
            if len(keys) >= self._gathering.max_keys or name == names[-1]:
                self._put_down(taken, tuple(sorted(keys)))
                taken, keys = [], {}

    def batches(self) -> list[Batch]:
        """Those that no run has taken yet, the oldest first."""
        found = []
        for item in self._files.list(BATCHES):
            content = json.loads(self._files.read(item.key))
            name = item.key.rpartition("/")[2].removesuffix(".json")
            found.append(Batch(name, tuple(content["keys"]), content["since"], tuple(content["of"])))
        return sorted(found, key=lambda batch: batch.since)

    def settle(self, batch: Batch) -> None:
        """A run has it."""
        self._files.delete(f"{BATCHES}/{batch.id}.json")

    @property
    def waiting(self) -> int:
        """Notifications that are not gathered yet, and batches that no run has taken."""
        return len(self._incoming()) + sum(1 for _ in self._files.list(BATCHES))

    def close(self) -> None:
        """Let another process gather here."""
        self._lock.close()

    def _incoming(self) -> list[str]:
        return [item.key.rpartition("/")[2] for item in self._files.list(INCOMING)]

    def _put_down(self, names: Sequence[str], keys: tuple[str, ...]) -> None:
        since = _arrived(names[0])
        # the same notifications make the same batch, whoever gathers them and however often
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
        batch_id = f"{datetime.fromtimestamp(since, UTC):%Y%m%d-%H%M%S}-{digest}"
        content = {"keys": keys, "since": since, "of": list(names)}
        self._files.write(f"{BATCHES}/{batch_id}.json", json.dumps(content).encode())
        for name in names:
            self._files.delete(f"{INCOMING}/{name}")


def _arrived(name: str) -> float:
    return int(name.partition("-")[0]) / 1e9
