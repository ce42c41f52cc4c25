"""Prefect's server from within a run: whether it answers, and what it wants this run to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from oldphoto_core.errors import OrchestratorAway, RunStopped

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import State

Result = TypeVar("Result")

WATCHED = "oldphoto-watched"
"""Tag of runs that beat every 30 seconds: an automation calls them crashed when they are silent (infra/deploy.py)."""
PATIENCE = 900.0
SECONDS_BETWEEN_LOOKS = 5.0


class RunCancelled(RunStopped):
    """This run was cancelled through Prefect; what was done stays."""


@contextmanager
def server() -> Iterator[SyncPrefectClient]:
    """A client that gives up at the first refusal. Raises OrchestratorAway; its message holds no URL and no key."""
    from prefect import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    # Prefect's own way of trying again doubles its pauses, up to minutes in which nothing is looked at
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), _translated(), get_client(sync_client=True) as client:
        yield client


def unless_away(do: Callable[[], Result]) -> Result | None:
    """What is nice to have: left out, as None, where the server does not answer now."""
    try:
        with server() as client:
            client.hello()
        with _translated():
            return do()
    except OrchestratorAway:
        return None


@contextmanager
def _translated() -> Iterator[None]:
    import httpx
    from prefect.exceptions import PrefectException

    try:
        yield
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


def end_cancelled(run: UUID) -> None:
    """A run that is still called cancelling, although its work has ended, is cancelled."""
    from prefect.states import Cancelled

    wait_for_server()
    with server() as client:
        client.set_flow_run_state(run, Cancelled(message="cancelled in Prefect after its last photo"))


class Steering:
    """What people want of the run of this process: to go on, to pause, to be cancelled."""

    def __init__(
        self, *, stays: bool, coordinator: str | None = None, while_paused: Callable[[], None] = lambda: None
    ) -> None:
        """`stays`: a run that the server took for dead says that it lives; others end, since somebody else has their
        work by now. `coordinator`: a run whose wishes count for this one, too. `while_paused` is called again and again
        meanwhile."""
        from prefect.runtime import flow_run

        self._id: str | None = flow_run.id
        self._stays, self._coordinator, self._while_paused = stays, coordinator, while_paused
        self._looked = time.monotonic()

    def check(self) -> None:
        """Call it between photos: looks now and then. Blocks while the run is paused.

        Raises:
            RunCancelled: the run was cancelled, or declared dead.
        """
        if self._id is None or time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        while self._is_paused():
            self._while_paused()
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _is_paused(self) -> bool:
        self._looked = time.monotonic()
        try:
            with server() as client:
                mine = self._state(client, self._id)
                theirs = self._state(client, self._coordinator)
                if mine is not None and mine.is_crashed() and self._stays:
                    from prefect.states import Running

                    client.set_flow_run_state(str(self._id), Running(), force=True)
                    return False
        except OrchestratorAway:
            return False  # nobody can tell; the run goes on
        if theirs is not None and (theirs.is_cancelling() or theirs.is_cancelled()):
            raise RunCancelled("its restoration was cancelled in Prefect")
        if mine is not None and (mine.is_cancelling() or mine.is_cancelled()):
            raise RunCancelled("cancelled in Prefect; what was done stays, and a rerun goes on")
        if mine is not None and mine.is_final():
            raise RunCancelled(f"Prefect took this run for ended ({mine.name}); another one has its work")
        return any(state is not None and state.is_paused() for state in (mine, theirs))

    def _state(self, client: SyncPrefectClient, run: str | None) -> State | None:
        return client.read_flow_run(UUID(run)).state if run else None
