"""What a test run says of the tests that it left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from left_out import LONG, lines

TESTS = """
import pytest

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
        [sys.executable, "-m", "pytest", "-q", "-n", processes, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        env={"PATH": "", "PYTHONPATH": str(Path(__file__).parent)},
        check=True,
    )
    assert "Skipped 3: 2 as OLDPHOTO_TEST_DATA names no folder; 1 as exiftool is not installed\n" in run.stdout
    assert "Left out" not in run.stdout
