"""`oldphoto paper-table` through the real flow: whole, killed in the middle, gone on with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from photos import album
from waiting import wait_until

ROOT = Path(__file__).parents[2]
SMALL = ("--batch", "2", "--crop", "32")


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, ...]:
    clean, old = album(tmp_path / "clean", 6), album(tmp_path / "old", 5, first=50)
    return ("--clean", str(clean), "--old", str(old), "--out", str(tmp_path / "out"))


@pytest.mark.long
def test_a_table_that_is_killed_goes_on_with_the_same_command(
    places: tuple[str, ...], tmp_path: Path, prefect_server: str, oldphoto
) -> None:
    command = ("paper-table", *places, "--budget", "2s", "--rows", "opencv,attention,ours", *SMALL)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *command], cwd=ROOT, env=os.environ | {"PREFECT_API_URL": prefect_server},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    rows = tmp_path / "out/rows"

    def is_there() -> bool:
        there = (rows / "ours/vae_old/weights.safetensors").exists()
        assert there or process.poll() is None, process.communicate()[1]
        return there

    wait_until(is_there, "the first stage of the last row")
    process.kill()
    process.wait()
    assert not (tmp_path / "out/table.md").exists()
    plan = (tmp_path / "out/plan.json").read_bytes()
    done = {path: path.stat().st_mtime_ns for path in rows.rglob("attention/weights.safetensors")}
    assert done
    ended = oldphoto(*command)
    assert ended.code == 0, ended.err
    assert "| ours | " in ended.out
    assert "| operation-wise attention | " in ended.out
    assert (tmp_path / "out/plan.json").read_bytes() == plan
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert (tmp_path / "out/table.tex").exists()


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.long
def test_a_table_of_one_rival_is_written_in_four_forms(places: tuple[str, ...], tmp_path: Path, oldphoto) -> None:
    ended = oldphoto("paper-table", *places, "--budget", "1s", "--rows", "attention", *SMALL)
    assert ended.code == 0, ended.err
    lines = [line for line in ended.out.splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| degraded input", "| operation-wise attention"]
    assert {path.suffix for path in (tmp_path / "out").glob("table.*")} == {".md", ".csv", ".tex", ".png", ".json"}
    ended = oldphoto("paper-table", *places, "--budget", "2s", "--rows", "attention", *SMALL)
    assert (ended.code, "budget was 1.0, now 2.0" in ended.err) == (1, True), ended.err


def test_wrong_calls_are_one_line_with_the_way_out(places: tuple[str, ...], tmp_path: Path, oldphoto) -> None:
    for extra, code, words in (
        (("--budget", "soon"), 2, "write it as 90s, 60m or 2h"),
        (("--rows", "best"), 2, "no row is called 'best'"),
        (("--recipe", "best"), 2, "published"),
        (("--crop", "33"), 2, "multiple of"),
        (("--old", str(tmp_path / "none")), 1, "none"),
    ):
        ended = oldphoto("paper-table", *places, *extra)
        assert (ended.code, words in ended.err) == (code, True), (extra, ended)
        assert not (tmp_path / "out/plan.json").exists()
