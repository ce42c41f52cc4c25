"""The numbers behind the report's charts, small whatever the size of the run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from oldphoto_core.reports.summary import Summary

SPANS = 48
"""Equal parts of the run's time."""
COVERAGES = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Borders of the shares of a photo judged damaged: scratches cover little, so the parts widen."""
CHANGES = tuple(step / 20 for step in range(21))


def charts_of(ledger: pd.DataFrame, summary: Summary) -> dict[str, Any]:
    """Throughput over time, mask coverage, changed share and reasons of failure, as plain numbers."""
    restored = ledger[ledger["status"] == "restored"]
    return {
        "throughput": _throughput(restored, summary),
        "coverage": _shares(ledger["mask_coverage"], COVERAGES),
        "changed": _shares(restored["changed_share"], CHANGES),
        "failures": [[reason, count] for reason, count in summary["failed_reasons"].items()],
    }


def _throughput(restored: pd.DataFrame, summary: Summary) -> dict[str, Any]:
    """Megapixels a second and photos a minute in each span from the run's begin to its last restored photo."""
    began = datetime.fromisoformat(summary["started"]).timestamp()
    at = restored["finished_at"].to_numpy() - began
    seconds = max(float(at.max()), 0.001) if len(at) else max(summary["seconds"], 0.001)
    # few photos in many spans would only show gaps
    spans = int(min(SPANS, max(1, len(at) // 2)))
    each = seconds / spans
    megapixels, _ = np.histogram(at, spans, (0, seconds), weights=restored["megapixels"])
    photos, _ = np.histogram(at, spans, (0, seconds))
    return {
        "seconds": round(seconds, 3),
        "megapixels_per_second": [round(float(value) / each, 4) for value in megapixels],
        "photos_per_minute": [round(float(value) * 60 / each, 2) for value in photos],
    }


def _shares(column: pd.Series[float], borders: tuple[float, ...]) -> dict[str, Any]:
    known = column.dropna().to_numpy()
    counts, _ = np.histogram(known, borders)
    none = int((known == 0).sum())
    counts[0] -= none
    return {"borders": list(borders), "counts": counts.tolist(), "none": none, "unknown": int(column.isna().sum())}
