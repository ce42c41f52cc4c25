"""Runs in processes of their own that are killed, interrupted and continued."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import fill
from places import SUPPORT
from waiting import wait_until

FAKES = SUPPORT / "fakes.py"
PHOTOS = 24


def start(folder: Path, api: str, model: str = "slow") -> subprocess.Popen[str]:
    command = [sys.executable, str(FAKES), "restore", str(folder / "old"), str(folder / "new"), "--model", model]
    root = FAKES.parents[1]
    environment = {**os.environ, "PREFECT_API_URL": api, "PYTHONPATH": str(root), "DO_NOT_TRACK": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # a test run in the background ignores SIGINT, and its children would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for_photos(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    def are_there() -> bool:
        there = len(delivered(folder)) >= count
        assert there or process.poll() is None, process.communicate()[1]
        return there

    wait_until(are_there, f"{count} photos", every=0.02)


def delivered(folder: Path) -> dict[str, int]:
    photos = folder / "new/photos"
    return {p.name: p.stat().st_mtime_ns for p in photos.glob("*") if not p.name.startswith(".")}


def last_summary(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(sorted((folder / "new/runs").glob("*/summary.json"))[-1].read_text())
    assert summary["found"] == summary["restored"] + summary["skipped"] + summary["failed"] == PHOTOS
    return summary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "old", [f"{n:02}.png" for n in range(PHOTOS)])
    return tmp_path


def test_a_run_that_is_killed_is_completed_by_the_next(folder: Path, prefect_server: str, oldphoto) -> None:
    process = start(folder, prefect_server)
    wait_for_photos(folder, 5, process)
    process.kill()
    process.communicate()
    before = delivered(folder)
    assert 5 <= len(before) < PHOTOS
    again = oldphoto("restore", folder / "old", folder / "new", "--model", "slow")
    assert again.code == 0, again.err
    assert f"{PHOTOS - len(before)} restored, {len(before)} skipped" in again.out
    assert {name: delivered(folder)[name] for name in before} == before
    assert last_summary(folder)["restored"] == PHOTOS - len(before)
    # what it was writing when it was killed was swept by the second
    assert list((folder / "new").rglob(".oldphoto-tmp-*")) == []


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_a_run_that_is_told_to_stop_leaves_a_correct_ledger(
    folder: Path, prefect_server: str, signal_name: str
) -> None:
    process = start(folder, prefect_server)
    wait_for_photos(folder, 5, process)
    process.send_signal(getattr(signal, signal_name))
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, 143, -15), err
    assert "Traceback" not in err
    summary = last_summary(folder)
    assert summary["restored"] == len(delivered(folder)) < PHOTOS
    assert summary["skipped_reasons"] == {"run stopped": PHOTOS - summary["restored"]}
