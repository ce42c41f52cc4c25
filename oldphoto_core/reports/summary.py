"""The account of a run: every input is restored, skipped or failed, and what is said to be there is there."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from oldphoto_core.storage import LedgerRow

if TYPE_CHECKING:
    import pandas as pd


MOST_NAMED = 100
"""Photos that a summary names."""


class RunFacts(TypedDict):
    """What is known of a run when it begins; `run.json` in its folder, so that a killed run can be accounted for."""

    run_id: str
    source: str
    target: str
    model: dict[str, str]
    options: dict[str, Any]
    masks: dict[str, int]
    started: str
    warnings: NotRequired[list[str]]
    """What whoever started it should know of the target, in one line each; older runs have none."""


class ToneWarnings(TypedDict):
    """Photos that somebody should look at."""

    count: int
    photos: dict[str, str]
    """Key -> what is over its bound, of the first `MOST_NAMED`; the ledger has all."""


class Summary(RunFacts):
    """What `summary.json` holds; `found == restored + skipped + failed`, always."""

    finished: str
    seconds: float
    found: int
    restored: int
    skipped: int
    failed: int
    megapixels: float
    skipped_reasons: dict[str, int]
    failed_reasons: dict[str, int]
    monochrome: int
    """Restored photos that were restored in lightness alone; older summaries do not say."""
    tone_warnings: ToneWarnings
    """Restored photos whose colours or tones are over a bound of docs/tone.md; older summaries have none."""
    stopped: str
    metrics: dict[str, Any]
    """What was measured of the work: docs/fleet.md; older summaries have none."""


def reconcile(
    manifest: pd.DataFrame, rows: Mapping[str, LedgerRow], delivered: Collection[str], stopped: str = ""
) -> list[LedgerRow]:
    """Corrections to the ledger: a row for each input without one, and for each `restored` one without a derivative.

    `rows` is the ledger by key, `delivered` the derivatives' keys in the target, `stopped` why the run ended early, if
    it did.
    """
    missing = [_undelivered(row) for row in rows.values() if row.status == "restored" and row.output not in delivered]
    inputs = manifest[["key", "version"]].itertuples(index=False, name=None)
    return missing + [_unaccounted(key, version, stopped) for key, version in inputs if key not in rows]


def summarise(facts: RunFacts, rows: Collection[LedgerRow], finished: datetime, stopped: str = "") -> Summary:
    """The summary of a run whose ledger is complete; `finished` in UTC."""
    of = {status: [row for row in rows if row.status == status] for status in ("restored", "skipped", "failed")}
    return Summary(
        **facts,
        finished=finished.isoformat(timespec="seconds"),
        seconds=round((finished - datetime.fromisoformat(facts["started"])).total_seconds(), 3),
        found=len(rows),
        restored=len(of["restored"]),
        skipped=len(of["skipped"]),
        failed=len(of["failed"]),
        megapixels=round(sum(row.megapixels for row in of["restored"]), 3),
        skipped_reasons=_reasons(of["skipped"]),
        failed_reasons=_reasons(of["failed"]),
        monochrome=sum(row.colour == "monochrome" for row in of["restored"]),
        tone_warnings=_tone_warnings(of["restored"]),
        stopped=stopped,
        metrics={},
    )


def encode(account: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON of a summary or of a run's facts."""
    return (json.dumps(account, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _tone_warnings(rows: list[LedgerRow]) -> ToneWarnings:
    warned = [row for row in rows if row.tone_warning]
    return ToneWarnings(count=len(warned), photos={row.key: row.tone_warning for row in warned[:MOST_NAMED]})


def _reasons(rows: Collection[LedgerRow]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.reason] = counts.get(row.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _undelivered(row: LedgerRow) -> LedgerRow:
    detail = f"{row.output} was written, but is not in the target any more; run it again"
    return replace(row, status="failed", reason="derivative missing", detail=detail, finished_at=time.time())


def _unaccounted(key: str, version: str, stopped: str) -> LedgerRow:
    return LedgerRow(
        key=key,
        version=version,
        status="skipped" if stopped else "failed",
        reason="run stopped" if stopped else "no result",
        detail=stopped or "the run ended without a word about this file; run it again",
    )
