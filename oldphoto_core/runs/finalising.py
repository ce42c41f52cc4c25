"""Finalising a run: its ledger held against manifest and bucket, then ledger.parquet and summary.json written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from oldphoto_core.reports.summary import RunFacts, Summary, encode, reconcile, summarise
from oldphoto_core.runs import shard_store
from oldphoto_core.runs.ledger_rows import rows_by_key
from oldphoto_core.runs.missing_rows import missing_rows
from oldphoto_core.runs.run_metrics import clear_telemetry, merge_telemetry, metrics_of
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, merge_ledger, read_manifest
from oldphoto_core.storage.ledger import SUMMARY_KEY
from oldphoto_core.storage.parallel import SMALL_THREADS, map_objects

KILLED = "the run was killed; a later one finalised it"
MANY = 100_000
"""Rows of a part that is written when a run is finalised."""


def settle(
    target: Bucket, run: Bucket, facts: RunFacts, stopped: str = "", check: Callable[[], None] = lambda: None
) -> Summary:
    """Hold a run's ledger against its manifest and the bucket, then write ledger.parquet and summary.json.

    `check` is called before each write; what it raises (Occupied) ends it.
    """
    check()
    if stopped:
        shard_store.withdraw(run)
    ledger, manifest = merge_ledger(run), read_manifest(run)
    rows = rows_by_key(ledger)
    # whoever is told to stop does so at once: what it left has no rows, and much of it may have records of other runs
    lost = missing_rows(target, manifest, rows, facts["run_id"]) if stopped in ("", KILLED) else []
    rows |= {row.key: row for row in lost}
    corrections = reconcile(manifest, rows, _delivered(target, rows.values()), stopped)
    if lost or corrections:
        with LedgerWriter(run, "reconciled", every_rows=MANY, check=check) as writer:
            for row in (*lost, *corrections):
                writer.add(row)
        rows = rows_by_key(merge_ledger(run))
    summary = summarise(facts, list(rows.values()), datetime.now(UTC), stopped)
    measured = merge_telemetry(run)
    summary["metrics"] = metrics_of(measured, summary["seconds"], summary["restored"], summary["megapixels"])
    check()
    run.write(SUMMARY_KEY, encode(summary))
    shard_store.clear(run)
    clear_telemetry(run)
    return summary


def _delivered(target: Bucket, rows: Iterable[LedgerRow]) -> set[str]:
    """Keys of the derivatives in the target. A listing may be behind: what it lacks is asked for by name."""
    listed = {item.key for item in target.list("photos")}
    missing = [row.output for row in rows if row.status == "restored" and row.output not in listed]
    there = map_objects(lambda key: target.info(key) is not None, missing, SMALL_THREADS)
    return listed.union(key for key, found in zip(missing, there, strict=True) if found)
