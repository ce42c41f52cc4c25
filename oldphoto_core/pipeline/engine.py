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
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise

from oldphoto_core.errors import Occupied, RunStopped, is_shortage
from oldphoto_core.inference.contracts import RestoresPhotos
from oldphoto_core.names import visible
from oldphoto_core.pipeline.callbacks import ShardCallbacks
from oldphoto_core.pipeline.options import RestoreOptions
from oldphoto_core.pipeline.photo import Photo
from oldphoto_core.pipeline.photo_limit import photos_at_once
from oldphoto_core.pipeline.photo_task import PhotoTask, Stage
from oldphoto_core.pipeline.provenance import ledger_row
from oldphoto_core.pipeline.run_context import RunContext
from oldphoto_core.pipeline.stages import COPY_ORIGINAL, STAGES
from oldphoto_core.pipeline.telemetry import QUEUES
from oldphoto_core.pipeline.threads import DaskStages, dask_threads, default_threads, number_of_photo
from oldphoto_core.scans import Decoders
from oldphoto_core.storage import Bucket

_BYTES_PER_MEGAPIXEL = 6_000_000  # an uncompressed 16-bit colour scan: files wait under the same bound as pixels
_SECONDS_TO_FINISH = 60.0

_FIRST, _LAST = STAGES[0], STAGES[-1]
_NEXT = dict(pairwise(STAGES))
_OPENS_PIXELS = next(stage for stage in STAGES if stage.opens == "pixels")
_ON_NETWORK = [stage for stage in STAGES if stage.thread == "network"]

_log = logging.getLogger("oldphoto.restoration")


def restore_photos(
    restorer: RestoresPhotos,
    source: Bucket,
    target: Bucket,
    photos: Iterable[Photo],
    options: RestoreOptions,
    callbacks: ShardCallbacks | None = None,
    *,
    masks: Bucket | None = None,
    run_id: str = "",
    operator: str = "",
    one_by_one: bool = False,
) -> None:
    """Restore every photo into `target`; `callbacks` get each one's row when it is done with.

    Records name `operator`. `one_by_one`: no photo is read before the one ahead of it is done with.

    An exception out of `callbacks.on_row` (or Ctrl-C) ends the call: photos being written are finished and reported,
    the rest is left alone. Raises RunStopped when `options.on_failure` is `abort` and a photo failed, Occupied when
    `callbacks.check` does: the photos that were not written are neither reported nor failed, but another process's
    affair.
    """
    threads = options.threads or default_threads()
    callbacks = callbacks or ShardCallbacks()
    with dask_threads(threads) as client, Decoders(threads, isolated=options.isolate) as decoders:
        place = RunContext(restorer, source, target, options, decoders, callbacks, run_id, masks, operator)
        pipeline = _Pipeline(DaskStages(client), place, photos, one_by_one)
        try:
            pipeline.run()
        finally:
            pipeline.wind_down()


