"""One real Prefect server (its test harness) for all tests of flows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """The API's URL. Commands of this process take it for a server that the user named; others get PREFECT_API_URL."""
    os.environ.update(DO_NOT_TRACK="1", PREFECT_SERVER_ANALYTICS_ENABLED="false")
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield str(PREFECT_API_URL.value())


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def oldphoto(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """The `oldphoto` command in this process, with the fakes registered: `oldphoto("restore", source, target)`."""
    from fakes import register

    from flows.cli import main

    register()

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr("sys.argv", ["oldphoto", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return run
