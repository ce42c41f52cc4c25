"""Finalising runs that were killed, so that the ledgers are complete.

A killed run leaves derivatives whose rows it had no time to write. Their records were written just before them: where
record and derivative agree, the photo was restored, and its row is made up for.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from oldphoto_core.runs import shard_store
from oldphoto_core.runs.finalising import KILLED, settle
from oldphoto_core.runs.missing_rows import missing_rows
from oldphoto_core.storage import Bucket, LedgerRow, read_ledger, read_manifest
from oldphoto_core.storage.ledger import FACTS_KEY, ROLLBACK_KEY, SUMMARY_KEY
from oldphoto_core.storage.manifest import MANIFEST_KEY

FACTS, SUMMARY = FACTS_KEY, SUMMARY_KEY


def finalise_killed_runs(
    target: Bucket,
    cancel_orphaned_runs: Callable[[list[str]], None] = lambda _run_ids: None,
    check: Callable[[], None] = lambda: None,
) -> list[str]:
    """Give every run without a summary its missing rows and its summary; returns their ids.

    `cancel_orphaned_runs` is called first with those whose shards other processes may still restore. `check` as in
    `settle`. A shard that somebody still restores loses nothing: its own rows are later and count.
    """
    dead = [run_id for run_id in target.folders("runs") if _is_open(target.join("runs", run_id))]
    if handed_out := [run_id for run_id in dead if shard_store.has_stored_shards(target.join("runs", run_id))]:
        cancel_orphaned_runs(handed_out)
    return [run_id for run_id in dead if finalise_killed_run(target, run_id, check)]


def finalise_killed_run(target: Bucket, run_id: str, check: Callable[[], None] = lambda: None) -> bool:
    """The same for one run; False when it is finalised, or was never begun."""
    run = target.join("runs", run_id)
    if not _is_open(run):
        return False
    settle(target, run, json.loads(run.read(FACTS)), KILLED, check)
    return True


def lost_rows(target: Bucket) -> list[LedgerRow]:
    """The rows that `finalise_killed_runs` would make up for; nothing is written."""
    runs = ((run_id, target.join("runs", run_id)) for run_id in target.folders("runs"))
    return [
        row
        for run_id, run in runs
        if _is_open(run)
        for row in missing_rows(target, read_manifest(run), set(read_ledger(run)["key"]), run_id)
    ]


def _is_open(run: Bucket) -> bool:
    wanted = run.info(FACTS) is not None and run.info(MANIFEST_KEY) is not None
    return wanted and run.info(SUMMARY) is None and run.info(ROLLBACK_KEY) is None
