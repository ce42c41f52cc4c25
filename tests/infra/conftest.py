"""One fleet for all tests of a file: servers and workers take half a minute to start, and it has the environment."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from fakes import register
from places import SUPPORT
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from infra.fleet import Fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """With the restorers of fakes.py in every process; the environment of this one leads to its store, too."""
    before = dict(os.environ)
    # a test run that is told to end (a time limit, say) takes its fleet with it, as at Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    register()
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), quiet_seconds=3)
    imported = {"OLDPHOTO_IMPORT": "registered"}
    fleet.processes.environment |= {**imported, "PYTHONPATH": f"{fleet.processes.environment['PYTHONPATH']}:{SUPPORT}"}
    with fleet:
        fleet.start()
        # settings of a server that other tests of this process have started come before the environment
        with temporary_settings({PREFECT_API_URL: fleet.api, PREFECT_API_AUTH_STRING: fleet.auth_string}):
            yield fleet
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(before)
