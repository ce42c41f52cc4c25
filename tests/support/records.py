"""Photos restored, and the provenance records that came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
from fakes import InvertingRestorer

from oldphoto_core.inference.contracts import RestoresPhotos
from oldphoto_core.reports.record import record_schema
from oldphoto_core.restoration import Photo, RestoreOptions, restore_photos
from oldphoto_core.runs.mask_index import MaskIndex
from oldphoto_core.storage import Bucket

Record = dict[str, Any]


def records_of(
    tmp_path: Path, restorer: RestoresPhotos | None = None, *, masks: Path | None = None, operator: str = "", **how: Any
) -> dict[str, Record]:
    """Restores old/ into new/, and returns the records by the masters' keys, each valid by the schema."""
    source, marks = Bucket(tmp_path / "old"), Bucket(masks) if masks else None
    index = MaskIndex(marks.list()) if marks else None
    restore_photos(
        restorer or InvertingRestorer(),
        source,
        Bucket(tmp_path / "new"),
        [Photo(o.key, o.version, o.size, index.candidates(o.key) if index else ()) for o in source.list()],
        RestoreOptions(**how),
        masks=marks,
        run_id="20261123-000000-abcd",
        operator=operator,
    )
    found = {}
    for entry in Bucket(tmp_path / "new").list("records"):
        record = json.loads((tmp_path / "new" / entry.key).read_bytes())
        jsonschema.validate(record, record_schema(), jsonschema.Draft202012Validator)
        found[record["source"]["key"]] = record
    return found
