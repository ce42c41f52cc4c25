"""Many photos through one network: Dask threads read and decode ahead of it, encode and write behind it.

The network runs on the calling thread, one photo after another, and should never wait for a disk. What is decoded but
not yet written is bounded in megapixels, and all photos in flight in number. A photo that fails becomes one `failed`
row; the others do not notice. One that fails for want of descriptors or memory starts again once others are finished.
"""

from __future__ import annotations

import gc
import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from oldphoto_core.errors import Occupied, RunStopped, is_shortage
from oldphoto_core.inference.contracts import RestoresPhotos
from oldphoto_core.names import visible
from oldphoto_core.pipeline import stages
from oldphoto_core.pipeline.options import RestoreOptions
from oldphoto_core.pipeline.outputs import copy_original
from oldphoto_core.pipeline.photo import Photo
from oldphoto_core.pipeline.photo_limit import photos_at_once
from oldphoto_core.pipeline.photo_task import PhotoTask
from oldphoto_core.pipeline.provenance import ledger_row
from oldphoto_core.pipeline.run_context import RunContext
from oldphoto_core.pipeline.telemetry import QUEUES, Telemetry
from oldphoto_core.pipeline.threads import dask_threads, default_threads, forget_tasks
from oldphoto_core.scans import Decoders
from oldphoto_core.storage import Bucket, LedgerRow

if TYPE_CHECKING:
    from distributed import Client, Future

OnRow = Callable[[LedgerRow], None]
OnPart = Callable[[str, int, int], None]
OnBegin = Callable[[str], None]

_STAGES = {stage.__name__: stage for stage in (stages.fetch, stages.decode, stages.deliver, copy_original)}
_PRIORITY = {"fetch": 0, "decode": 1, "deliver": 2, "copy_original": 2}
_BYTES_PER_MEGAPIXEL = 6_000_000  # an uncompressed 16-bit colour scan: files wait under the same bound as pixels
_SECONDS_TO_FINISH = 60.0
_TASKS_REMEMBERED = 1000

_log = logging.getLogger("oldphoto.restoration")
_tickets = count()
_in_flight: dict[int, tuple[PhotoTask, queue.SimpleQueue[tuple[str, int]]]] = {}


