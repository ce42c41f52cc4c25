"""A process that is stopped for longer than its lease holds, and replaced: when it goes on, it writes nothing more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from fakes import fill, register
from places import python_path
from waiting import wait_until

from oldphoto_core.custody import audit
from oldphoto_core.restoration import RestoreJob, close_run, job_of, open_run, restore_shard
from oldphoto_core.runs.run import store_shards
from oldphoto_core.runs.run_lock import sole_coordinator
from oldphoto_core.runs.shard import restore_stored_shard
from oldphoto_core.storage import Bucket, read_ledger

register()
PHOTOS, BEFORE = 8, 2
STOPPING = f"""
import os, signal, sys
from pathlib import Path
from fakes import InvertingRestorer
from waiting import wait_until
from oldphoto_core.restoration import job_of, register_restorer
from oldphoto_core.runs import shard_store
from oldphoto_core.runs.run_lock import sole_coordinator
from oldphoto_core.runs.run import close_run, open_run, restore_shard
from oldphoto_core.runs.shard import restore_stored_shard

old, new, run_id = sys.argv[1:]
shard_store.LEASE_SECONDS = 3

class StoppingRestorer(InvertingRestorer):
    def restore(self, pixels, mask=None):
        if len(self.masks) == {BEFORE}:
            photos = Path(new, "photos")
            wait_until(lambda: len([p for p in photos.glob("0*.png")]) == {BEFORE}, "what was restored before")
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().restore(pixels, mask)

stopping = StoppingRestorer()
register_restorer("invert", lambda device: stopping)

def coordinate():
    with sole_coordinator(new, seconds=3) as check:
        run = open_run(job_of(source=old, target=new, model="invert", report=False),
                       check=check)
        try:
            restore_shard(run, 0)
        finally:
            close_run(run, "interrupted")

restore_stored_shard(new, run_id, 0) if run_id else coordinate()
"""


@contextmanager
def stopped(old: Path, new: Path, run_id: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process that restores two photos, is stopped in the middle of the third, and goes on afterwards."""
    environment = {**os.environ, "PYTHONPATH": python_path()}
    command = [sys.executable, "-c", STOPPING, str(old), str(new), run_id]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: has_stopped(process), "the process that stops itself")
            yield process
        finally:
            process.kill()


def has_stopped(process: subprocess.Popen[str]) -> bool:
    assert process.poll() is None, process.communicate()[1]
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


def go_on(process: subprocess.Popen[str]) -> str:
    """What it says until it ends."""
    process.send_signal(signal.SIGCONT)
    said = process.communicate(timeout=900)[1]
    assert process.returncode != 0
    return said


def everything(target: Path) -> dict[str, int]:
    """When each file was written; the entries of leases aside, which come and go."""
    files = (path for path in target.rglob("*") if path.is_file() and path.parent.name != "lease")
    return {str(path.relative_to(target)): path.stat().st_mtime_ns for path in files}


@pytest.fixture
def job(tmp_path: Path) -> RestoreJob:
    fill(tmp_path / "old", [f"{n:02}.png" for n in range(PHOTOS)])
    plain = {"source": str(tmp_path / "old"), "target": str(tmp_path / "new"), "model": "invert"}
    return job_of(**plain, report=False)


def test_a_coordinator_that_was_replaced_writes_no_photo_no_ledger_and_no_summary(job: RestoreJob) -> None:
    new, said = Path(job.target), list[str]()
    with stopped(Path(job.source), new) as process:
        with sole_coordinator(job.target, said.append, seconds=3) as check:
            run = open_run(job, check=check)
            restore_shard(run, 0)
            assert close_run(run)["restored"] == PHOTOS - BEFORE
        before = everything(new)
        assert "was lost: another process took it over" in go_on(process)
    assert everything(new) == before
    assert f"is held by process {process.pid} on" in said[0]
    assert [len(read_ledger(Bucket(new).join("runs", run_id))) for run_id in Bucket(new).folders("runs")] == [
        PHOTOS
    ] * 2
    assert audit(Bucket(new)).findings == []


def test_a_process_at_a_shard_that_was_replaced_writes_no_photo_and_no_row(
    job: RestoreJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oldphoto_core.runs.shard_store.LEASE_SECONDS", 3)
    run = open_run(job)
    store_shards(run)
    with stopped(Path(job.source), Path(job.target), run.run_id) as process:
        restore_stored_shard(job.target, run.run_id, 0, 2)
        before = everything(Path(job.target))
        assert "was lost: another process took it over" in go_on(process)
    assert everything(Path(job.target)) == before
    assert close_run(run)["restored"] == PHOTOS
    assert audit(Bucket(job.target)).findings == []


@pytest.mark.long
def test_a_coordinator_that_was_stopped_and_not_replaced_goes_on(job: RestoreJob) -> None:
    with stopped(Path(job.source), Path(job.target)) as process:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=900)
        assert process.returncode == 0
    (run_id,) = Bucket(job.target).folders("runs")
    assert len(read_ledger(Bucket(job.target).join("runs", run_id))) == PHOTOS
