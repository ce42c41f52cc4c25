"""Shards as runs of Prefect's: what the coordinator sees of those that some worker took, and what it does then."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Pending, Running, State
from waiting import wait_until

from flows.restore_shard import restore_shard
from flows.session.server import end_cancelled
from flows.shard_runs import PrefectShardRuns, orphaned_runs
from oldphoto_core.errors import OrchestratorAway

pytestmark = pytest.mark.usefixtures("prefect_server")


def answered(do: Callable[[], Any]) -> Any:
    """What the server says, asked again while it is too busy to say anything (503), as the dispatcher does."""
    said: list[Any] = []

    def asked() -> bool:
        with suppress(OrchestratorAway):
            said.append(do())
        return bool(said)

    wait_until(asked, "the server")
    return said[0]


class PatientRuns:
    """`PrefectShardRuns` whose questions are asked until they are answered."""

    def __init__(self, runs: PrefectShardRuns) -> None:
        self.run_id, self._runs = runs.run_id, runs

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: answered(lambda: getattr(self._runs, name)(*arguments))


@pytest.fixture
def runs() -> PatientRuns:
    """Of a pool that nobody works for."""
    pool = f"pool-{uuid.uuid4().hex[:8]}"
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        client.create_deployment(client.create_flow(restore_shard), name=pool, work_pool_name=pool)
    return PatientRuns(PrefectShardRuns("s3://access", f"run-{pool}", pool))


def become(run: str, state: State) -> State:
    """As a worker or a process that restores would say it."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run), state)
        became = client.read_flow_run(UUID(run)).state
    assert became is not None
    return became


def test_the_same_start_again_is_the_same_run(runs: PatientRuns) -> None:
    assert runs.start(0, 1) == runs.start(0, 1)
    assert runs.start(0, 1) != runs.start(0, 2)


def test_a_run_is_seen_as_what_it_is(runs: PatientRuns) -> None:
    begun, waiting, unknown = runs.start(0, 1), runs.start(1, 1), str(uuid.uuid4())
    become(begun, Pending())
    assert {sight.state for sight in runs.look([begun, waiting]).values()} == {"waiting"}
    become(begun, Running())
    seen = runs.look([begun, waiting, unknown])
    assert [seen[name].state for name in (begun, waiting, unknown)] == ["running", "waiting", "ended"]


def test_a_run_whose_worker_died_before_it_began_is_given_up(
    runs: PatientRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.start(0, 1)
    become(run, Pending())
    assert runs.look([run])[run].state == "waiting"
    monkeypatch.setattr("flows.shard_runs.SECONDS_TO_BEGIN", 0.0)
    sight = runs.look([run])[run]
    assert sight.state == "ended"
    assert "taken by a worker and not begun" in sight.message


def test_what_waits_is_cancelled_and_what_runs_is_told(runs: PatientRuns) -> None:
    waiting, running = runs.start(0, 1), runs.start(1, 1)
    become(running, Pending())
    become(running, Running())
    runs.cancel([waiting, running])
    assert become(waiting, Pending()).is_cancelled()
    assert runs.look([waiting, running])[running].state == "running"
    assert [str(run.id) for run in answered(lambda: orphaned_runs([runs.run_id]))] == [running]
    answered(lambda: end_cancelled(UUID(running)))
    assert runs.look([running])[running].state == "ended"
    assert answered(lambda: orphaned_runs([runs.run_id])) == []
