"""A folder of photos restored into another one, with masks and options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fakes import InvertingRestorer

from oldphoto_core.restoration import Photo, RestoreOptions, ShardCallbacks, restore_photos
from oldphoto_core.runs.mask_index import MaskIndex
from oldphoto_core.storage import Bucket, LedgerRow

ALL_FROM_DISK = {"in_flight_megapixels": 0.0001}


def run(
    folder: Path, restorer: InvertingRestorer, masks: Path | None = None, target: str = "new", **options: Any
) -> dict[str, LedgerRow]:
    """Restores `folder/old` into `folder/<target>`."""
    source = Bucket(folder / "old")
    index = MaskIndex(Bucket(masks).list() if masks else ())
    photos = [Photo(o.key, o.version, o.size, index.candidates(o.key)) for o in source.list()]
    rows: dict[str, LedgerRow] = {}
    restore_photos(
        restorer,
        source,
        Bucket(folder / target),
        photos,
        RestoreOptions(**options),
        ShardCallbacks(on_row=lambda row: rows.update({row.key: row})),
        masks=Bucket(masks) if masks else None,
        run_id="test",
    )
    return rows
