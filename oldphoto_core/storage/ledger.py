"""The ledger: what became of every input, one row per photo.

While a run works, its workers put down parts (`ledger/<part>-<token>-<number>.parquet`); at the end they are merged
into `ledger.parquet`. A run that was killed leaves its parts, and a later run reads them.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal

from oldphoto_core.errors import REASONS, FailedReason, Occupied, SkippedReason, SourceMissing, UsageError
from oldphoto_core.storage.bucket import Bucket
from oldphoto_core.storage.keys import printable, safe_key
from oldphoto_core.storage.parallel import map_objects
from oldphoto_core.storage.tables import read_table, write_table

if TYPE_CHECKING:
    from types import TracebackType

    import pandas as pd

LEDGER_KEY = "ledger.parquet"
PARTS_FOLDER = "ledger"
RUNS_FOLDER = "runs"
FACTS_KEY = "run.json"
"""In a run's folder: what was known of it when it began."""
SUMMARY_KEY = "summary.json"
"""In a run's folder, once it is finalised: what became of how many."""
ROLLBACK_KEY = "rollback.json"
"""In a run's folder: what it wrote was removed again, or is being removed; its rows say nothing of the target."""
Status = Literal["restored", "skipped", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerRow:
    """What became of one input."""

    key: str
    """The source's key."""
    version: str
    """The source's version as the manifest pinned it."""
    status: Status
    """restored: a derivative was written; skipped: none was needed; failed: none could be made."""
    reason: FailedReason | SkippedReason | Literal[""] = ""
    """One of a fixed vocabulary when not restored, e.g. "truncated", "not an image"."""
    detail: str = ""
    """The same for people, in one line."""
    seconds: float = 0.0
    """Wall time spent on this photo."""
    detect_seconds: float = math.nan
    """Of these, what looking for damage took; NaN where no detector looked."""
    megapixels: float = 0.0
    """Of the scan."""
    mask_coverage: float = math.nan
    """Share of the pixels judged damaged, 0 to 1; NaN when nobody judged."""
    doubt: float = math.nan
    """How unsure the detector was of what it marked, 0 to 1, at most of its pages; NaN where it does not say."""
    doubtful: str = ""
    """Why the method will not do it well, separated by "; " (docs/detection.md#limits-of-a-photo); empty: no reason."""
    changed_share: float = math.nan
    """Share of the pixels that differ from the master's, 0 to 1; NaN without a derivative."""
    colour: str = ""
    """`monochrome` or `colour`, as it was restored; `mixed` where its pages differ; empty where nobody judged."""
    colour_residual: float = math.nan
    """How far its colours are from one curve over lightness, in units of Lab, at most of its pages; NaN likewise."""
    chroma_residual: float = math.nan
    """The same of the derivative, by the definition of docs/tone.md; NaN without a derivative."""
    blotch: float = math.nan
    """What was added to its low frequencies and is no curve over lightness, in L*; NaN without a derivative."""
    tone_warning: str = ""
    """What of these is over its bound, for people."""
    output: str = ""
    """The derivative's key in the target."""
    output_sha256: str = ""
    """Of the derivative's bytes, in hex."""
    model: str = ""
    """Digest of the weights."""
    options: str = ""
    """Digest of the options that shape the picture."""
    finished_at: float = field(default_factory=time.time)
    """Seconds since 1970; of two rows of one key the later one counts."""


LEDGER_COLUMNS = tuple(f.name for f in fields(LedgerRow))
_NUMBERS = (
    "seconds",
    "detect_seconds",
    "megapixels",
    "mask_coverage",
    "doubt",
    "changed_share",
    "colour_residual",
    "chroma_residual",
    "blotch",
    "finished_at",
)
_TEXTS = tuple(name for name in LEDGER_COLUMNS if name not in _NUMBERS)


class LedgerWriter:
    """Collects rows and puts them down in parts: after `every_rows` rows, or `every_seconds` after the last part.

    `part` names the writer (a shard, say). Two writers of one name do not overwrite each other. `check` is called
    before each part is written; what it raises (Occupied) keeps the part from being written. Safe between threads. Use
    it as a context manager, or call `close`.
    """

    def __init__(
        self,
        run: Bucket,
        part: str,
        *,
        every_rows: int = 200,
        every_seconds: float = 30.0,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._run, self._check = run, check
        self._name = safe_key(f"{part.replace('/', '-')}-{secrets.token_hex(4)}")
        self._every_rows, self._every_seconds = every_rows, every_seconds
        self._rows: list[LedgerRow] = []
        self._parts, self._flushed_at = 0, time.monotonic()
        self._lock = threading.Lock()

    def add(self, row: LedgerRow) -> None:
        """Takes a row, and puts a part down when it is time.

        Raises:
            UsageError: its reason is none of those that `errors.REASONS` knows for its status.
        """
        if row.reason not in REASONS[row.status]:
            raise UsageError(f"{row.reason!r} is no reason of a {row.status} row; take one of errors.REASONS")
        with self._lock:
            self._rows.append(row)
            due = time.monotonic() - self._flushed_at >= self._every_seconds
            if due or len(self._rows) >= self._every_rows:
                self._flush()

    def flush(self) -> None:
        """Puts down what has been added so far."""
        with self._lock:
            self._flush()

    def close(self) -> None:
        """Puts down the rest."""
        self.flush()

    def _flush(self) -> None:
        if self._rows:
            self._check()
            write_table(self._run, f"{PARTS_FOLDER}/{self._name}-{self._parts:06d}.parquet", as_frame(self._rows))
            # only now: a part that could not be written keeps its rows for the next attempt
            self._parts, self._rows = self._parts + 1, []
        self._flushed_at = time.monotonic()

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # whoever lost the run has raised that already, unless something else is on its way
        with contextlib.suppress(Occupied) if error is not None else contextlib.nullcontext():
            self.close()


def as_frame(rows: list[LedgerRow]) -> pd.DataFrame:
    """The rows as a table with the columns LEDGER_COLUMNS."""
    import pandas as pd

    columns = {name: [getattr(row, name) for row in rows] for name in LEDGER_COLUMNS}
    for name in _TEXTS:
        columns[name] = [printable(text) for text in columns[name]]
    return _typed(pd.DataFrame(columns))


def part_keys(run: Bucket, part: str = "") -> list[str]:
    """Of the parts that were put down and not merged yet, by all writers or by those of that name."""
    prefix = f"{PARTS_FOLDER}/{part.replace('/', '-')}"
    keys = [info.key for info in run.list(PARTS_FOLDER)]
    return [key for key in keys if key.startswith(prefix) and key.endswith(".parquet")]


def merge_ledger(run: Bucket) -> pd.DataFrame:
    """Merges the parts of a run into `ledger.parquet`, one row per key, sorted by key; the latest row counts.

    The parts go once the whole lies there. Merging again changes nothing; rows that come later are added.
    """
    parts = [info.key for info in run.list(PARTS_FOLDER)]
    merged = _one_per_key(_rows_of(run))
    write_table(run, LEDGER_KEY, merged)
    for key in parts:
        run.delete(key)
    return merged


def read_ledger(run: Bucket) -> pd.DataFrame:
    """The ledger of a run as far as it has come, merged or not; changes nothing. Empty when there is none."""
    return _one_per_key(_rows_of(run))


def read_part(run: Bucket, key: str) -> pd.DataFrame:
    """The rows of one part, LEDGER_COLUMNS. Raises SourceMissing when it has been merged meanwhile."""
    return _typed(read_table(run, key))


def previous_results(target: Bucket) -> pd.DataFrame:
    """What lies in the target by now: the latest `restored` row of each key over all runs, killed ones included.

    Returns:
        LEDGER_COLUMNS and `run_id`, one row per key, sorted by key; a rerun may skip a photo whose version, model and
        options are those of its row.
    """
    rows = _rows_of_runs(target, _restored_rows)
    return _one_per_key(rows)


def rows_of_all_runs(target: Bucket) -> pd.DataFrame:
    """The ledgers of all runs that were not rolled back, killed ones included: LEDGER_COLUMNS and `run_id`."""
    return _rows_of_runs(target, _standing_rows)


def _rows_of_runs(target: Bucket, rows_of: Callable[[Bucket], pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    run_ids = list(target.folders(RUNS_FOLDER))
    frames = list(map_objects(lambda run_id: rows_of(target.join(RUNS_FOLDER, run_id)), run_ids))
    frames = [frame.assign(run_id=run_id) for frame, run_id in zip(frames, run_ids, strict=True) if len(frame)]
    if not frames:
        return as_frame([]).assign(run_id=pd.Series([], dtype="str"))
    return pd.concat(frames, ignore_index=True)


def _restored_rows(run: Bucket) -> pd.DataFrame:
    if _restored_nothing(run):
        return as_frame([])
    rows = _standing_rows(run)
    return rows[rows["status"] == "restored"]


def _restored_nothing(run: Bucket) -> bool:
    """By its summary: a year of nights in which nothing was new is a year of ledgers that need not be read."""
    try:
        return run.info(SUMMARY_KEY) is not None and json.loads(run.read(SUMMARY_KEY))["restored"] == 0
    except (ValueError, KeyError, TypeError, SourceMissing):
        return False


def _standing_rows(run: Bucket) -> pd.DataFrame:
    return as_frame([]) if run.info(ROLLBACK_KEY) else _rows_of(run)


def _rows_of(run: Bucket) -> pd.DataFrame:
    for _ in range(3):
        # parts vanish under a reader's hands when their own run merges them just now: then the whole has their rows
        with contextlib.suppress(SourceMissing):
            return _read_all(run)
    return _read_all(run)


def _read_all(run: Bucket) -> pd.DataFrame:
    import pandas as pd

    parts = [info.key for info in run.list(PARTS_FOLDER) if info.key.endswith(".parquet")]
    keys = [LEDGER_KEY, *parts] if run.info(LEDGER_KEY) else parts
    if not keys:
        return as_frame([])
    frames = list(map_objects(lambda key: _typed(read_table(run, key)), keys))
    return pd.concat(frames, ignore_index=True)


def _one_per_key(rows: pd.DataFrame) -> pd.DataFrame:
    by_time = rows.sort_values("finished_at", kind="stable")
    return by_time.drop_duplicates("key", keep="last").sort_values("key", kind="stable").reset_index(drop=True)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The known columns with their types; those that an older ledger lacks are empty."""
    frame = frame.reindex(columns=list(LEDGER_COLUMNS))
    frame = frame.astype({**dict.fromkeys(_TEXTS, "str"), **dict.fromkeys(_NUMBERS, "float64")})
    return frame.fillna(dict.fromkeys(_TEXTS, ""))
