"""Shards as runs of the deployment `restore-shard`, on whatever workers its pool has."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.session.server import server
from oldphoto_core.errors import UsageError
from oldphoto_core.runs.dispatcher import ProcessStatus

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

FLOW = "restore-shard"
PAGE = 200
SECONDS_TO_BEGIN = 65.0
"""That a worker may take from a run to its first line. One that dies in between leaves it pending for ever: no beat of
it was heard yet, by which the server could tell."""


class PrefectShardRuns:
    """The `ShardRuns` of one run."""

    def __init__(self, target: str, run_id: str, pool: str) -> None:
        """Raises UsageError when no deployment of `restore-shard` is in that pool, OrchestratorAway."""
        from prefect.runtime import flow_run

        self._target, self.run_id = target, run_id
        self._deployment = deployment_in(pool)
        self._coordinator = flow_run.id
        self._pending_since: dict[str, float] = {}

    def start(self, number: int, attempt: int) -> str:
        """A run of its own for each attempt: a crashed run is not run again. Its parameters are names, never pixels."""
        with server() as client:
            run = client.create_flow_run_from_deployment(
                self._deployment,
                name=f"{self.run_id}-{number:05d}-{attempt}",
                parameters={
                    "target": self._target,
                    "run_id": self.run_id,
                    "number": number,
                    "attempt": attempt,
                    "coordinator": self._coordinator,
                },
                idempotency_key=f"{self.run_id}:{number}:{attempt}",
                tags=[tag_of(self.run_id)],
            )
        return str(run.id)

    def look(self, names: Collection[str]) -> Mapping[str, ProcessStatus]:
        """Runs that the server knows nothing of have ended."""
        runs = _runs({"id": {"any_": sorted(names)}}) if names else ()
        found = {str(run.id): self._look_at(run) for run in runs}
        return {name: found.get(name, ProcessStatus("ended", "Prefect knows nothing of its run")) for name in names}

    def _look_at(self, run: FlowRun) -> ProcessStatus:
        name, state = str(run.id), run.state
        if state is None or not state.is_pending():
            self._pending_since.pop(name, None)
            return _sight(run)
        if time.monotonic() - self._pending_since.setdefault(name, time.monotonic()) < SECONDS_TO_BEGIN:
            return ProcessStatus("waiting")
        return self._give_up(run)

    def _give_up(self, run: FlowRun) -> ProcessStatus:
        """A worker that lives after all and the next one do not get in each other's way: the shard has a lease."""
        from prefect.states import Crashed

        said = f"taken by a worker and not begun for {SECONDS_TO_BEGIN:.0f} s: its machine is gone"
        with server() as client:
            client.set_flow_run_state(run.id, Crashed(message=said))
            return _sight(client.read_flow_run(run.id))

    def cancel(self, names: Collection[str]) -> None:
        """What waits is cancelled, what runs is told."""
        cancel(run for run in _runs({"id": {"any_": sorted(names)}}))


def deployment_in(pool: str) -> UUID:
    """The deployment of `restore-shard` whose runs that pool's workers take."""
    with server() as client:
        from prefect.client.schemas.filters import FlowFilter

        deployments = client.read_deployments(flow_filter=FlowFilter.model_validate({"name": {"any_": [FLOW]}}))
    for deployment in deployments:
        if deployment.work_pool_name == pool:
            return deployment.id
    pools = ", ".join(sorted({each.work_pool_name or "" for each in deployments} - {""})) or "none"
    raise UsageError(
        f"no deployment of {FLOW} is in the work pool {pool!r} (pools that have one: {pools}); deploy it with"
        " python -m infra.deploy"
    )


def workers_of(pool: str) -> int:
    """How many of a pool are there now; 1 at least, since others may come. Raises OrchestratorAway."""
    from prefect.client.schemas.filters import WorkerFilter

    with server() as client:
        online = WorkerFilter.model_validate({"status": {"any_": ["ONLINE"]}})
        return max(1, len(client.read_workers_for_work_pool(pool, worker_filter=online)))


def tag_of(run_id: str) -> str:
    """What the runs of one restoration's shards have in common."""
    return f"oldphoto-run-{run_id}"


def orphaned_runs(run_ids: Collection[str]) -> list[FlowRun]:
    """Runs of shards of these restorations that have not ended."""
    if not run_ids:
        return []
    open_states = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]
    tags = [tag_of(run_id) for run_id in run_ids]
    return list(_runs({"tags": {"any_": tags}, "state": {"type": {"any_": open_states}}}))


def cancel(runs: Iterator[FlowRun] | Collection[FlowRun]) -> None:
    """Those that wait at once, those that run within a photo's time. Raises OrchestratorAway."""
    from prefect.states import Cancelled, Cancelling

    with server() as client:
        for run in runs:
            if run.state is None or run.state.is_final():
                continue
            begun = run.state.is_running() or run.state.is_cancelling()
            client.set_flow_run_state(run.id, Cancelling() if begun else Cancelled(), force=not begun)


def _runs(wanted: dict[str, Any]) -> Iterator[FlowRun]:
    from prefect.client.schemas.filters import FlowRunFilter

    offset = 0
    while True:
        with server() as client:
            page = client.read_flow_runs(
                flow_run_filter=FlowRunFilter.model_validate(wanted), limit=PAGE, offset=offset
            )
        yield from page
        if len(page) < PAGE:
            return
        offset += PAGE


def _sight(run: FlowRun) -> ProcessStatus:
    state = run.state
    if state is None or state.is_scheduled():
        return ProcessStatus("waiting")
    if not state.is_final():
        return ProcessStatus("running")
    return ProcessStatus("ended", "" if state.is_completed() else f"{state.name}: {state.message or 'no reason given'}")
