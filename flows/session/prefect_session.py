"""Prefect for a command: the server that the user named, or a temporary one of our own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flows.session.own_server import PrefectUnavailable, TemporaryServer, answers
from flows.session.prefect_settings import import_prefect, taken_back
from oldphoto_core.pipeline.threads import share_arenas

SECONDS_TO_ANSWER = 90.0


@contextmanager
def prefect_session(say: Callable[[str], None], meanwhile: Callable[[], object] | None = None) -> Iterator[None]:
    """Run flows inside; `say` gets one line for the terminal, `meanwhile` is done while a temporary server starts.

    Raises:
        PrefectMisconfigured: the user's settings of Prefect cannot be read.
        PrefectUnavailable: no server answers, or it refuses these credentials.
    """
    share_arenas()  # here, as Prefect starts threads
    settings = import_prefect()
    from prefect.settings import temporary_settings

    if named := settings.api.url:
        say(f"using the Prefect server at {_without_password(named)}")
        if meanwhile:
            meanwhile()
        _wait_for(named, say)
        updates: dict[str, Any] = {"flows.heartbeat_frequency": settings.flows.heartbeat_frequency}
    else:
        server = TemporaryServer.start(say)
        if meanwhile:
            meanwhile()
        # heartbeats tell a lasting server which runs died; a server that dies with the run has no use for them, and
        # joining their thread costs a second
        updates = {
            "api.url": server.wait_until_ready(),
            "api.auth_string": server.auth_string,
            "flows.heartbeat_frequency": None,
            "logging.to_api.enabled": False,
        }
    ours: dict[Any, Any] = taken_back(settings, named_server=bool(named)) | updates
    with temporary_settings(ours):
        if named:
            _check_credentials(named)
        yield


def named_server() -> tuple[str, bool]:
    """The URL that the user's settings name, without a password, and whether it answers; "" for a temporary server.

    Raises:
        PrefectMisconfigured: the settings cannot be read.
    """
    named = import_prefect().api.url
    return (_without_password(named), answers(named)) if named else ("", False)


def _wait_for(url: str, say: Callable[[str], None]) -> None:
    """A scheduled run should not be lost to a server that is being restarted."""
    deadline = time.monotonic() + SECONDS_TO_ANSWER
    told = False
    while not answers(url):
        if time.monotonic() > deadline:
            raise PrefectUnavailable(
                f"the Prefect server at {_without_password(url)} has not answered for {SECONDS_TO_ANSWER:.0f} s; start"
                " it, or unset PREFECT_API_URL to run with a temporary one"
            )
        if not told:
            say(f"it does not answer; waiting up to {SECONDS_TO_ANSWER:.0f} s for it ...")
            told = True
        time.sleep(1.0)


def _check_credentials(url: str) -> None:
    """Health is told to anybody; what follows is not. Raises PrefectUnavailable."""
    import httpx
    from prefect import get_client

    try:
        with get_client(sync_client=True) as client:
            client.hello()
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (401, 403):
            raise PrefectUnavailable(
                f"the Prefect server at {_without_password(url)} refuses these credentials; set"
                " PREFECT_API_AUTH_STRING to those of the server"
            ) from error


def _without_password(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return scheme + mark + rest.rpartition("@")[2]
