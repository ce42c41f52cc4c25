"""Dask threads inside this process, and stages on them: no pixel is pickled, nothing listens beyond loopback."""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

from oldphoto_core.folders import temporary_folder

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

    from oldphoto_core.pipeline.photo_task import PhotoTask, Stage

_STARTING = threading.Lock()
"""Dask imports its pages while it starts, and two threads that do so side by side find them half imported."""
_NO_HISTORY = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.log-length": 10,
    "distributed.admin.low-level-log-length": 10,
    "distributed.admin.system-monitor.log-length": 10,
    "distributed.diagnostics.computations.max-history": 1,
    "distributed.diagnostics.erred-tasks.max-history": 1,
}
"""Dask by itself keeps what it and its threads did for minutes to hours: kilobytes a photo."""


_ARENAS, _M_ARENA_MAX = 2, -8
"""Parameters of glibc's mallopt."""


def share_arenas() -> None:
    """Have all threads of this process take small memory from the same two pools (glibc; elsewhere it does nothing).

    By itself glibc makes eight pools a core. Photos that go from thread to thread leave gaps in all of them, about a
    kilobyte each, that nobody fills again. Threads that are there already keep their pools: call it before they start.
    MALLOC_ARENA_MAX, where it is set, is left as it is.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        with suppress(OSError, AttributeError):  # a system without glibc
            ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, _ARENAS)


def usable_cores() -> int:
    """Of this machine, by this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """One per core that may be used, and two at least so that reading overlaps with writing."""
    return max(2, usable_cores())


@contextmanager
def dask_threads(count: int = 0) -> Iterator[Client]:
    """A Dask client on `count` threads of this process (0: one per core); closed on leaving.

    Hand it functions of importable modules with small arguments: Dask pickles both, even within one process.
    """
    share_arenas()
    import dask
    from distributed import Client

    # by itself Dask imports from, and writes to, a fixed name in TMPDIR
    with temporary_folder("dask") as scratch, ExitStack() as opened:
        opened.callback(_forget_cluster, scratch)
        # a copy of the routes, since without bokeh each scheduler adds one to the list that it is given
        routes = list(dask.config.get("distributed.scheduler.http.routes"))
        with _STARTING, dask.config.set({**_NO_HISTORY, "distributed.scheduler.http.routes": routes}):
            cluster = opened.enter_context(_cluster(count or default_threads(), scratch))
            client = opened.enter_context(Client(cluster, set_as_default=False))
        yield client


def forget_tasks() -> None:
    """Empties a cache in which Dask keeps the names of the last 100,000 tasks."""
    from dask.utils import key_split

    key_split.cache_clear()


class DaskStages:
    """Runs stages on Dask's threads and says which are over.

    Dask pickles what it is given, even within one process. So it gets the number of a photo, and the photo itself waits
    in a table of this module.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._over: queue.SimpleQueue[tuple[Stage, int]] = queue.SimpleQueue()
        self._futures: dict[int, Future[None]] = {}
        self._submitted = 0

    def start(self, number: int, task: PhotoTask, stage: Stage) -> None:
        """Begins a stage of the photo, which has this `number_of_photo` until it is forgotten."""
        self._submitted += 1
        if self._submitted % _TASKS_REMEMBERED == 0:
            forget_tasks()
        _running[number] = (task, stage, self._over)
        # the future is kept: Dask drops a task that nobody holds
        self._futures[number] = self._client.submit(_run, number, stage.name, pure=False, priority=stage.priority)

    def over(self, *, block: bool = True, timeout: float | None = None) -> tuple[Stage, int]:
        """The next stage that is over, and whose; queue.Empty if there is none, or none in so many seconds."""
        return self._over.get(block, timeout)

    def count_over(self) -> int:
        """How many are over that nobody asked for yet."""
        return self._over.qsize()

    def forget(self, number: int) -> None:
        """Lets go of the photo."""
        self._futures.pop(number, None)
        _running.pop(number, None)


_TASKS_REMEMBERED = 1000
_running: dict[int, tuple[PhotoTask, Stage, queue.SimpleQueue[tuple[Stage, int]]]] = {}
_numbers = count()


def number_of_photo() -> int:
    """A number that no photo in this process has had."""
    return next(_numbers)


def photos_on_threads() -> list[PhotoTask]:
    """Those whose stages run, or ran last, on Dask's threads."""
    return [task for task, _, _ in list(_running.values())]


def _run(number: int, name: str) -> None:
    """What Dask runs; `name` is for its pages alone."""
    if number in _running:
        task, stage, over = _running[number]
        task.run(stage)
        over.put((stage, number))


def _forget_cluster(scratch: str) -> None:
    """Drops what would stay of a closed cluster: 200 KB and more, for each shard.

    Dask caches, without a bound, of each method that answers a message what its first argument is; a method holds its
    scheduler or worker. It also keeps the names of tasks, as many as 100,000. Python caches a finder for each folder
    that was ever in `sys.path`, as Dask's `scratch` was.
    """
    forget_tasks()
    from distributed import core

    with suppress(AttributeError):  # a private name; the test of this module notices when another Dask has another
        core._expects_comm.cache_clear()
    for folder in [folder for folder in sys.path_importer_cache if folder.startswith(scratch)]:
        sys.path_importer_cache.pop(folder, None)


def _cluster(threads: int, scratch: str) -> LocalCluster:
    from distributed import LocalCluster
    from distributed.scheduler import DEFAULT_EXTENSIONS

    # spans note every task that was ever submitted
    extensions = {name: extension for name, extension in DEFAULT_EXTENSIONS.items() if name != "spans"}
    with warnings.catch_warnings():
        # without a network Dask wonders aloud what this machine's address is, and then does not need it
        warnings.filterwarnings("ignore", message="Couldn't detect a suitable IP address")
        return LocalCluster(
            n_workers=1,
            threads_per_worker=threads,
            processes=False,
            protocol="inproc://",
            dashboard_address="127.0.0.1:0",  # left out, Dask would open its pages on every address
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=None,  # the engine bounds megapixels itself; Dask would pause threads by the process's size
            silence_logs=logging.ERROR,
            local_directory=scratch,
            scheduler_kwargs={"local_directory": scratch, "extensions": extensions},
            extensions={},
        )
