"""What a test run says of the tests that it left out, and how it spreads the others over processes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from left_out import LONG, lines
from places import SUPPORT

SPREAD = re.findall(r"-n \S+ (.*) -m", (Path(__file__).parents[1] / "Makefile").read_text())[0].split()
"""What `make test` says of it to pytest-xdist."""
TESTS = """
import pytest
from pathlib import Path

@pytest.fixture(scope="module")
def costly(tmp_path_factory):
    process = tmp_path_factory.getbasetemp().name
    Path(__file__).with_name(f"set-up-in-{process}").touch()

@pytest.mark.parametrize("_", range(9))
def test_of_something_costly(costly, _): ...

@pytest.mark.parametrize("_", range(2))
def test_of_photos(_):
    pytest.skip("OLDPHOTO_TEST_DATA names no folder")

@pytest.mark.skipif(True, reason="exiftool is not installed")
def test_of_labels(): ...

def test_anything(): ...
"""


def test_nothing_is_said_where_everything_ran() -> None:
    assert lines([], "") == []


@pytest.mark.parametrize("reasons", [[], ["no photos"], [f"reason {n}" for n in range(9)]])
def test_three_lines_at_most(reasons: list[str]) -> None:
    assert len(lines(reasons, LONG)) == (3 if reasons else 1)


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_run_ends_with_how_many_were_skipped_and_why(tmp_path: Path, processes: str) -> None:
    (tmp_path / "conftest.py").write_text("from left_out import pytest_terminal_summary\n")
    (tmp_path / "test_some.py").write_text(TESTS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", processes, *SPREAD, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        env={"PATH": "", "PYTHONPATH": str(SUPPORT)},
        check=True,
    )
    assert "Skipped 3: 2 as OLDPHOTO_TEST_DATA names no folder; 1 as exiftool is not installed\n" in run.stdout
    assert "Left out" not in run.stdout
    assert len(list(tmp_path.glob("set-up-in-*"))) == 1, "a file's tests run in one process"
