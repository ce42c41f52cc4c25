"""A table of Dublin Core elements, one row per derivative, as library catalogues import them."""

from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from oldphoto_core.reports.exports.photo import Form, RecordedPhoto, object_url
from oldphoto_core.storage.tables import as_text

if TYPE_CHECKING:
    from oldphoto_core.storage import Bucket

TABLE = "dublin-core.csv"
COLUMNS = (
    "dc:identifier",
    "dc:title",
    "dc:type",
    "dc:format",
    "dcterms:extent",
    "dc:source",
    "dcterms:created",
    "dc:contributor",
    "dc:description",
    "dcterms:provenance",
    "dcterms:dateAccepted",
)


class DublinCore(Form):
    """UTF-8 CSV with a row of names; what a spreadsheet would compute stands there as text."""

    def __init__(self, folder: Path, target: str) -> None:
        self._path, self._target = folder / TABLE, target
        self._file = self._path.open("w", encoding="utf-8", newline="")
        self._rows = csv.DictWriter(self._file, COLUMNS)
        self._rows.writeheader()

    def add(self, photo: RecordedPhoto) -> None:
        """Its row."""
        record = photo.record
        source, derivative = record["source"], record["derivative"]
        size = f"{derivative['width']} x {derivative['height']} pixels" if "width" in derivative else ""
        made = f"run {record['run_id']}, master sha256 {source['sha256']}"
        row = {
            "dc:identifier": object_url(self._target, derivative["key"]),
            "dc:title": PurePosixPath(photo.key).stem,
            "dc:type": "StillImage",
            "dc:format": photo.media_type("derivative"),
            "dcterms:extent": size,
            "dc:source": object_url(source["bucket"], source["key"]),
            "dcterms:created": record["time"],
            "dc:contributor": record.get("operator") or "",
            "dc:description": description(photo),
            "dcterms:provenance": "; ".join(filter(None, (made, photo.review))),
            "dcterms:dateAccepted": photo.decisions[-1].time if photo.review_state == "accepted" else "",
        }
        self._rows.writerow({name: as_text(cell) for name, cell in row.items()})

    def write(self, place: Bucket) -> list[str]:
        """`dublin-core.csv`."""
        self._file.close()
        place.upload(TABLE, self._path)
        return [TABLE]


def description(photo: RecordedPhoto) -> str:
    """What was done, in a sentence for people."""
    record = photo.record
    if not photo.is_restored:
        return f"Copy of the original, which could not be restored: {'; '.join(record['warnings'])}"
    review = record.get("review")
    answers = f"; answers decision {review['number']} ({review['verdict']}) of {review['reviewer']}" if review else ""
    return (
        f"Derivative altered by a neural network: restored by oldphoto {record['software']['oldphoto']} with model"
        f" {record['model']['name']}, mode {record['options']['mode']}; {100 * record['changed_share']:.2f} % of the"
        f" pixels differ from the original{answers}"
    )
