"""One shard of a restoration, on a machine of a fleet: what the coordinator in flows/restore.py starts many of."""

from __future__ import annotations

from typing import Annotated

from prefect import State, flow
from prefect.states import Cancelled, Completed
from pydantic import Field

from flows.session.logs import log_as_asked
from flows.session.server import RunCancelled, Steering, wait_for_server
from oldphoto_core.pipeline.callbacks import ShardCallbacks
from oldphoto_core.runs.heartbeat import beat, with_heartbeat
from oldphoto_core.storage import LedgerRow
from tasks.restoration import restore_stored_shard


@flow(name="restore-shard", persist_result=False, retries=0, log_prints=False)
def restore_shard(
    target: Annotated[str, Field(description="Bucket of the run")],
    run_id: Annotated[str, Field(description="Folder of the run in TARGET/runs")],
    number: Annotated[int, Field(ge=0, description="Of the shard")],
    attempt: Annotated[int, Field(ge=1, description="Counts the processes that have had it")] = 1,
    coordinator: Annotated[str | None, Field(description="Run of restore: paused and cancelled with it")] = None,
) -> State[None]:
    """Restore what is left of a shard; its rows go to the ledger of the run.

    Raises RunStopped when the run is closed, Occupied when another process is at the shard.
    """
    log_as_asked()
    steering = Steering(stays=False, coordinator=coordinator, while_paused=beat)

    def check(_row: LedgerRow) -> None:
        steering.check()

    try:
        restore_stored_shard(target, run_id, number, attempt, with_heartbeat(ShardCallbacks(on_row=check)))
    except RunCancelled as reason:
        wait_for_server()
        return Cancelled(message=str(reason))
    wait_for_server()
    return Completed()
