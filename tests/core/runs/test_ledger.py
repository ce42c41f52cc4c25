"""The ledger: no row is lost, whatever is killed."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oldphoto_core.errors import StorageError
from oldphoto_core.storage import (
    LEDGER_COLUMNS,
    Bucket,
    LedgerRow,
    LedgerWriter,
    merge_ledger,
    previous_results,
    read_ledger,
)
from oldphoto_core.storage.tables import write_table


def row(key: str, status: str = "restored", **more: object) -> LedgerRow:
    why = {"restored": "", "skipped": "run stopped", "failed": "unreadable"}
    return LedgerRow(**{"key": key, "version": "v1", "status": status, "reason": why[status], **more})  # type: ignore[arg-type]


@pytest.fixture
def run(bucket_url: str) -> Bucket:
    return Bucket(bucket_url).join("runs", "run-1")


def test_a_row_comes_back_as_it_was_added(run: Bucket) -> None:
    added = row(
        "ü/a.jpg",
        seconds=1.5,
        detect_seconds=0.5,
        megapixels=12.0,
        mask_coverage=0.25,
        doubt=0.125,
        changed_share=0.5,
        colour="monochrome",
        colour_residual=0.3,
        chroma_residual=0.2,
        blotch=0.1,
        output_sha256="ab",
    )
    with LedgerWriter(run, "shard-0001") as writer:
        writer.add(added)
    (found,) = merge_ledger(run).to_dict("records")
    assert found == {name: getattr(added, name) for name in LEDGER_COLUMNS}


def test_what_nobody_measured_is_nan(run: Bucket) -> None:
    with LedgerWriter(run, "s") as writer:
        writer.add(row("a.jpg", "failed", reason="truncated", detail="cut"))
    ledger = merge_ledger(run)
    assert math.isnan(ledger["mask_coverage"][0])
    assert list(ledger.loc[0, ["status", "reason", "detail", "output"]]) == ["failed", "truncated", "cut", ""]


def test_parts_are_put_down_while_the_run_works(run: Bucket) -> None:
    writer = LedgerWriter(run, "s", every_rows=3)
    for number in range(7):
        writer.add(row(f"{number}.jpg"))
    assert len(read_ledger(run)) == 6
    writer.close()
    assert len(read_ledger(run)) == 7
    assert len(list(run.list("ledger"))) == 3


def test_time_puts_parts_down_too(run: Bucket) -> None:
    writer = LedgerWriter(run, "s", every_seconds=0.0)
    writer.add(row("a.jpg"))
    assert len(read_ledger(run)) == 1


def test_merging_leaves_one_row_per_key_the_latest(run: Bucket) -> None:
    with LedgerWriter(run, "b") as writer:
        writer.add(row("a.jpg", "restored", finished_at=20.0))
        writer.add(row("b.jpg", "restored", finished_at=5.0))
    with LedgerWriter(run, "a") as writer:
        writer.add(row("a.jpg", "failed", finished_at=10.0))
    ledger = merge_ledger(run)
    assert list(ledger["key"]) == ["a.jpg", "b.jpg"]
    assert list(ledger["status"]) == ["restored", "restored"]
    assert [info.key for info in run.list()] == ["ledger.parquet"]


def test_merging_again_adds_what_came_later(run: Bucket) -> None:
    for key in ("a.jpg", "b.jpg"):
        with LedgerWriter(run, "s") as writer:
            writer.add(row(key))
        merge_ledger(run)
    assert list(merge_ledger(run)["key"]) == ["a.jpg", "b.jpg"]


def test_writers_of_one_name_do_not_overwrite_each_other(run: Bucket) -> None:
    writers = [LedgerWriter(run, "shard-1") for _ in range(2)]
    for number, writer in enumerate(writers):
        writer.add(row(f"{number}.jpg"))
        writer.close()
    assert len(read_ledger(run)) == 2


def test_a_run_without_rows_has_an_empty_ledger(run: Bucket) -> None:
    ledger = merge_ledger(run)
    assert list(ledger.columns) == list(LEDGER_COLUMNS)
    assert len(ledger) == 0
    assert len(read_ledger(run)) == 0


def test_threads_add_to_one_writer(run: Bucket) -> None:
    with LedgerWriter(run, "s", every_rows=10) as writer, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: writer.add(row(f"{number}.jpg")), range(200)))
    assert len(merge_ledger(run)) == 200


def test_a_part_that_could_not_be_written_keeps_its_rows(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"a file in the way")
    writer = LedgerWriter(Bucket(tmp_path / "run"), "s", every_rows=1)
    with pytest.raises(StorageError):
        writer.add(row("a.jpg"))
    os.remove(tmp_path / "run")
    writer.close()
    assert list(read_ledger(Bucket(tmp_path / "run"))["key"]) == ["a.jpg"]


def test_previous_results_are_the_latest_restorations_over_all_runs(bucket_url: str) -> None:
    target = Bucket(bucket_url)
    for run_id, status, at in (("r1", "restored", 1.0), ("r2", "restored", 2.0), ("r3", "failed", 3.0)):
        with LedgerWriter(target.join("runs", run_id), "s") as writer:
            writer.add(row("a.jpg", status, finished_at=at, model=run_id))
            writer.add(row(f"only-{run_id}.jpg", status, finished_at=at))
        if run_id != "r2":  # r2 was killed before it merged
            merge_ledger(target.join("runs", run_id))
    previous = previous_results(target)
    assert dict(zip(previous["key"], previous["run_id"], strict=True)) == {
        "a.jpg": "r2",
        "only-r1.jpg": "r1",
        "only-r2.jpg": "r2",
    }


def test_ledgers_of_runs_that_restored_nothing_are_not_read(tmp_path: Path) -> None:
    target = Bucket(tmp_path)
    for run_id, restored in (("r1", 1), ("r2", 0)):
        run = target.join("runs", run_id)
        with LedgerWriter(run, "s") as writer:
            writer.add(row("a.jpg", "restored" if restored else "skipped"))
        merge_ledger(run)
        run.write("summary.json", b'{"restored": %d}' % restored)
    target.write("runs/r2/ledger.parquet", b"whoever reads this fails")
    assert list(previous_results(target)["run_id"]) == ["r1"]
    target.write("runs/r2/summary.json", b"{}")
    with pytest.raises(StorageError, match="is not a table"):
        previous_results(target)


def test_a_new_target_has_no_previous_results(bucket_url: str) -> None:
    previous = previous_results(Bucket(bucket_url))
    assert len(previous) == 0
    assert list(previous.columns) == [*LEDGER_COLUMNS, "run_id"]


def test_ledgers_of_older_versions_are_read(run: Bucket) -> None:
    write_table(run, "ledger.parquet", pd.DataFrame({"key": ["a.jpg"], "status": ["restored"], "dropped": [1]}))
    (found,) = read_ledger(run).to_dict("records")
    assert found["key"] == "a.jpg"
    assert found["options"] == ""


def test_a_hundred_thousand_rows_are_merged(tmp_path: Path) -> None:
    run = Bucket(tmp_path / "runs" / "big")
    many = pd.DataFrame({"key": [f"{n % 90_000:06d}.jpg" for n in range(100_000)], "status": "restored"})
    write_table(run, "ledger/s-000000.parquet", many.assign(finished_at=np.arange(100_000.0)))
    assert len(merge_ledger(run)) == 90_000
    assert len(previous_results(Bucket(tmp_path))) == 90_000


def test_details_of_broken_names_do_not_break_the_ledger(run: Bucket) -> None:
    with LedgerWriter(run, "s") as writer:
        writer.add(row("a.jpg", "failed", detail="name \udcff"))
    assert merge_ledger(run)["detail"][0] == "name \\udcff"


KILLED = """
import os, signal, sys
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter
writer = LedgerWriter(Bucket(sys.argv[1]).join("runs", "killed"), "s", every_rows=10)
for number in range(25):
    writer.add(LedgerRow(key=f"{number:02d}.jpg", version="v", status="restored"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_leaves_its_parts_to_the_next(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)]).returncode == -signal.SIGKILL
    assert len(previous_results(Bucket(tmp_path))) == 20
