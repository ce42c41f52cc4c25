from __future__ import annotations

import hashlib
import json
from pathlib import Path

from fakes import InvertingRestorer, fill

from oldphoto_core.reports.record import decode_record, encode_record
from oldphoto_core.restoration import Photo, RestoreOptions, restore_photos
from oldphoto_core.storage import Bucket


def record_of(tmp_path: Path, key: str, **options: object) -> dict[str, object]:
    source = Bucket(fill(tmp_path / "old", [key]))
    photos = [Photo(o.key, o.version, o.size) for o in source.list()]
    restore_photos(
        InvertingRestorer(),
        source,
        Bucket(tmp_path / "new"),
        photos,
        RestoreOptions(**options),  # type: ignore[arg-type]
        lambda row: None,
        run_id="20261123-000000-abcd",
    )
    record: dict[str, object] = json.loads((tmp_path / f"new/records/{key}.json").read_text())
    return record


def test_a_record_pins_the_source_the_derivative_the_model_and_the_run(tmp_path: Path) -> None:
    record = record_of(tmp_path, "box/a.jpg")
    old, new = ((tmp_path / place / "box/a.jpg").read_bytes() for place in ("old", "new/photos"))
    assert record["source"]["key"] == "box/a.jpg"
    assert record["source"]["sha256"] == hashlib.sha256(old).hexdigest()
    assert record["derivative"]["sha256"] == hashlib.sha256(new).hexdigest()
    assert record["derivative"] | {"sha256": ""} == {
        "key": "photos/box/a.jpg",
        "sha256": "",
        "bytes": len(new),
        "width": 60,
        "height": 40,
        "channels": 3,
        "bits": 8,
    }
    assert record["model"] == {"name": "invert", "digest": "a" * 64}
    assert (record["run_id"], record["device"], record["status"]) == ("20261123-000000-abcd", "cpu", "restored")
    assert record["changed_share"] > 0.9


def test_a_record_names_the_software_and_the_time(tmp_path: Path) -> None:
    record = record_of(tmp_path, "a.png", format="tiff")
    assert {"oldphoto", "torch", "pyvips", "python"} <= set(record["software"])
    assert str(record["time"]).endswith("+00:00")
    assert record["derivative"]["key"] == "photos/a.png.tif"


def test_a_record_reads_back_as_it_was_written_and_nothing_else_is_one() -> None:
    record = {"schema": "oldphoto-record/1", "source": {"key": "Æblegård.jpg"}}
    assert decode_record(encode_record(record)) == record
    for other in (b"", b"[]", b'{"schema": "somebody elses"}', b"\xff\xfe"):
        assert decode_record(other) is None
