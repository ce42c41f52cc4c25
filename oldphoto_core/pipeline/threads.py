"""Dask threads inside this process: no pixel is pickled, and nothing listens beyond loopback."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from oldphoto_core.folders import temporary_folder

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

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
