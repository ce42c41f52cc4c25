"""IIIF Presentation 3: one manifest, one canvas per photo, on which the viewer chooses original or restored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from oldphoto_core.reports.exports.dublin_core import description
from oldphoto_core.reports.exports.photo import Form, RecordedPhoto, object_url

if TYPE_CHECKING:
    from oldphoto_core.storage import Bucket

MANIFEST = "iiif-manifest.json"
_NOTE = "The restored pictures were altered by a neural network. They are no evidence of what was photographed."


class Iiif(Form):
    """The manifest's canvases are collected as they come, and closed with its end."""

    def __init__(self, folder: Path, place: str, name: str, served_at: str, originals_at: str) -> None:
        """`place`: key of the manifest's folder; `served_at`, `originals_at`: URLs of target and source."""
        self._base, self._originals = served_at, originals_at
        self._home = f"{served_at}/{quote(place)}"
        self._path = folder / MANIFEST
        self._file = self._path.open("w", encoding="utf-8")
        self._count = 0
        head = {
            "@context": "http://iiif.io/api/presentation/3/context.json",
            "id": f"{self._home}/{MANIFEST}",
            "type": "Manifest",
            "label": {"none": [name]},
            "requiredStatement": {"label": _english("Note"), "value": _english(_NOTE)},
        }
        self._file.write(f'{_json(head)[:-1]}, "items": [')

    def add(self, photo: RecordedPhoto) -> None:
        """Its canvas, unless nobody knows its size."""
        derivative = photo.record["derivative"]
        if "width" not in derivative:
            return
        sides = {"width": derivative["width"], "height": derivative["height"]}
        if derivative.get("orientation", 1) >= 5:
            # turned by a quarter when it is shown
            sides = {"width": sides["height"], "height": sides["width"]}
        canvas = f"{self._home}/canvas/{quote(photo.key)}"
        annotation = {
            "id": f"{canvas}/annotation",
            "type": "Annotation",
            "motivation": "painting",
            "target": canvas,
            "body": self._body(photo, sides),
        }
        item = {
            "id": canvas,
            "type": "Canvas",
            "label": {"none": [photo.key]},
            **sides,
            "metadata": _metadata(photo),
            "seeAlso": [
                {
                    "id": object_url(self._base, f"records/{photo.key}.json"),
                    "type": "Dataset",
                    "label": _english("Provenance record"),
                    "format": "application/json",
                }
            ],
            "items": [{"id": f"{canvas}/page", "type": "AnnotationPage", "items": [annotation]}],
        }
        self._file.write(f"{',' if self._count else ''}\n{_json(item)}")
        self._count += 1

    def write(self, place: Bucket) -> list[str]:
        """`iiif-manifest.json`."""
        self._file.write("\n]}\n")
        self._file.close()
        place.upload(MANIFEST, self._path)
        return [MANIFEST]

    def _body(self, photo: RecordedPhoto, sides: dict[str, int]) -> dict[str, Any]:
        original = {
            "id": object_url(self._originals, photo.key),
            "type": "Image",
            "format": photo.media_type("source"),
            "label": _english("Original"),
            **sides,
        }
        if not photo.is_restored or photo.review_state == "rejected":
            return original
        restored = {
            "id": object_url(self._base, photo.record["derivative"]["key"]),
            "type": "Image",
            "format": photo.media_type("derivative"),
            "label": _english(f"Restored, model {photo.record['model']['name']}"),
            **sides,
        }
        return {"type": "Choice", "items": [original, restored]}


def _metadata(photo: RecordedPhoto) -> list[dict[str, Any]]:
    rows = {"Provenance": description(photo), "Review": photo.review}
    return [{"label": _english(label), "value": _english(text)} for label, text in rows.items() if text]


def _english(text: str) -> dict[str, list[str]]:
    return {"en": [text]}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
