"""One fleet for all tests of a file: servers and workers take half a minute to start, and it has the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import register
from prefect.settings import PREFECT_API_URL, temporary_settings

from infra.fleet import Fleet

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """With the restorers of fakes.py in every process; the environment of this one leads to its store, too."""
    before = dict(os.environ)
    register()
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), quiet_seconds=3)
    imported = {"OLDPHOTO_IMPORT": "registered"}
    fleet.processes.environment |= {**imported, "PYTHONPATH": f"{fleet.processes.environment['PYTHONPATH']}:{TESTS}"}
    with fleet.processes:
        fleet.start()
        # settings of a server that other tests of this process have started come before the environment
        with temporary_settings({PREFECT_API_URL: fleet.api}):
            yield fleet
    os.environ.clear()
    os.environ.update(before)
