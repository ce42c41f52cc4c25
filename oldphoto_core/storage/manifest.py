"""The manifest: what lay in the source when the run began, image or not, one row per object."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from oldphoto_core.errors import SourceMissing
from oldphoto_core.storage.bucket import Bucket
from oldphoto_core.storage.keys import is_image_key, printable
from oldphoto_core.storage.store import ObjectInfo
from oldphoto_core.storage.tables import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_KEY = "manifest.parquet"
MANIFEST_COLUMNS = ("key", "size", "version", "kind")
"""key: str; size: int64 bytes; version: str, to pin reads with; kind: "image" or "other" (by its name)."""

_PROGRESS_EVERY = 1000


def take_inventory(
    source: Bucket, *, limit: int | None = None, progress: Callable[[int], None] | None = None
) -> pd.DataFrame:
    """Lists the source, sorted by key. `limit` stops after so many images; `progress` hears the count of objects.

    Raises:
        SourceMissing: there is no such folder or bucket, or nothing is in it.
    """
    found: list[ObjectInfo] = []
    images = 0
    if limit != 0:
        for info in source.list():
            found.append(info)
            images += is_image_key(info.key)
            if progress and len(found) % _PROGRESS_EVERY == 0:
                progress(len(found))
            if limit is not None and images >= limit:
                break
    if not found and limit != 0:
        raise SourceMissing(_nothing_in(source))
    if progress:
        progress(len(found))
    return _as_frame(found)


def write_manifest(run: Bucket, frame: pd.DataFrame) -> str:
    """Writes `manifest.parquet` of a run folder; returns its sha256."""
    return write_table(run, MANIFEST_KEY, frame)


def read_manifest(run: Bucket) -> pd.DataFrame:
    """Reads `manifest.parquet` of a run folder; raises SourceMissing when the run has none."""
    return read_table(run, MANIFEST_KEY)


def _nothing_in(source: Bucket) -> str:
    if source.scheme == "file" and not source.exists():
        return f"there is no folder {printable(source.url)}: check the name"
    return f"nothing lies in {printable(source.url)}: check the name, or put photos there"


def _as_frame(found: list[ObjectInfo]) -> pd.DataFrame:
    import pandas as pd

    columns = {
        "key": pd.Series([printable(info.key) for info in found], dtype="str"),
        "size": pd.Series([info.size for info in found], dtype="int64"),
        "version": pd.Series([info.version for info in found], dtype="str"),
        "kind": pd.Series(["image" if is_image_key(info.key) else "other" for info in found], dtype="str"),
    }
    return pd.DataFrame(columns)
