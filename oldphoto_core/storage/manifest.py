"""The manifest: what lay in the source when the run began, image or not, one row per object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from oldphoto_core.errors import SourceMissing, StorageError, UnsafeKey
from oldphoto_core.storage.bucket import Bucket
from oldphoto_core.storage.keys import is_image_key, printable
from oldphoto_core.storage.parallel import SMALL_THREADS, map_objects
from oldphoto_core.storage.store import ObjectInfo
from oldphoto_core.storage.tables import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_KEY = "manifest.parquet"
MANIFEST_COLUMNS = ("key", "size", "version", "kind")
"""key: str; size: int64 bytes; version: str, to pin reads with, empty where a key that was named is not there;
kind: "image" or "other" (by its name), "folder" for a folder that cannot be listed (its version says why)."""


def take_inventory(source: Bucket, *, limit: int | None = None) -> pd.DataFrame:
    """Lists the source, sorted by key, and reads nothing of it: MANIFEST_COLUMNS. `limit` (1 or more) stops after so
    many images. (What is in the files is the business of the room `inventory`.)

    Raises:
        SourceMissing: there is no such folder or bucket, or nothing is in it.
    """
    found: list[ObjectInfo] = []
    images = 0
    for info in source.list():
        found.append(info)
        images += is_image_key(info.key)
        if images == limit:
            break
    if not found:
        raise SourceMissing(_nothing_in(source))
    return _as_frame(found)


def look_up(source: Bucket, keys: Iterable[str], *, limit: int | None = None) -> pd.DataFrame:
    """The manifest of these keys alone, sorted, each once; `limit` stops after so many images.

    A key that cannot be looked up, is not there or is unsafe has a row too, of size 0 and without a version: reading it
    says why. An unsafe one counts as an image, or it would be passed over as none.
    """
    wanted: list[str] = []
    images = 0
    for key in sorted(set(keys)):
        if images == limit:
            break
        wanted.append(key)
        images += is_image_key(key)

    def look(key: str) -> ObjectInfo:
        try:
            return source.info(key) or ObjectInfo(key, 0, "")
        except UnsafeKey:
            unsafe.append(key)
        except StorageError:
            pass  # S3 says 403 of what is not there to those who may not list: the affair of this key alone
        return ObjectInfo(key, 0, "")

    unsafe: list[str] = []
    frame = _as_frame(list(map_objects(look, wanted, SMALL_THREADS)))
    frame.loc[frame["key"].isin(unsafe), "kind"] = "image"
    return frame


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
        "kind": pd.Series([_kind(info) for info in found], dtype="str"),
    }
    return pd.DataFrame(columns)


def _kind(info: ObjectInfo) -> str:
    if info.is_unlisted:
        return "folder"
    return "image" if is_image_key(info.key) else "other"
