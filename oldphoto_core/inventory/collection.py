"""A whole collection examined over Dask; a rerun examines what is new, a killed one what was left."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from oldphoto_core.clusters import dask_client
from oldphoto_core.errors import SourceMissing, UsageError
from oldphoto_core.inventory.objects import COLUMNS, InventoryRow, as_table, examine
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.keys import printable
from oldphoto_core.storage.tables import read_table, write_csv, write_table

if TYPE_CHECKING:
    from distributed import Client

    from oldphoto_core.storage import ObjectInfo

FORMATS = (".parquet", ".csv")
BATCH = 8
"""Objects of one task: one costs Dask some milliseconds, whatever is in it."""
WRITE_SECONDS = 60.0
"""How often the table so far is put down, so that a kill costs a minute's work."""
TASKS_A_THREAD = 3
"""Tasks that are waiting or under way for each thread of the cluster."""


@dataclass(frozen=True, slots=True)
class InventoryReport:
    """What was found."""

    found: int
    """Objects; each is a row of the table."""
    examined: int
    """Pictures whose statistics are in the table."""
    others: int
    """Objects that are no images by their names; their checksums are in the table."""
    failed: int
    kept: int
    """Rows of an earlier table that still hold."""
    bytes_read: int
    seconds: float


def take_stock(
    source: Bucket,
    out: str,
    *,
    dask: str | None = None,
    limit: int | None = None,
    on_row: Callable[[InventoryRow], None] = lambda _row: None,
    on_link: Callable[[str], None] = lambda _link: None,
) -> InventoryReport:
    """Examines every object of `source` and writes the table to `out`, a file or an object, by its ending.

    Rows of a Parquet table that lies there already are kept where key and version are still the same and nothing
    failed; a CSV is made anew. `dask` is the address of a running scheduler, `limit` stops after so many objects,
    `on_link` is called with where the dashboard is, `on_row` of every object that was examined.

    Raises:
        UsageError: `out` is no Parquet or CSV file, lies in the source, or the source is in this process's memory.
        SourceMissing: nothing is in the source.
        ClusterAway: the cluster does not answer.
        NoCredentials, StorageError, WriteFailed: the source cannot be listed, or the table not be written.
    """
    place, name = check_places(source, out)
    found = list(islice(source.list(), limit))
    if not found:
        raise SourceMissing(f"nothing lies in {printable(source.url)}: check the name, or put photos there")
    started, written = time.perf_counter(), time.monotonic()
    kept = _kept_rows(place, name, found)
    rows = list(kept)
    known = {row.key for row in kept}
    wanted = [info for info in found if printable(info.key) not in known]
    try:
        with dask_client(dask, on_link=on_link) if wanted else nullcontext() as client:
            for row in _examined(client, source, wanted) if client else ():
                rows.append(row)
                on_row(row)
                if time.monotonic() - written > WRITE_SECONDS:
                    _write(place, name, rows)
                    written = time.monotonic()
    finally:
        _write(place, name, rows)  # whatever ended it, a rerun goes on from there
    read = sum(row.size for row in rows if row.key not in known)
    return _report(rows, len(kept), read, time.perf_counter() - started)


def examine_some(source: Bucket, some: list[ObjectInfo]) -> list[InventoryRow]:
    """What a Dask worker does."""
    return [examine(source, info) for info in some]


def _examined(client: Client, source: Bucket, wanted: Iterable[ObjectInfo]) -> Iterator[InventoryRow]:
    """Rows as they come; what killed its workers again and again is examined alone, and then told as failed."""
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    batches = _in_batches(wanted)
    waiting: dict[Any, list[ObjectInfo]] = {}
    running = as_completed()

    def submit(some: list[ObjectInfo]) -> None:
        future = client.submit(examine_some, source, some, pure=False, retries=2)
        waiting[future] = some
        running.add(future)

    while True:
        room = max(2, TASKS_A_THREAD * sum(client.nthreads().values())) - len(waiting)
        for some in islice(batches, max(0, room)):
            submit(some)
        if not waiting:
            return
        future = next(running)
        some = waiting.pop(future)
        try:
            yield from future.result()
        except KilledWorker as error:
            if len(some) > 1:
                for one in some:
                    submit([one])
            else:
                yield _killed(some[0], error)


def _in_batches(wanted: Iterable[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    rest = iter(wanted)
    while some := list(islice(rest, BATCH)):
        yield some


def _killed(info: ObjectInfo, error: Exception) -> InventoryRow:
    detail = f"every worker that examined it died: {' '.join(str(error).split())}"
    return InventoryRow(
        key=printable(info.key),
        size=info.size,
        version=info.version,
        status="failed",
        reason="crashes the decoder",
        detail=detail,
    )


def check_places(source: Bucket, out: str) -> tuple[Bucket, str]:
    """The folder and name of the table, after trying to write there. Raises UsageError, WriteFailed, NoCredentials."""
    folder, name = os.path.split(out)
    if not name.lower().endswith(FORMATS):
        raise UsageError(f"{printable(out)!r} is no table: name a file or object that ends in {' or '.join(FORMATS)}")
    place = Bucket(folder or ".")
    if source.contains(place):
        raise UsageError(f"{printable(out)} lies inside {source}, where nothing is written; name a place outside")
    if source.scheme == "memory":
        raise UsageError(f"{source} lies in the memory of this process, where no Dask worker sees it")
    place.check_writable()
    return place, name


def _kept_rows(place: Bucket, name: str, found: list[ObjectInfo]) -> list[InventoryRow]:
    """Those of an earlier table that need not be made again. Raises UsageError for a table of something else."""
    if not name.lower().endswith(".parquet") or place.info(name) is None:
        return []
    table = read_table(place, name)
    if tuple(table.columns) != COLUMNS:
        raise UsageError(f"{place.url}/{name} is no inventory of this version; name another file, or remove it")
    versions = {printable(info.key): info.version for info in found}
    records: Any = table.to_dict("records")
    rows = [InventoryRow(**record) for record in records]
    return [row for row in rows if row.status != "failed" and versions.get(row.key) == row.version]


def _write(place: Bucket, name: str, rows: list[InventoryRow]) -> None:
    table = as_table(rows)
    if name.lower().endswith(".csv"):
        write_csv(place, name, table)
    else:
        write_table(place, name, table)


def _report(rows: list[InventoryRow], kept: int, bytes_read: int, seconds: float) -> InventoryReport:
    counts = Counter(row.status for row in rows)
    return InventoryReport(
        found=len(rows),
        examined=counts["examined"],
        others=counts["not an image"],
        failed=counts["failed"],
        kept=kept,
        bytes_read=bytes_read,
        seconds=round(seconds, 2),
    )
