"""A place that one process at a time writes to, on whatever machine: a lease that it renews, and that ends by itself.

The lease is a journal: who holds entry N renews it as N + 1; who finds it expired takes it over as N + 1, and of
several one succeeds. A released lease is an entry too, so that numbers never begin anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from oldphoto_core.errors import Occupied, StorageError
from oldphoto_core.storage.bucket import Bucket
from oldphoto_core.storage.journal import Journal
from oldphoto_core.storage.processes import began, is_gone, kernel

SECONDS = 60.0
"""How long a lease holds that nobody renews; it is renewed three times in that."""
SKEW = 30.0
"""By how much the clocks of two machines may differ: a lease is taken over only so long after its end."""


class Lease:
    """Held inside a `with` block, renewed by a thread; `check` tells whether it still is."""

    def __init__(
        self,
        bucket: Bucket,
        *,
        seconds: float = SECONDS,
        skew: float = SKEW,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        """Nothing is touched. `bucket` is a folder for the lease alone.

        With `on_wait`, which hears who holds it, a lease that is held is watched for as long as it lasts: if its holder
        renews it, it lives, and Occupied is raised; if not, it is taken over.
        """
        self.bucket = bucket
        self._seconds, self._skew, self._on_wait = seconds, skew, on_wait
        self._journal = Journal(bucket)
        self._holder = secrets.token_hex(8)
        self._number = 0
        self._renewed = 0.0
        self._lost = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Raises Occupied if somebody else holds it."""
        number = self._free()
        if not self._write(number) or self._journal.numbers()[-1] != self._number:
            # the second: entry N + 1 was free again because somebody renewed twice and forgot it since
            raise Occupied(f"{self.bucket.url} was taken by another process at this moment; name another place")
        self._journal.forget(up_to=number)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Releases it; that this fails is no harm, since it ends by itself."""
        self._over.set()
        self._thread.join()
        if not self._lost:
            with contextlib.suppress(StorageError):
                before = self._number
                self._write(before, released=True)
                self._journal.forget(up_to=before)

    def check(self) -> None:
        """Raises Occupied if it was lost: taken over, or not renewed in time."""
        if not self._lost and time.monotonic() - self._renewed > self._seconds:
            self._lost = "it could not be renewed in time"
        if self._lost:
            raise Occupied(f"the lease {self.bucket.url} was lost: {self._lost}; start again to go on")

    def _free(self) -> int:
        """Number of the last entry, once that holds no more."""
        first: int | None = None
        while True:
            last = self._journal.last()
            number, reason = (0, "") if last is None else (last[0], self._holds(json.loads(last[1])))
            if not reason:
                return number
            held = f"{self.bucket.url} is held by {reason}"
            if self._on_wait is None or first not in (None, number):
                raise Occupied(f"{held}; wait for it to end, or name another place")
            if first is None:
                self._on_wait(f"{held}; watching whether it does")
            first = number
            time.sleep(self._seconds / 12)

    def _holds(self, record: dict[str, Any]) -> str:
        """Who holds it; empty if nobody does any more."""
        left = record["until"] + self._skew - time.time()
        if record["released"] or left < 0 or _is_dead(record):
            return ""
        return f"process {record['pid']} on {record['host']}, at most {left:.0f} s longer unless it renews"

    def _keep(self) -> None:
        while not self._over.wait(self._seconds / 3):
            before = self._number
            try:
                if not self._write(before) and not self._is_last():
                    self._lost = "another process took it over"
                    return
                self._journal.forget(up_to=before)
            except StorageError:
                continue  # tried again; `check` says when that has been too long

    def _is_last(self) -> bool:
        """Whether the last entry is one of ours: of a renewal that arrived although its reply did not."""
        last = self._journal.last()
        if last is None or json.loads(last[1]).get("holder") != self._holder:
            return False
        self._number = last[0]
        return True

    def _write(self, after: int, *, released: bool = False) -> bool:
        started = time.monotonic()  # before the request: for others it ends no earlier than for us
        record = {"until": time.time() + self._seconds, "released": released, "holder": self._holder, **_self()}
        record["token"] = secrets.token_hex(8)  # no two entries are the same bytes
        if not self._journal.append(after, json.dumps(record).encode()):
            return False
        self._number, self._renewed = after + 1, started
        return True


def _self() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "kernel": kernel(), "started": began(os.getpid())}


def _is_dead(record: dict[str, Any]) -> bool:
    """Whether the holder was a process of this very kernel and is no more: then nobody need wait for the end."""
    return bool(record["kernel"]) and record["kernel"] == kernel() and is_gone(record["pid"], record["started"])
