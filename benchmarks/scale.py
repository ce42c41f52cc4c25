"""A million photos: inventory and plan, a rerun with nothing to do, and what the ledger costs a photo.

    python benchmarks/scale.py [--keys 1000 10000 100000 1000000] [--steps first rows again]

Source and target are listings that are generated while they are read, as pages of a store; the target's runs/ is a
real folder. Each line is a process of its own: seconds on the clock and of CPU, peak resident memory.

    first   `open_run` of a new target: everything is found, planned and cut into shards; manifest written
    rows    every photo's row put into the ledger, in parts of 200 as shards do; then the run closed: merged, held to
            manifest and bucket, summarised (no report)
    again   `open_run` and the closing of a run that finds everything done by an earlier one
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oldphoto_core.reports.summary import Summary
from oldphoto_core.restoration import RestoreJob, close_run, job_of, open_run, register_restorer
from oldphoto_core.runs.run import Run
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, ObjectInfo, bucket
from oldphoto_core.storage.ledger import as_frame
from oldphoto_core.storage.local.store import LocalStore
from oldphoto_core.storage.tables import write_table

STEPS = ("first", "rows", "again")
SHARD = 200


class StubRestorer:
    """Never asked to restore anything."""

    name, digest, device, max_megapixels = "stub", "5" * 64, "cpu", 1000.0


class GeneratedSource:
    """A store whose listing is made while it is read."""

    def __init__(self, keys: int) -> None:
        self.keys = keys

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Everything."""
        return (ObjectInfo(key_of(number), size_of(number), version_of(number)) for number in range(self.keys))


class GeneratedTarget(LocalStore):
    """A folder that seems to hold a derivative and a record of every key, once `full`."""

    def __init__(self, root: Path, keys: int) -> None:
        super().__init__(root)
        self.keys = keys

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """What is generated of photos/ and records/; the folder's own otherwise."""
        if prefix == "photos":
            return (ObjectInfo(f"photos/{key_of(number)}", 1, "v") for number in range(self.keys))
        if prefix == "records":
            return (ObjectInfo(f"records/{key_of(number)}.json", 1, "v") for number in range(self.keys))
        return super().list(prefix)


def main() -> None:
    """Measure and print, or be one of the processes that are measured."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--keys", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    arguments.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    arguments.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.step:
        print(measured(chosen.step, chosen.keys[0], chosen.folder))
        return
    print("| keys | step | seconds | CPU s | CPU ms a photo | peak (MiB) | what |\n|---|---|---|---|---|---|---|")
    for keys in chosen.keys:
        for step in chosen.steps:
            with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as folder:
                command = [sys.executable, __file__, "--step", step, "--folder", folder, "--keys", str(keys)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                print(done.stdout.strip().splitlines()[-1], flush=True)


def measured(step: str, keys: int, folder: Path) -> str:
    """One line of the table."""
    stand_in(keys, folder)
    register_restorer("stub", lambda device: StubRestorer())  # type: ignore[arg-type, return-value]
    job = job_of(source="memory://source", target=str(folder), model="stub", report=False)
    if step == "again":
        earlier_run(job, keys)
    before = baseline()
    clock, cpu = time.perf_counter(), time.process_time()
    what = {"first": first, "rows": rows, "again": again}[step](job, keys)
    wall, cpu = time.perf_counter() - clock, time.process_time() - cpu
    return (
        f"| {keys:,} | {step} | {wall:.1f} | {cpu:.1f} | {1000 * cpu / keys:.3f} | {peak_mib():,.0f} |"
        f" {what} ({before:.0f} MiB before) |"
    )


def first(job: RestoreJob, keys: int) -> str:
    """Of a new target."""
    run = open_run(job)
    return f"{run.planned:,} photos in {len(run.shards):,} shards"


def rows(job: RestoreJob, keys: int) -> str:
    """Written and closed."""
    run = open_run(job)
    clock, cpu = time.perf_counter(), time.process_time()
    for number, shard in enumerate(run.shards):
        with LedgerWriter(run.bucket, f"shard-{number:05d}") as ledger:
            for photo in shard:
                ledger.add(row_of(photo.key, photo.version, job))
    written, cpu_written = time.perf_counter() - clock, time.process_time() - cpu
    summary = close(job, run, keys)
    whole = time.perf_counter() - clock
    assert summary["restored"] == keys
    return (
        f"rows {written:.1f} s ({1000 * cpu_written / keys:.3f} CPU ms a photo), closing {whole - written:.1f} s"
        f" ({1000 * (time.process_time() - cpu - cpu_written) / keys:.3f})"
    )


def again(job: RestoreJob, keys: int) -> str:
    """Nothing to do."""
    stand_in(keys, Path(job.target), full=True)
    run = open_run(job)
    assert run.planned == 0
    summary = close(job, run, keys)
    return f"{summary['skipped']:,} skipped"


def earlier_run(job: RestoreJob, keys: int) -> None:
    """A ledger in which everything is restored, made in a process whose memory is not measured."""
    if os.fork() == 0:
        names = [key_of(number) for number in range(keys)]
        frame = as_frame([row_of("", "", job)]).loc[[0] * keys].reset_index(drop=True)
        frame["key"], frame["output"] = names, [f"photos/{name}" for name in names]
        frame["version"] = [version_of(number) for number in range(keys)]
        frame["output_sha256"] = [version_of(number) * 2 for number in range(keys)]
        write_table(Bucket(job.target).join("runs", "20260101-000000-0000"), "ledger.parquet", frame)
        os._exit(0)
    assert os.wait()[1] == 0


def close(job: RestoreJob, run: Run, keys: int) -> Summary:
    """With everything in place."""
    stand_in(keys, Path(job.target), full=True)
    return close_run(run)


def row_of(key: str, version: str, job: RestoreJob) -> LedgerRow:
    """As a restoration would write it."""
    return LedgerRow(
        key=key, version=version, status="restored", seconds=1.5, megapixels=4.0, mask_coverage=0.01, changed_share=0.9,
        output=f"photos/{key}", output_sha256="a" * 64, model=StubRestorer.digest, options=job.options.digest("", ""),
    )  # fmt: skip


def stand_in(keys: int, folder: Path, *, full: bool = False) -> None:
    """Let the generated stores be opened for the two places; runs/ keeps to its folder."""

    def opened(scheme: str, root: str) -> Any:
        if scheme == "memory":
            return GeneratedSource(keys)
        return GeneratedTarget(Path(root), keys if full else 0) if Path(root) == folder else LocalStore(Path(root))

    bucket._open = opened


def key_of(number: int) -> str:
    """1,000 boxes of 1,000 scans."""
    return f"box-{number // 1000:04d}/scan-{number:07d}.tif"


def size_of(number: int) -> int:
    """From 1 to 30 MB."""
    return 1_000_000 + number * 7919 % 29_000_000


def version_of(number: int) -> str:
    """As long as an ETag."""
    return f"{number * 2654435761 % 2**128:032x}"


def baseline() -> float:
    """MiB with everything imported."""
    import pandas as pd
    import pyarrow.parquet  # noqa: F401

    pd.DataFrame({"a": ["b"]})
    return peak_mib()


def peak_mib() -> float:
    """Of this process: its own high-water mark, which resource.getrusage would inherit from its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.path.insert(0, os.fspath(Path(__file__).parent))
    main()
