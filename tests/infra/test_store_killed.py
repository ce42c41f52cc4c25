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
from disturbances import TESTS, fingerprints, wait_until
from fakes import encoded, picture

from infra.fleet import Fleet
from oldphoto_core.custody import audit
from oldphoto_core.restoration import RestoreJob, close_run, open_run, restore_shard
from oldphoto_core.storage import Bucket

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("OLDPHOTO_SOAK", "1"))
SEED = int(os.environ.get("OLDPHOTO_KILL_SEED", str(time.time_ns() % 1_000_000)))
PHOTOS = 30


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
def durable_store(
    durable_store_tool: Path, tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DurableStore]:
    """Running, with a bucket; this process and those that it starts find it, and not the fleet's."""
    import boto3

    store = DurableStore(durable_store_tool, tmp_path / "store")
    for name, value in store.start().items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="museum")
    yield store
    store.stop()


def restore(fleet: Fleet, source: Bucket, target: Bucket, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(TESTS / "fakes.py"), "restore", source.url, target.url, "--model", "slow"]
    leads = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, env={**fleet.processes.environment, **leads})


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_store_may_be_killed_under_a_run(
    fleet: Fleet, durable_store: DurableStore, tmp_path: Path, round_: int
) -> None:
    dice = random.Random(SEED + round_)
    source, target = Bucket("s3://museum/old"), Bucket("s3://museum/new")
    for number in range(PHOTOS):
        source.write(f"{number:03}.png", encoded(picture(seed=number), ".png"))
    running = restore(fleet, source, target, tmp_path / "log")
    for photos in (3, 12):
        wait_until(lambda least=photos: len(list(target.list("photos"))) >= least, f"{photos} photos")  # type: ignore[misc]
        time.sleep(dice.uniform(0.0, 2.0))
        durable_store.kill()
        time.sleep(dice.uniform(0.0, 2.0))
        durable_store.start()
    running.wait(600)
    assert restore(fleet, source, target, tmp_path / "log").wait(600) == 0, (tmp_path / "log").read_text()
    runs = sorted(target.folders("runs"))
    last = json.loads(target.read(f"runs/{runs[-1]}/summary.json"))
    assert last["restored"] + last["skipped_reasons"].get("already restored", 0) == PHOTOS, (SEED, last)
    assert audit(target).findings == []
    run = open_run(RestoreJob(source=source.url, target=str(tmp_path / "alone"), model="slow"))
    restore_shard(run, 0, lambda _row: None)
    close_run(run)
    assert fingerprints(target) == fingerprints(Bucket(tmp_path / "alone"))
