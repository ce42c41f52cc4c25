"""One object of a collection, examined: its checksum, what its file says of itself, and its picture's statistics.

A worker holds a few MiB of a file and of its pixels at a time: the file goes to disk, and a process of its own decodes
it to disk, so that neither 100 megapixels nor a file that crashes its decoder is more than a row of the table.
"""

from __future__ import annotations

import atexit
import functools
import math
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from oldphoto_core.errors import FailedReason, ScanError, StorageError
from oldphoto_core.folders import temporary_folder
from oldphoto_core.inventory.statistics import Tone, statistics_of
from oldphoto_core.scans import Decoders, TechnicalMetadata
from oldphoto_core.storage import Bucket, is_image_key
from oldphoto_core.storage.keys import printable

if TYPE_CHECKING:
    import pandas as pd

    from oldphoto_core.storage import ObjectInfo

Status = Literal["examined", "not an image", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class InventoryRow:
    """What is known of one object; NaN, 0 and "" where something is not."""

    key: str
    size: int
    """Bytes."""
    version: str
    """As it was listed."""
    sha256: str = ""
    """Of its bytes, in hex; empty when it could not be read."""
    status: Status = "examined"
    reason: FailedReason | Literal[""] = ""
    """Of a failed one: the ledger's word for it."""
    detail: str = ""
    """The same for people, in one line."""
    format: str = ""
    width: int = 0
    """Pixels, in stored order."""
    height: int = 0
    """Pixels, in stored order."""
    megapixels: float = 0.0
    kind: str = ""
    """"grey", "RGB", "CMYK" or "CIELab"."""
    bits: int = 0
    """Of a channel."""
    compression: str = ""
    profile: str = ""
    """Name of the ICC profile."""
    pixels_per_mm: float = math.nan
    """Across."""
    sharpness: float = math.nan
    noise: float = math.nan
    contrast: float = math.nan
    black_share: float = math.nan
    white_share: float = math.nan
    tone: Tone | Literal[""] = ""


COLUMNS = tuple(field.name for field in fields(InventoryRow))


def examine(source: Bucket, info: ObjectInfo) -> InventoryRow:
    """Everything about one object; what goes wrong is in the row."""
    known: dict[str, Any] = {"key": printable(info.key), "size": info.size, "version": info.version}
    with temporary_folder("inventory") as folder:
        path, digest = Path(folder) / "file", ""
        try:
            if info.is_unlisted:
                raise StorageError(f"it {info.version}: let this user list it, or take it away")
            if not is_image_key(info.key):
                return InventoryRow(
                    **known, sha256=source.sha256(info.key, version=info.version), status="not an image"
                )
            digest = source.download(info.key, path, version=info.version)
            return InventoryRow(**known, sha256=digest, **_picture(path, Path(folder)))
        except (ScanError, StorageError) as error:
            detail = " ".join(str(error).split())
            return InventoryRow(**known, sha256=digest, status="failed", reason=error.reason, detail=detail)


def _picture(path: Path, folder: Path) -> dict[str, Any]:
    decoders = _decoders(os.getpid())
    facts = decoders.read_technical_metadata(path)
    scan = decoders.spool_scan(path, folder)
    try:
        return {**_facts(facts), **asdict(statistics_of(scan.pixels))}
    finally:
        scan.pixels.discard()
        if scan.alpha is not None:
            scan.alpha.discard()


def _facts(facts: TechnicalMetadata) -> dict[str, Any]:
    return {
        **{name: getattr(facts, name) for name in ("format", "width", "height", "kind", "bits", "compression")},
        "megapixels": round(facts.width * facts.height / 1e6, 6),
        "profile": facts.profile or "",
        "pixels_per_mm": facts.pixels_per_mm[0] if facts.pixels_per_mm else math.nan,
    }


@functools.lru_cache(maxsize=1)
def _decoders(process: int) -> Decoders:
    """One set for each process that examines, kept for its next file."""
    del process
    decoders = Decoders(1)
    atexit.register(decoders.close)
    return decoders


def as_table(rows: list[InventoryRow]) -> pd.DataFrame:
    """The columns COLUMNS, sorted by key."""
    import pandas as pd

    rows = sorted(rows, key=lambda row: row.key)
    table = pd.DataFrame({name: [getattr(row, name) for row in rows] for name in COLUMNS})
    numbers = {"size": "int64", "width": "int64", "height": "int64", "bits": "int64"}
    measures = ("megapixels", "pixels_per_mm", "sharpness", "noise", "contrast", "black_share", "white_share")
    texts = [name for name in COLUMNS if name not in numbers and name not in measures]
    return table.astype({**numbers, **dict.fromkeys(measures, "float64"), **dict.fromkeys(texts, "str")})
