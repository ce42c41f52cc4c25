"""Dask clusters: what listens where, workers that are killed, schedulers that run elsewhere."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from fakes import encoded, picture
from places import python_path
from waiting import wait_until

from oldphoto_core.clusters import dask_client
from oldphoto_core.degradation.synthesis import SynthesisConfig, plan_shards, synthesize_shards
from oldphoto_core.errors import ClusterAway, UsageError
from oldphoto_core.inventory import take_stock
from oldphoto_core.storage import Bucket


def collection(folder: Path, count: int) -> Bucket:
    source = Bucket(folder)
    for number in range(count):
        source.write(f"{number:03}.png", encoded(picture(seed=number), ".png"))
    source.write("notes.txt", b"found in the attic")
    return source


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.is_running()]


def dask_workers() -> list[psutil.Process]:
    """Processes that a nanny of this process has started."""
    found = []
    for child in children():
        with suppress(psutil.NoSuchProcess):
            if "multiprocessing.spawn" in " ".join(child.cmdline()):
                found.append(child)
    return found


def listening() -> set[str]:
    """Addresses on which this process and its children listen."""
    found = set()
    for process in (psutil.Process(), *children()):
        with suppress(psutil.NoSuchProcess):  # it was killed just now
            found |= {each.laddr.ip for each in process.net_connections() if each.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.long
def test_a_cluster_listens_on_loopback_and_its_killed_worker_costs_nothing(tmp_path: Path) -> None:
    source, seen, links, killed = collection(tmp_path / "scans", 60), set(), [], []

    def on_row(row: Any) -> None:
        seen.update(listening())
        for worker in dask_workers()[: len(killed) < 2]:
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)

    out = str(tmp_path / "inventory.parquet")
    report = take_stock(source, out, on_row=on_row, on_link=links.append)
    assert (report.found, report.examined, report.others, report.failed) == (61, 60, 1, 0)
    assert seen == {"127.0.0.1"}
    assert killed
    assert links[0].startswith("http://127.0.0.1:")
    table = pd.read_parquet(out)
    assert list(table["sha256"]) == [source.sha256(info.key) for info in source.list()]
    assert not dask_workers()
    source.write("000.png", encoded(picture(seed=77), ".png"))
    again = take_stock(source, out)
    assert (again.found, again.kept, again.examined) == (61, 60, 60)


@pytest.mark.long
def test_shards_of_a_killed_worker_are_made_all_the_same(tmp_path: Path) -> None:
    clean = collection(tmp_path / "clean", 6)
    shards = plan_shards(clean, SynthesisConfig(count=24, crop=32, pairs_per_shard=2))
    killed: list[int] = []

    def on_shard(sidecar: dict[str, Any]) -> None:
        for worker in dask_workers()[: not killed]:
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)

    disturbed, quiet = Bucket(tmp_path / "disturbed"), Bucket(tmp_path / "quiet")
    assert synthesize_shards(shards, clean, disturbed, on_shard)["pairs"] == 24
    synthesize_shards(shards, clean, quiet, lambda sidecar: None)
    assert killed
    assert {o.key: disturbed.read(o.key) for o in disturbed.list()} == {o.key: quiet.read(o.key) for o in quiet.list()}


@pytest.fixture
def cluster_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A scheduler and a worker in processes of their own, which take work from nobody without a certificate."""
    from distributed.security import Security

    made = Security.temporary()
    for name, content in (("ca", made.tls_ca_file), ("key", made.tls_client_key), ("cert", made.tls_client_cert)):
        (tmp_path / name).write_text(content)
    for role in ("CLIENT", "SCHEDULER", "WORKER"):
        for name in ("key", "cert"):
            monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{role}__{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", str(tmp_path / "ca"))
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "tls://127.0.0.1:0"]
    command += ["--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file)]
    scheduler = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def is_listening() -> bool:
        assert scheduler.poll() is None
        return file.exists() and '"address": "tls:' in file.read_text()

    wait_until(is_listening, "the scheduler")
    address = file.read_text().split('"address": "')[1].split('"')[0]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--host", "tls://127.0.0.1"]
    command += ["--nthreads", "1", "--dashboard-address", "127.0.0.1:0", "--no-nanny"]
    environment = {**os.environ, "PYTHONPATH": python_path()}
    worker = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    yield address
    for process in (worker, scheduler):
        process.kill()
        process.wait()


def test_a_cluster_elsewhere_is_used_with_its_certificates_and_refuses_others(
    cluster_elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask

    source = collection(tmp_path / "scans", 3)
    tls = {f"distributed.comm.tls.client.{name}": str(tmp_path / name) for name in ("key", "cert")}
    # what a command has from its environment
    with dask.config.set({**tls, "distributed.comm.tls.ca-file": str(tmp_path / "ca")}):
        assert listening() == {"127.0.0.1"}
        report = take_stock(source, str(tmp_path / "inventory.csv"), dask=cluster_elsewhere)
    assert report.examined == 3
    assert pd.read_csv(tmp_path / "inventory.csv").shape[0] == 4
    monkeypatch.setattr("oldphoto_core.clusters.SECONDS_TO_ANSWER", 2)
    for address in (cluster_elsewhere, cluster_elsewhere.replace("tls://", "tcp://")):
        with pytest.raises(ClusterAway, match="certificates"), dask_client(address):
            pass


def test_what_is_no_scheduler_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oldphoto_core.clusters.SECONDS_TO_ANSWER", 1)
    for address in ("localhost:8786", "http://127.0.0.1:8786", "tcp://"):
        with pytest.raises(UsageError, match="tcp://host:8786"), dask_client(address):
            pass
    with pytest.raises(ClusterAway, match=r"127\.0\.0\.1:9"), dask_client("tcp://127.0.0.1:9"):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "Dask-Offload"]


def test_a_client_that_found_no_scheduler_is_closed_before_another_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client

    monkeypatch.setattr("oldphoto_core.clusters.SECONDS_TO_ANSWER", 1)
    gc.collect()
    before = {id(thing) for thing in gc.get_objects() if isinstance(thing, Client)}
    with pytest.raises(ClusterAway) as found, dask_client("tcp://127.0.0.1:9"):
        pass
    # the error must not hold it: collected while the next one starts, it would wait for that one's lock, for ever
    assert found.value.__cause__ is None
    assert {id(thing) for thing in gc.get_objects() if isinstance(thing, Client)} <= before
