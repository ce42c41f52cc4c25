"""A store that is killed under a run, and comes back with what it had acknowledged."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fingerprints import fingerprints
from places import python_path
from runs import put
from runs import restore as restore_here
from waiting import wait_until

from oldphoto_core.custody import audit
from oldphoto_core.storage import Bucket

pytestmark = pytest.mark.long

ROUNDS = int(os.environ.get("OLDPHOTO_SOAK", "1"))
SEED = int(os.environ.get("OLDPHOTO_KILL_SEED", str(time.time_ns() % 1_000_000)))
PHOTOS = 30
RUN = "import sys; from runs import *; restore(Bucket(sys.argv[1]), Bucket(sys.argv[2]), model='slow')"


class DurableStore:
    """OpenStack Swift behind its S3 interface, in processes of its own."""

    def __init__(self, script: Path, folder: Path) -> None:
        self._script, self._folder = script, folder

    def start(self) -> dict[str, str]:
        """What leads to it, as environment variables."""
        lines = self._run("start").stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if line.startswith("AWS_"))

    def kill(self) -> None:
        self._run("kill")

    def stop(self) -> None:
        self._run("stop")

    def _run(self, what: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self._script), what, str(self._folder)], check=True, stdout=subprocess.PIPE, text=True
        )


@pytest.fixture
def durable_store(durable_store_tool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DurableStore]:
    """Running, with a bucket; this process and those that it starts find it, and not the fleet's."""
    import boto3

    store = DurableStore(durable_store_tool, tmp_path / "store")
    for name, value in store.start().items():
        monkeypatch.setenv(name, value)
    # a session of its own: the default one keeps the credentials with which another test first asked for it
    boto3.session.Session().client("s3").create_bucket(Bucket="museum")
    yield store
    store.stop()


def restore(source: Bucket, target: Bucket, log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": python_path()}
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-c", RUN, source.url, target.url], stdout=out, stderr=out, env=environment
        )


def wait_for_photos(target: Bucket, count: int, running: subprocess.Popen[bytes], log: Path) -> None:
    def are_there() -> bool:
        there = len(list(target.list("photos"))) >= count
        assert there or running.poll() is None, log.read_text()
        return there

    wait_until(are_there, f"{count} photos", every=0.2)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_store_may_be_killed_under_a_run(durable_store: DurableStore, tmp_path: Path, round_: int) -> None:
    dice, log = random.Random(SEED + round_), tmp_path / "log"
    source, target = Bucket("s3://museum/old"), Bucket("s3://museum/new")
    put(source, [f"{number:03}.png" for number in range(PHOTOS)])
    running = restore(source, target, log)
    for photos in (3, 14):
        wait_for_photos(target, photos + dice.randrange(9), running, log)  # at a moment of chance
        durable_store.kill()
        durable_store.start()
        if running.poll() is not None:
            running = restore(source, target, log)
    running.wait(600)
    assert restore(source, target, log).wait(600) == 0, log.read_text()
    runs = sorted(target.folders("runs"))
    last = json.loads(target.read(f"runs/{runs[-1]}/summary.json"))
    assert last["restored"] + last["skipped_reasons"].get("already restored", 0) == PHOTOS, (SEED, last)
    assert audit(target).findings == []
    restore_here(source, Bucket(tmp_path / "alone"), model="slow")
    assert fingerprints(target) == fingerprints(Bucket(tmp_path / "alone"))
