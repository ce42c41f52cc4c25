"""Rows that a killed process had no time to write, made up from the records of what it restored.

A photo's record is written just before its derivative: where both agree, the photo was restored.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import OldPhotoError
from oldphoto_core.pipeline.colour_facts import columns
from oldphoto_core.reports.record import decode_record
from oldphoto_core.storage import Bucket, LedgerRow
from oldphoto_core.storage.parallel import SMALL_THREADS, map_objects

if TYPE_CHECKING:
    import pandas as pd


def missing_rows(target: Bucket, manifest: pd.DataFrame, known: Container[str], run_id: str) -> list[LedgerRow]:
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
        doubtful="; ".join(mask.get("doubtful", ())),
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
