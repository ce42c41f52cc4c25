"""Prefect's server from within a run: whether it answers, and what it wants this run to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from oldphoto_core.errors import OrchestratorAway, RunStopped

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import State

PATIENCE = 900.0
SECONDS_BETWEEN_LOOKS = 5.0


class RunCancelled(RunStopped):
    """Somebody told Prefect to cancel this run; what was done stays."""


@contextmanager
def server() -> Iterator[SyncPrefectClient]:
    """A client that gives up at the first refusal. Raises OrchestratorAway; its message holds no URL and no key."""
    import httpx
    from prefect import get_client
    from prefect.exceptions import PrefectException

    try:
        # a client of its own: one that has connected before would try again for a minute
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, PrefectException) as error:
        raise OrchestratorAway(f"the Prefect server does not answer ({type(error).__name__})") from error


def wait_for_server(seconds: float = PATIENCE) -> None:
    """Until it answers, so that a run that went well can say so; after that long, it tries all the same."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with server() as client:
                client.hello()
                return
        except OrchestratorAway:
            time.sleep(2.0)


class Steering:
    """What people want of the run of this process: to go on, to pause, to be cancelled."""

    def __init__(self, *, stays: bool) -> None:
        """`stays`: a run that the server took for dead says that it lives; others end, since somebody else has their
        work by now."""
        from prefect.runtime import flow_run

        self._id = flow_run.id
        self._stays = stays
        self._looked = time.monotonic()

    def check(self) -> None:
        """Call it between photos: looks now and then. Blocks while the run is paused.

        Raises:
            RunCancelled: the run was cancelled, or declared dead.
        """
        if self._id is None or time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        while self._is_paused():
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _is_paused(self) -> bool:
        self._looked = time.monotonic()
        try:
            with server() as client:
                state = client.read_flow_run(self._id).state
                if state is not None and state.is_crashed() and self._stays:
                    self._say_that_it_lives(client)
                    return False
        except OrchestratorAway:
            return False  # nobody can tell; the run goes on
        return state is not None and self._judge(state)

    def _judge(self, state: State) -> bool:
        if state.is_cancelling() or state.is_cancelled():
            raise RunCancelled("cancelled in Prefect; what was done stays, and a rerun goes on")
        if state.is_final():
            raise RunCancelled(f"Prefect took this run for ended ({state.name}); another one has its work")
        return state.is_paused()

    def _say_that_it_lives(self, client: SyncPrefectClient) -> None:
        from prefect.states import Running

        client.set_flow_run_state(self._id, Running(), force=True)
