"""What a provenance record costs: its pieces timed on one photo, against the restoration of that photo.

    python benchmarks/record_cost.py [--model starter] [--megapixels 2 20]

Each photo is an enlarged sample, once as JPEG and once as 16-bit TIFF, restored from folder to folder. What a record
costs (facts of both files, the difference between the pictures, the checksum of the mask, the record and its write) is
then timed by itself, the best of five times. The derivative's checksum is not counted: the ledger needs it anyway.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
from measuring import enlarged

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.inference.blending import difference
from oldphoto_core.pipeline.provenance import sha256_of
from oldphoto_core.reports.record import decode_record, encode_record, record_schema
from oldphoto_core.restoration import (
    NetworkOptions,
    Photo,
    RestoreOptions,
    ShardCallbacks,
    load_restorer,
    restore_photos,
)
from oldphoto_core.scans import read_scan, read_technical_metadata
from oldphoto_core.storage import Bucket, LedgerRow

TIMES = 5


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", default="starter")
    arguments.add_argument("--megapixels", type=float, nargs="+", default=[2.0])
    chosen = arguments.parse_args()
    print(
        "| photo | MP | facts (ms) | difference (ms) | mask's checksum (ms) | record and its write (ms) | all of it |"
    )
    print("|---|---|---|---|---|---|---|")
    for megapixels in chosen.megapixels:
        for name in ("photo.jpg", "photo.tif"):
            with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as folder:
                print(line(Path(folder), name, megapixels, chosen.model))


def line(folder: Path, name: str, megapixels: float, model: str) -> str:
    """One row of the table."""
    (folder / "old").mkdir()
    image = enlarged(megapixels)
    (image if name.endswith(".tif") else image.colourspace("srgb")).write_to_file(str(folder / "old" / name))
    row = restored(folder, model)
    master, derivative, mask = (folder / place / name for place in ("old", "new/photos", "new/masks"))
    mask = mask.with_name(f"{name}.png")
    record = decode_record((folder / f"new/records/{name}.json").read_bytes())
    assert record is not None
    jsonschema.validate(record, record_schema())
    files = [path.read_bytes() for path in (master, derivative, mask)]
    old, new = (ArrayCanvas(read_scan(data).pixels) for data in files[:2])
    target = Bucket(folder / "again")
    pieces = [
        milliseconds(lambda: [read_technical_metadata(data) for data in files[:2]]),
        milliseconds(lambda: difference(old, new)),
        milliseconds(lambda: sha256_of(files[2])),
        milliseconds(lambda: target.write("record.json", encode_record(record))),
    ]
    shares = f"{sum(pieces) / 10 / row.seconds:.2f} % of {row.seconds:.1f} s"
    return f"| {name} | {row.megapixels:.1f} | {' | '.join(f'{piece:.1f}' for piece in pieces)} | {shares} |"


def restored(folder: Path, model: str) -> LedgerRow:
    """Restore old/ into new/."""
    rows: list[LedgerRow] = []
    source = Bucket(folder / "old")
    photos = [Photo(item.key, item.version, item.size) for item in source.list()]
    restore_photos(
        load_restorer(NetworkOptions(model=model)),
        source,
        Bucket(folder / "new"),
        photos,
        RestoreOptions(),
        ShardCallbacks(on_row=rows.append),
    )
    return rows[0]


def milliseconds(work: Callable[[], object]) -> float:
    """Of the fastest of some times."""
    best = float("inf")
    for _ in range(TIMES):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return 1000 * best


if __name__ == "__main__":
    main()
