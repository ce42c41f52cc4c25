"""Dask clusters: one of this machine's cores, or one that is running already."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from oldphoto_core.errors import ClusterAway, UsageError
from oldphoto_core.folders import temporary_folder

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

SECONDS_TO_ANSWER = 30
PROTOCOLS = ("tcp", "tls", "ws", "wss", "ucx")

_KEEP_FREED_MEMORY = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**30,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_MAX_": 0,
}
"""Dask's workers return every freed block to the kernel by default, which for large arrays costs half of the time."""


@contextmanager
def dask_client(
    address: str | None, workers: int | None = None, on_link: Callable[[str], None] = lambda _link: None
) -> Iterator[Client]:
    """A client of the scheduler at `address`, or of `workers` processes (one per core) of this machine.

    Those listen on loopback, and take work from nobody but this process: certificates made for them alone see to that.
    To an address that begins with tls:// Dask's own configuration leads (`DASK_DISTRIBUTED__COMM__TLS__*`). `on_link`
    is called with the dashboard's URL.

    Raises:
        UsageError: what is no address of a scheduler.
        ClusterAway: nobody answers there, or not with those certificates.
    """
    if address:
        with _client_of(address) as client:
            on_link(client.dashboard_link)
            yield client
        return
    from distributed import Client

    # by itself Dask imports from, and writes to, a fixed name in TMPDIR
    with temporary_folder("dask") as scratch, _cluster(workers, scratch) as cluster, Client(cluster) as client:
        on_link(client.dashboard_link)
        yield client


def _cluster(workers: int | None, scratch: str) -> LocalCluster:
    import dask
    from distributed import LocalCluster

    # what a worker writes goes with the folder, though it may be killed; and it imports nothing from the working folder
    environment = {
        "distributed.nanny.environ.TMPDIR": scratch,
        "distributed.nanny.pre-spawn-environ.PYTHONSAFEPATH": 1,
    }
    with dask.config.set({**_KEEP_FREED_MEMORY, **environment}):
        # without host and dashboard address Dask listens on every interface
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            security=True,
            silence_logs=40,
            local_directory=scratch,
            scheduler_kwargs={"local_directory": scratch},
        )


def _client_of(address: str) -> Client:
    from distributed import Client

    scheme, mark, place = address.partition("://")
    if not mark or scheme not in PROTOCOLS or not place:
        raise UsageError(
            f"{address!r} is no address of a Dask scheduler: write it as tcp://host:8786 or tls://host:8786"
        )
    try:
        return Client(address, timeout=SECONDS_TO_ANSWER)
    except (OSError, TypeError, ValueError, RuntimeError) as error:  # TypeError: tls:// without certificates
        reason = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
    # The error held a client that is half there. It is closed now: collected while another one starts, it would wait
    # for a lock of Dask's that the other holds, on the same thread, for ever.
    gc.collect()
    raise ClusterAway(
        f"the Dask scheduler at {address} does not answer: {reason}; check the address, and for tls:// the"
        " certificates that DASK_DISTRIBUTED__COMM__TLS__* name"
    )
