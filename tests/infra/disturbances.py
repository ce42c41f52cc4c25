"""Runs on a fleet that somebody disturbs, and what must be true of them all the same."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from fakes import encoded, picture
from fingerprints import fingerprints
from places import SUPPORT
from waiting import wait_until

from infra.fleet import Fleet
from oldphoto_core.custody import audit
from oldphoto_core.restoration import close_run, job_of, open_run, restore_shard
from oldphoto_core.storage import Bucket, read_ledger


class Collection:
    """A source in the fleet's store with a target of its own."""

    def __init__(self, fleet: Fleet, name: str, photos: int, **widths: int) -> None:
        """`widths`: those of photos, by their key's number with a `p` ahead, which some restorers do not take well."""
        self.fleet, self.photos = fleet, photos
        self.source, self.target = Bucket(f"s3://archive/{name}"), Bucket(f"s3://access/{name}")
        for number in range(photos):
            look = {"width": widths[f"p{number}"]} if f"p{number}" in widths else {}
            self.source.write(f"{number:03}.png", encoded(picture(seed=number, **look), ".png"))

    def start(self, *options: str, model: str = "slow", log: str = "restore") -> subprocess.Popen[bytes]:
        """`oldphoto restore`, in a process of its own."""
        command = [sys.executable, str(SUPPORT / "fakes.py"), "restore", self.source.url, self.target.url]
        self.log = self.fleet.processes.logs / f"{log}.log"
        with self.log.open("ab") as out:
            self.running = subprocess.Popen(
                [*command, "--model", model, *options],
                stdout=out,
                stderr=out,
                env=self.fleet.processes.environment,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
        return self.running

    def delivered(self) -> int:
        return len(list(self.target.list("photos")))

    def wait_for_photos(self, count: int) -> None:
        self._wait(lambda: self.delivered() >= count, f"{count} photos of {self.target}")

    def wait_for_runs(self, count: int) -> None:
        """So many have been planned; the last one is under way."""
        self._wait(lambda: len(list(self.target.folders("runs"))) >= count, f"run {count} of {self.target}")

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        def is_so_by_now() -> bool:
            assert self.running.poll() is None, self.log.read_text()
            return is_so()

        wait_until(is_so_by_now, what)

    def summaries(self) -> list[dict[str, Any]]:
        runs = sorted(self.target.folders("runs"))
        return [
            json.loads(self.target.read(f"runs/{run_id}/summary.json"))
            for run_id in runs
            if self.target.info(f"runs/{run_id}/summary.json")
        ]

    def check_books(self) -> dict[str, Any]:
        """Every run accounts for every photo, and what ledgers and records say lies in the bucket; the last summary."""
        for summary in self.summaries():
            assert summary["found"] == summary["restored"] + summary["skipped"] + summary["failed"] == self.photos
            ledger = read_ledger(self.target.join("runs", summary["run_id"]))
            assert len(ledger) == self.photos
        assert not [run for run in self.target.folders("runs") if list(self.target.list(f"runs/{run}/shards"))]
        report = audit(self.target)
        assert report.findings == []
        return self.summaries()[-1]

    def check_like_undisturbed(self, folder: Path, model: str = "slow") -> None:
        """The same photos, masks and records as one process makes that nobody disturbs, but for what names the run."""
        job = job_of(source=self.source.url, target=str(folder), model=model)
        run = open_run(job)
        for number in range(len(run.shards)):
            restore_shard(run, number)
        close_run(run)
        assert fingerprints(self.target) == fingerprints(Bucket(folder))


def shard_processes(fleet: Fleet, worker: str) -> list[psutil.Process]:
    """The processes of a worker that restore; they live in sessions of their own."""
    return children_running("infra.shard_process", fleet.processes.running[worker].pid)


def children_running(module: str, parent: int) -> list[psutil.Process]:
    """The children of a process that run this module. Those that end meanwhile, or have ended, are none of them."""
    running = []
    for child in psutil.Process(parent).children():
        with suppress(psutil.NoSuchProcess):  # which a zombie is, too
            if module in child.cmdline():
                running.append(child)
    return running


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def lose_machine(fleet: Fleet, worker: str) -> None:
    """The worker and all that it started, at once."""
    parent = psutil.Process(fleet.processes.running[worker].pid)
    kill([parent, *parent.children(recursive=True)])
    fleet.processes.stop(worker, signal.SIGKILL)