class _Pipeline:
    """State of one call; every change of it happens on the calling thread."""

    def __init__(
        self,
        threads: DaskStages,
        place: RunContext,
        photos: Iterable[Photo],
        one_by_one: bool,
    ) -> None:
        self._threads = threads
        self._place = place
        self._callbacks = place.callbacks
        self._telemetry = place.callbacks.telemetry
        self._one_by_one = one_by_one
        self._waiting = deque(photos)
        self._open: dict[int, PhotoTask] = {}
        self._fetching: dict[int, int] = {}  # number -> bytes
        self._fetched: deque[int] = deque()
        self._decoding: set[int] = set()
        self._decoded: deque[int] = deque()
        self._delivering: set[int] = set()
        many = place.options.threads or default_threads()
        self._ahead = 2 * many
        self._most = photos_at_once(many)

    def run(self) -> None:
        self._telemetry.begin()
        while self._waiting or self._open:
            self._admit()
            self._telemetry.look(self._depths())
            if not self._decoded:
                self._take(*self._threads.over())
            with suppress(queue.Empty):
                while True:
                    self._take(*self._threads.over(block=False))
            self._admit()
            if self._decoded:
                self._restore(self._decoded.popleft())

    def wind_down(self) -> None:
        """Finish and report what is being written; forget the rest."""
        self._telemetry.look(self._depths())
        with suppress(queue.Empty):
            while self._delivering:
                _, number = self._threads.over(timeout=_SECONDS_TO_FINISH)
                if number in self._delivering and self._open[number].is_unfinished:
                    self._delivering.discard(number)
                elif number in self._delivering:
                    with suppress(RunStopped, Occupied):
                        self._refuse_lost(number)
                        self._close(number)
        self._place.decoders.close()
        for number in list(self._open):
            self._forget(number)

    def _admit(self) -> None:
        """Start reading and decoding as much as may be in flight."""
        limit = self._place.in_memory_megapixels
        while self._waiting and self._may_open():
            size = self._waiting[0].size
            held = sum(self._fetching.values()) + sum(self._open[t].photo.size for t in self._fetched)
            if (held and held + size > limit * _BYTES_PER_MEGAPIXEL) or (self._one_by_one and self._open):
                break
            task = PhotoTask(self._waiting.popleft(), self._place)
            self._callbacks.on_begin(task.photo.key)
            number = number_of_photo()
            self._open[number] = task
            self._fetching[number] = size
            self._start(_FIRST, number)
        while self._fetched:
            held_megapixels = self._megapixels_in_flight()
            if held_megapixels and held_megapixels + self._open[self._fetched[0]].megapixels > limit:
                break
            number = self._fetched.popleft()
            self._decoding.add(number)
            self._start(_OPENS_PIXELS, number)

    def _may_open(self) -> bool:
        """Whether number and threads allow another photo in flight."""
        return len(self._open) < self._most and len(self._fetching) + len(self._fetched) < self._ahead

    def _depths(self) -> dict[str, int]:
        queues = (self._fetching, self._fetched, self._decoding, self._decoded, self._delivering)
        return {name: len(queue) for name, queue in zip(QUEUES, queues, strict=True)}

    def _megapixels_in_flight(self) -> float:
        return sum(self._open[t].megapixels for t in (*self._decoding, *self._decoded, *self._delivering))

    def _start(self, stage: Stage, number: int) -> None:
        self._threads.start(number, self._open[number], stage)

    def _take(self, stage: Stage, number: int) -> None:
        """One stage of one photo is over: on to the next one."""
        self._refuse_lost(number)
        failed = self._open[number].error is not None
        if stage is COPY_ORIGINAL or (stage is _LAST and not failed and not self._open[number].is_unfinished):
            self._close(number)
        elif failed:
            self._fail(number)
        elif stage is _LAST:
            # before others: what it began waits on the disk
            self._delivering.discard(number)
            self._fetched.appendleft(number)
        else:
            self._go_on(_NEXT[stage], number)

    def _go_on(self, stage: Stage, number: int) -> None:
        """To a stage that may begin at once, or to the queue before it."""
        if stage.thread == "network":
            self._decoding.discard(number)
            self._decoded.append(number)
        elif stage.opens == "pixels":
            self._fetching.pop(number)
            self._fetched.append(number)
        else:
            self._start(stage, number)

    def _restore(self, number: int) -> None:
        """All stages on this thread, one after the other."""
        task = self._open[number]
        began = time.perf_counter()
        for stage in _ON_NETWORK:
            if task.error is None:
                task.run(stage)
        self._telemetry.busy_seconds += time.perf_counter() - began
        if task.error is not None:
            self._fail(number)
        else:
            self._delivering.add(number)
            self._start(_NEXT[_ON_NETWORK[-1]], number)

    def _refuse_lost(self, number: int) -> None:
        """Raise Occupied if that is why the photo was not written: it did not fail, somebody else restores it."""
        error = self._open[number].error
        if isinstance(error, Occupied):
            self._forget(number)
            raise error

    def _fail(self, number: int) -> None:
        if self._waits(number):
            return
        self._leave(number)
        self._open[number].let_go()
        if self._place.options.on_failure == "copy":
            self._delivering.add(number)
            self._start(COPY_ORIGINAL, number)
        else:
            self._close(number)

    def _waits(self, number: int) -> bool:
        """Whether a photo starts again later: something ran out, and other photos in flight hold some of it.

        The bound on photos sinks each time, down to one at a time. A photo that is alone then fails for good.
        """
        error, others = self._open[number].error, len(self._open) - 1
        if not others or error is None or not is_shortage(error):
            return False
        self._most = others
        key, complaint = visible(self._open[number].photo.key), visible(self._open[number].complaint)
        _log.warning("%s waits until others are done: %s", key, complaint)
        self._waiting.appendleft(self._open[number].photo)
        self._forget(number)
        gc.collect()  # an error and the frames that it passed through hold each other, and what they had open
        return True

    def _close(self, number: int) -> None:
        row = ledger_row(self._open[number])
        self._forget(number)
        self._telemetry.photos += 1
        self._callbacks.on_row(row)
        if row.status == "failed" and self._place.options.on_failure == "abort":
            raise RunStopped(f"stopped at the first failure, as asked: {row.key}: {row.detail}")

    def _leave(self, number: int) -> None:
        """The stage that it is in."""
        self._fetching.pop(number, None)
        self._decoding.discard(number)
        self._delivering.discard(number)

    def _forget(self, number: int) -> None:
        self._leave(number)
        self._threads.forget(number)
        self._open.pop(number).let_go()
