"""The process that restores shards for infra/worker.py, one after another, with Prefect and the model loaded once.

Names of flow runs come in over stdin, one a line; over the pipe of `heartbeat.PIPE` go "ready", what is in flight, and
"done N" after each, N the exit code that a process of its own would have had. When stdin ends, or on SIGTERM, the shard
under way is handed back and the process ends: photos being written are finished, and Prefect is told.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from typing import Any
from uuid import UUID

from oldphoto_core.runs.heartbeat import PIPE

HANDED_BACK = 128 + signal.SIGTERM


def main() -> None:
    """Serve until there is nothing more to come."""
    from flows.session.prefect_settings import import_prefect, taken_back

    settings = import_prefect()
    from prefect.settings import temporary_settings

    from flows import restore_shard  # noqa: F401 - before it says that it is ready

    pipe = int(os.environ[PIPE])
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(orders, busy), daemon=True).start()
    os.write(pipe, b"ready\n")
    # the worker beats for its runs; the flow's own thread would cost a second to join
    ours: dict[Any, Any] = taken_back(settings, named_server=True) | {"flows.heartbeat_frequency": None}
    with temporary_settings(ours):
        while name := orders.get():
            busy.set()
            code = serve(UUID(name))
            busy.clear()
            os.write(pipe, f"done {code}\n".encode())
            if code:
                sys.exit(code)


def serve(flow_run: UUID) -> int:
    """One run of `restore-shard`, in this process; gives the exit code."""
    from prefect import State
    from prefect.exceptions import Abort, TerminationSignal
    from prefect.flow_engine import load_flow_run, run_flow

    from flows.restore_shard import restore_shard
    from flows.session.server import end_cancelled

    try:
        state = run_flow(restore_shard, flow_run=load_flow_run(flow_run), return_type="state")
        assert isinstance(state, State)
        if state.is_cancelling():  # it was told so after its last photo, and must not say any more that it is complete
            end_cancelled(flow_run)
    except Abort:
        return 0  # the server does not want it to be run any more
    except TerminationSignal:
        return HANDED_BACK
    except Exception as error:  # Prefect could not be told how it ended; the worker tries
        sys.stderr.write(f"run {flow_run} ended without Prefect being told: {type(error).__name__}\n")
        return 1
    return 0


def _listen(orders: queue.SimpleQueue[str], busy: threading.Event) -> None:
    for line in sys.stdin:
        orders.put(line.strip())
    orders.put("")
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)  # the worker is gone


if __name__ == "__main__":
    main()
