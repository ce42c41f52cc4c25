"""Finishing the books of runs that were killed, so that the ledgers tell the whole truth about a target.

A killed run leaves derivatives whose rows it had no time to write. Their records were written just before them: where
record and derivative agree, the photo was restored, and its row is made up for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import OldPhotoError
from oldphoto_core.reports.record import decode_record
from oldphoto_core.reports.summary import RunFacts, Summary, encode, reconcile, summarise
from oldphoto_core.restoration import handout
from oldphoto_core.restoration.colour_facts import columns
from oldphoto_core.restoration.gauges import clear_gauges, merge_gauges, metrics_of
from oldphoto_core.restoration.rows import rows_by_key
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, merge_ledger, read_ledger, read_manifest
from oldphoto_core.storage.ledger import FACTS_KEY, ROLLBACK_KEY, SUMMARY_KEY
from oldphoto_core.storage.manifest import MANIFEST_KEY
from oldphoto_core.storage.parallel import SMALL_THREADS, map_objects

if TYPE_CHECKING:
    import pandas as pd

FACTS, SUMMARY = FACTS_KEY, SUMMARY_KEY
KILLED = "the run was killed; a later one finished its books"
MANY = 100_000
"""Rows of a part that is written when a run's books are closed."""


def settle_killed_runs(
    target: Bucket,
    end_strays: Callable[[list[str]], None] = lambda _run_ids: None,
    check: Callable[[], None] = lambda: None,
) -> list[str]:
    """Give every run without a summary its missing rows and its summary; returns their ids.

    `end_strays` hears first of those whose shards other processes may still be at. `check` as in `settle`. A shard
    that somebody still restores loses nothing: its own rows are later and count.
    """
    dead = [run_id for run_id in target.folders("runs") if _is_open(target.join("runs", run_id))]
    if handed_out := [run_id for run_id in dead if handout.is_handed_out(target.join("runs", run_id))]:
        end_strays(handed_out)
    return [run_id for run_id in dead if settle_killed_run(target, run_id, check)]


def settle_killed_run(target: Bucket, run_id: str, check: Callable[[], None] = lambda: None) -> bool:
    """The same for one run; False when its books are closed, or were never opened."""
    run = target.join("runs", run_id)
    if not _is_open(run):
        return False
    settle(target, run, json.loads(run.read(FACTS)), KILLED, check)
    return True


def lost_rows(target: Bucket) -> list[LedgerRow]:
    """The rows that `settle_killed_runs` would make up for; nothing is written."""
    runs = ((run_id, target.join("runs", run_id)) for run_id in target.folders("runs"))
    return [
        row
        for run_id, run in runs
        if _is_open(run)
        for row in _lost_rows(target, read_manifest(run), set(read_ledger(run)["key"]), run_id)
    ]


def _is_open(run: Bucket) -> bool:
    wanted = run.info(FACTS) is not None and run.info(MANIFEST_KEY) is not None
    return wanted and run.info(SUMMARY) is None and run.info(ROLLBACK_KEY) is None


def settle(
    target: Bucket, run: Bucket, facts: RunFacts, stopped: str = "", check: Callable[[], None] = lambda: None
) -> Summary:
    """Hold a run's ledger against its manifest and the bucket, then write ledger.parquet and summary.json.

    `check` is called before each write; what it raises (Occupied) ends it.
    """
    check()
    if stopped:
        handout.withdraw(run)
    ledger, manifest = merge_ledger(run), read_manifest(run)
    rows = rows_by_key(ledger)
    # whoever is told to stop does so at once: what it left has no rows, and much of it may have records of other runs
    lost = _lost_rows(target, manifest, rows, facts["run_id"]) if stopped in ("", KILLED) else []
    rows |= {row.key: row for row in lost}
    corrections = reconcile(manifest, rows, _delivered(target, rows.values()), stopped)
    if lost or corrections:
        with LedgerWriter(run, "reconciled", every_rows=MANY, check=check) as writer:
            for row in (*lost, *corrections):
                writer.add(row)
        rows = rows_by_key(merge_ledger(run))
    summary = summarise(facts, list(rows.values()), datetime.now(UTC), stopped)
    summary["metrics"] = metrics_of(merge_gauges(run), summary["seconds"], summary["restored"], summary["megapixels"])
    check()
    run.write(SUMMARY, encode(summary))
    handout.clear(run)
    clear_gauges(run)
    return summary


def _delivered(target: Bucket, rows: Iterable[LedgerRow]) -> set[str]:
    """Keys of the derivatives in the target. A listing may be behind: what it lacks is asked for by name."""
    listed = {item.key for item in target.list("photos")}
    missing = [row.output for row in rows if row.status == "restored" and row.output not in listed]
    there = map_objects(lambda key: target.info(key) is not None, missing, SMALL_THREADS)
    return listed.union(key for key, found in zip(missing, there, strict=True) if found)


def _lost_rows(target: Bucket, manifest: pd.DataFrame, known: Container[str], run_id: str) -> list[LedgerRow]:
    """Of photos that this run restored by what their records say, and that no row tells of."""
    unknown = [key for key in manifest["key"] if key not in known]
    if not unknown:
        return []
    recorded = {item.key for item in target.list("records")}
    lost = [key for key in unknown if f"records/{key}.json" in recorded]
    return rows_of_records(target, lost, run_id)


def rows_of_records(target: Bucket, keys: Iterable[str], run_id: str) -> list[LedgerRow]:
    """The rows of those keys that this run restored by what their records say, and whose derivatives are intact."""
    rows = map_objects(lambda key: _row_of_record(target, key, run_id), keys, SMALL_THREADS)
    return [row for row in rows if row is not None]


def _row_of_record(target: Bucket, key: str, run_id: str) -> LedgerRow | None:
    """The row that this run would have written about the key, if it did restore it."""
    try:
        record = decode_record(target.read(f"records/{key}.json"))
        if record is None or record["run_id"] != run_id or record["status"] != "restored":
            return None
        found = target.sha256(record["derivative"]["key"])
    except OldPhotoError:
        return None
    return _as_row(key, record) if found == record["derivative"]["sha256"] else None


def _as_row(key: str, record: dict[str, Any]) -> LedgerRow:
    shape = record["derivative"]
    mask = record["mask"] or {}
    # older records know no stages
    detected = record.get("stage_seconds", {}).get("detect") if mask.get("detector") else None
    known = {"mask_coverage": mask.get("coverage"), "doubt": mask.get("doubt"), "detect_seconds": detected}
    return LedgerRow(
        key=key,
        version=record["source"]["version"],
        status="restored",
        detail="taken from its record: the run was killed before it wrote this row",
        seconds=record["seconds"],
        megapixels=round(sum(one["width"] * one["height"] for one in _restored(record)) / 1e6, 6),
        changed_share=record["changed_share"],
        **_colours(record),
        output=shape["key"],
        output_sha256=shape["sha256"],
        model=record["model"]["digest"],
        options=record["options"]["digest"],
        finished_at=datetime.fromisoformat(record["time"]).timestamp(),
        **{name: value for name, value in known.items() if value is not None},
    )


def _colours(record: dict[str, Any]) -> dict[str, Any]:
    """Columns about colour and tone; older records know nothing of them."""
    parts = [page for page in record.get("pages", [record]) if page["status"] == "restored"]
    return columns([part.get("colour") for part in parts], [part.get("tone") for part in parts])


def _restored(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Facts of the pictures that were restored."""
    if "pages" not in record:
        return [record["derivative"]]
    return [page["derivative"] for page in record["pages"] if page["status"] == "restored"]