def restore_photos(
    restorer: RestoresPhotos,
    source: Bucket,
    target: Bucket,
    photos: Iterable[Photo],
    options: RestoreOptions,
    on_row: OnRow,
    *,
    masks: Bucket | None = None,
    run_id: str = "",
    operator: str = "",
    on_part: OnPart = lambda _key, _done, _total: None,
    on_begin: OnBegin = lambda _key: None,
    one_by_one: bool = False,
    gauges: Telemetry | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Restore every photo into `target`; `on_row` is called on this thread, once per photo, when it is done with.

    `on_begin` hears of each photo that is taken in hand; `on_part` how far a photo is that is restored from disk, in
    parts: first the search for damage, if there is a detector, then the restoration. Records name `operator`.
    `one_by_one`: no photo is read before the one ahead of it is done with. `gauges` are filled on the way.

    An exception out of `on_row` (or Ctrl-C) ends the call: photos being written are finished and reported, the rest is
    left alone. Raises RunStopped when `options.on_failure` is `abort` and a photo failed.

    `check` is called before each write to `target`, on any thread. What it raises is Occupied, which ends the call:
    the photos that were not written are neither reported nor failed, but another process's affair.
    """
    threads = options.threads or default_threads()
    with dask_threads(threads) as client, Decoders(threads, isolated=options.isolate) as decoders:
        place = RunContext(restorer, source, target, options, decoders, run_id, masks, operator, check, on_part)
        pipeline = _Pipeline(client, place, photos, on_row, on_begin, one_by_one, gauges or Telemetry())
        try:
            pipeline.run()
        finally:
            pipeline.wind_down()


def run_stage(ticket: int, name: str) -> None:
    """What Dask runs: only a ticket travels through it, the photo itself stays where it is."""
    if ticket in _in_flight:
        task, events = _in_flight[ticket]
        task.run(_STAGES[name])
        events.put((name, ticket))


class _Pipeline:
    """State of one call; every change of it happens on the calling thread."""

    def __init__(
        self,
        client: Client,
        place: RunContext,
        photos: Iterable[Photo],
        on_row: OnRow,
        on_begin: OnBegin,
        one_by_one: bool,
        gauges: Telemetry,
    ) -> None:
        self._client = client
        self._place = place
        self._on_row = on_row
        self._on_begin = on_begin
        self._one_by_one = one_by_one
        self._gauges = gauges
        self._waiting = deque(photos)
        self._events: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self._open: dict[int, PhotoTask] = {}
        self._futures: dict[int, Future[None]] = {}
        self._fetching: dict[int, int] = {}  # ticket -> bytes
        self._fetched: deque[int] = deque()
        self._decoding: set[int] = set()
        self._decoded: deque[int] = deque()
        self._delivering: set[int] = set()
        threads = place.options.threads or default_threads()
        self._ahead = 2 * threads
        self._most = photos_at_once(threads)
        self._tasks = 0

    def run(self) -> None:
        self._gauges.begin()
        while self._waiting or self._open:
            self._admit()
            self._gauges.look(self._depths())
            if not self._decoded:
                self._take(self._events.get())
            with suppress(queue.Empty):
                while True:
                    self._take(self._events.get_nowait())
            self._admit()
            if self._decoded:
                self._restore(self._decoded.popleft())

    def wind_down(self) -> None:
        """Finish and report what is being written; forget the rest."""
        self._gauges.look(self._depths())
        with suppress(queue.Empty):
            while self._delivering:
                _, ticket = self._events.get(timeout=_SECONDS_TO_FINISH)
                if ticket in self._delivering and self._open[ticket].is_unfinished:
                    self._delivering.discard(ticket)
                elif ticket in self._delivering:
                    with suppress(RunStopped, Occupied):
                        self._refuse_lost(ticket)
                        self._close(ticket)
        self._place.decoders.close()
        for ticket in list(self._open):
            self._forget(ticket)

    def _admit(self) -> None:
        """Start reading and decoding as much as may be in flight."""
        limit = self._place.in_memory_megapixels
        while self._waiting and self._may_open():
            size = self._waiting[0].size
            held = sum(self._fetching.values()) + sum(self._open[t].photo.size for t in self._fetched)
            if (held and held + size > limit * _BYTES_PER_MEGAPIXEL) or (self._one_by_one and self._open):
                break
            task = PhotoTask(self._waiting.popleft(), self._place)
            self._on_begin(task.photo.key)
            ticket = next(_tickets)
            self._open[ticket] = task
            self._fetching[ticket] = size
            _in_flight[ticket] = (task, self._events)
            self._start("fetch", ticket)
        while self._fetched:
            held_megapixels = self._megapixels_in_flight()
            if held_megapixels and held_megapixels + self._open[self._fetched[0]].megapixels > limit:
                break
            ticket = self._fetched.popleft()
            self._decoding.add(ticket)
            self._start("decode", ticket)

    def _may_open(self) -> bool:
        """Whether number and threads allow another photo in flight."""
        return len(self._open) < self._most and len(self._fetching) + len(self._fetched) < self._ahead

    def _depths(self) -> dict[str, int]:
        queues = (self._fetching, self._fetched, self._decoding, self._decoded, self._delivering)
        return {name: len(queue) for name, queue in zip(QUEUES, queues, strict=True)}

    def _megapixels_in_flight(self) -> float:
        return sum(self._open[t].megapixels for t in (*self._decoding, *self._decoded, *self._delivering))

    def _start(self, name: str, ticket: int) -> None:
        self._tasks += 1
        if self._tasks % _TASKS_REMEMBERED == 0:
            forget_tasks()
        # the future is kept: Dask drops a task that nobody holds
        self._futures[ticket] = self._client.submit(run_stage, ticket, name, pure=False, priority=_PRIORITY[name])

    def _take(self, event: tuple[str, int]) -> None:
        """One stage of one photo is over: on to the next one."""
        name, ticket = event
        self._refuse_lost(ticket)
        self._fetching.pop(ticket, None)
        self._decoding.discard(ticket)
        failed = self._open[ticket].error is not None
        if name == "deliver" and self._open[ticket].is_unfinished:
            # before others: what it began waits on the disk
            self._delivering.discard(ticket)
            self._fetched.appendleft(ticket)
        elif name == "copy_original" or (name == "deliver" and not failed):
            self._close(ticket)
        elif failed:
            self._fail(ticket)
        elif name == "fetch":
            self._fetched.append(ticket)
        else:
            self._decoded.append(ticket)

    def _restore(self, ticket: int) -> None:
        task = self._open[ticket]
        began = time.perf_counter()
        task.run(stages.detect)
        if task.error is None:
            task.run(stages.restore)
        self._gauges.busy_seconds += time.perf_counter() - began
        if task.error is not None:
            self._fail(ticket)
        else:
            self._delivering.add(ticket)
            self._start("deliver", ticket)

    def _refuse_lost(self, ticket: int) -> None:
        """Raise Occupied if that is why the photo was not written: it did not fail, somebody else restores it."""
        error = self._open[ticket].error
        if isinstance(error, Occupied):
            self._forget(ticket)
            raise error

    def _fail(self, ticket: int) -> None:
        if self._waits(ticket):
            return
        self._open[ticket].let_go()
        if self._place.options.on_failure == "copy":
            self._delivering.add(ticket)
            self._start("copy_original", ticket)
        else:
            self._close(ticket)

    def _waits(self, ticket: int) -> bool:
        """Whether a photo starts again later: something ran out, and other photos in flight hold some of it.

        The bound on photos sinks each time, down to one at a time. A photo that is alone then fails for good.
        """
        error, others = self._open[ticket].error, len(self._open) - 1
        if not others or error is None or not is_shortage(error):
            return False
        self._most = others
        key, complaint = visible(self._open[ticket].photo.key), visible(self._open[ticket].complaint)
        _log.warning("%s waits until others are done: %s", key, complaint)
        self._waiting.appendleft(self._open[ticket].photo)
        self._forget(ticket)
        gc.collect()  # an error and the frames that it passed through hold each other, and what they had open
        return True

    def _close(self, ticket: int) -> None:
        row = ledger_row(self._open[ticket])
        self._forget(ticket)
        self._gauges.photos += 1
        self._on_row(row)
        if row.status == "failed" and self._place.options.on_failure == "abort":
            raise RunStopped(f"stopped at the first failure, as asked: {row.key}: {row.detail}")

    def _forget(self, ticket: int) -> None:
        self._delivering.discard(ticket)
        self._futures.pop(ticket, None)
        _in_flight.pop(ticket, None)
        self._open.pop(ticket).let_go()
