"""A place that one process at a time writes to, on whatever machine: a lease that it renews, and that ends by itself.

The lease is a journal: who holds entry N renews it as N + 1; who takes it over writes N + 1, and of several one
succeeds. A released lease is an entry too, so that numbers never begin anew.

No clock of one machine is compared with one of another. Whoever wants a lease that is held watches it, by a clock of
its own, for as long as its entry holds: if a newer entry comes, the holder lives; if none comes, it is taken over. The
holder measures from before it wrote the entry, so it stops first.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from oldphoto_core.errors import Occupied, SourceMissing, StorageError
from oldphoto_core.storage.bucket import Bucket
from oldphoto_core.storage.journal import Journal
from oldphoto_core.storage.lease_entry import SECONDS, own_entry, read_entry

RENEWALS = 3
"""How often a lease is renewed in the time that it holds."""
TRUSTED = 2 / 3
"""Share of that time in which the holder writes without asking the store; the rest is for a write under way."""

log = logging.getLogger("oldphoto.lease")


def _elapsed() -> float:
    # goes on while the machine is suspended, unlike the monotonic clock of Linux
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The time as a lease measures it; tests bring their own."""

    elapsed: Callable[[], float] = _elapsed
    """Seconds since some moment, by a clock that nobody sets."""
    wall: Callable[[], float] = time.time
    """Seconds since 1970. A holder asks the store when it has leapt, as after a virtual machine was paused."""
    wait: Callable[[float], None] = time.sleep
    """Returns after so many seconds."""


class Lease:
    """Held inside a `with` block, renewed by a thread; `check` raises once it is lost. Safe between threads."""

    def __init__(
        self,
        bucket: Bucket,
        *,
        seconds: float = SECONDS,
        on_wait: Callable[[str], None] = log.warning,
        clock: Clock | None = None,
    ) -> None:
        """Touch nothing. `bucket` is a folder for the lease alone.

        Args:
            bucket: Where the entries lie.
            seconds: How long an entry holds.
            on_wait: Gets a line that names the holder, when a lease that is held is watched.
            clock: What measures time.
        """
        self.bucket = bucket
        self._seconds, self._on_wait, self._clock = seconds, on_wait, clock or Clock()
        self._journal = Journal(bucket)
        self._holder = secrets.token_hex(8)
        self._number = 0
        self._renewed = (0.0, 0.0)
        self._lost = ""
        self._writing = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Take the lease, at once if it is free, else after watching it. Raises Occupied if somebody else holds it."""
        if not self._write(self._free()):
            raise Occupied(f"{self.bucket.url} was taken by another process at this moment; name another place")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it; that this fails is no harm, since it ends by itself."""
        self._over.set()
        self._thread.join()
        if not self._lost:
            with contextlib.suppress(StorageError):
                self._write(self._number, released=True)

    def check(self) -> None:
        """Raise Occupied if the lease was lost: taken over, or not renewed in time.

        Cheap as long as the last renewal is recent; else, as in a process that was stopped for a while, the store is
        asked by renewing it here.
        """
        if not self._lost and self._age() > TRUSTED * self._seconds:
            with contextlib.suppress(StorageError), self._writing:
                if self._age() > TRUSTED * self._seconds:  # else the thread has renewed it meanwhile
                    self._renew()
            if not self._lost and self._age() > self._seconds:
                self._lost = "it could not be renewed in time"
        if self._lost:
            raise Occupied(f"the lease {self.bucket.url} was lost: {self._lost}; start again to go on")

    def _free(self) -> int:
        """Number of the last entry, once that holds no more."""
        watched, since = self._last(), self._clock.elapsed()
        entry = read_entry(watched[1])
        if not watched[0] or entry.is_over:
            return watched[0]
        held = f"{self.bucket.url} is held by {entry.who}"
        self._on_wait(f"{held}; watching for {entry.seconds:.0f} s whether it is renewed")
        while self._clock.elapsed() - since <= entry.seconds and not entry.is_over:
            self._clock.wait(min(entry.seconds, self._seconds) / 12)
            last = self._last()
            if last != watched:
                return self._followed(last, held)
        return watched[0]

    def _followed(self, last: tuple[int, bytes], held: str) -> int:
        """Number of the entry that came while a lease was watched, if that one releases it."""
        if read_entry(last[1]).is_over:
            return last[0]
        raise Occupied(f"{held}, which renews it; wait for it to end, or name another place")

    def _last(self) -> tuple[int, bytes]:
        """Number and bytes of the last entry; 0 where there is none, no bytes where it is a link that leads nowhere."""
        missed = 0
        while numbers := self._journal.numbers():
            number = numbers[-1]
            try:
                return number, self._journal.read(number)
            except SourceMissing:
                if number == missed:
                    return number, b""
                missed = number  # a newer one has come since, and this one was forgotten
        return 0, b""

    def _age(self) -> float:
        """Seconds since the last renewal was begun, by the clock that has counted more."""
        return max(self._clock.elapsed() - self._renewed[0], self._clock.wall() - self._renewed[1])

    def _keep(self) -> None:
        while not self._lost and not self._over.wait(self._seconds / RENEWALS):
            with contextlib.suppress(StorageError), self._writing:  # tried again; `check` says when that was too long
                self._renew()

    def _renew(self) -> None:
        if not self._write(self._number) and not (self._is_last() and self._write(self._number)):
            self._lost = "another process took it over"

    def _is_last(self) -> bool:
        """Whether the last entry is one of ours: of a renewal that arrived although its reply did not."""
        number, data = self._last()
        if read_entry(data).holder != self._holder:
            return False
        self._number = number
        return True

    def _write(self, after: int, *, released: bool = False) -> bool:
        """Write entry `after` + 1 and forget those before; False if somebody else is further."""
        started = (self._clock.elapsed(), self._clock.wall())  # before the request: we stop before others begin
        if not self._journal.append(after, own_entry(self._holder, self._seconds, released=released).to_bytes()):
            return False
        numbers = self._journal.numbers()
        if numbers and numbers[-1] > after + 1:
            # entry N + 1 was free again, as somebody took N + 1, renewed it and forgot it
            return False
        self._number, self._renewed = after + 1, started
        self._journal.forget(up_to=after)
        return True
