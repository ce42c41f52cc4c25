"""What the ledgers and records of a target say was written there, by which run, with which digest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import SourceMissing, UnsafeKey
from oldphoto_core.reports.record import decode_record, mask_key
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.ledger import rows_of_all_runs

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Claim:
    """A run's word that it wrote an object."""

    key: str
    """Of the object in the target."""
    sha256: str
    run_id: str
    written_at: float
    """Seconds since 1970."""


def claims_of_ledgers(target: Bucket) -> dict[str, Claim]:
    """The last claim on each derivative, by its key, over all runs that were not rolled back."""
    return last_claims(rows_of_all_runs(target))


def last_claims(rows: pd.DataFrame) -> dict[str, Claim]:
    """The last claim on each derivative of a table of ledger rows with `run_id`."""
    # a skipped row repeats what an earlier run wrote; a failed one may be a copy of the original, which was written
    wrote = rows[(rows["status"] != "skipped") & (rows["output"] != "") & (rows["output_sha256"] != "")]
    last = wrote.sort_values("finished_at", kind="stable").drop_duplicates("output", keep="last")
    columns = last[["output", "output_sha256", "run_id", "finished_at"]]
    return {row[0]: Claim(*row) for row in columns.itertuples(index=False, name=None)}


@dataclass(frozen=True, slots=True)
class Record:
    """What a record says was written for one photo."""

    derivative: Claim
    has_mask: bool
    """Whether a mask belongs to it; a copied original has none."""
    mask_key: str
    """Of the mask in the target."""
    mask_sha256: str
    """Of the mask that this run wrote; empty where a given mask lies there itself, or where none was noted."""
    size: tuple[int, int] | None
    """(height, width) of the master, where the record says it."""
    pages: int
    """Of the master's file."""
    answers: int
    """Number of the curator's decision that the derivative answers; 0: none."""

    @property
    def run_id(self) -> str:
        """The run that wrote it."""
        return self.derivative.run_id


def read_record(target: Bucket, key: str) -> Record | None:
    """The record of the photo with this source key; None where none lies, or what lies there is none.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        record = decode_record(target.read(f"records/{key}.json"))
    except (SourceMissing, UnsafeKey):  # nothing was ever written for a key that is refused
        return None
    try:
        return None if record is None else _as_record(record)
    except (KeyError, TypeError, ValueError):
        return None


def _as_record(record: dict[str, Any]) -> Record:
    source, derivative = record["source"], record["derivative"]
    written_at = datetime.fromisoformat(record["time"]).timestamp()
    return Record(
        Claim(str(derivative["key"]), str(derivative["sha256"]), str(record["run_id"]), written_at),
        has_mask=record["status"] == "restored",
        mask_key=mask_key(str(source["key"]), paged="pages" in record),
        mask_sha256=str((record.get("mask_file") or {}).get("sha256", "")),
        size=(source["height"], source["width"]) if "width" in source else None,
        pages=max(1, len(record.get("pages", ()))),
        answers=int((record.get("review") or {}).get("number", 0)),
    )
