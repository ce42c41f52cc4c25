"""The list of the photos that a model's weights were trained on: a file beside them, which the card names by digest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from oldphoto_core.checkpoints.odd_values import OddValue, is_texts, read_json
from oldphoto_core.checkpoints.store import read_card, read_file
from oldphoto_core.errors import DamagedWeights

PHOTOS = "photos.json"
"""One of the `parts` of a model's card."""


@dataclass(frozen=True, order=True, slots=True)
class SeenPhoto:
    """One photo as it was when it was read."""

    url: str
    """Of its bucket."""
    key: str
    """In its bucket."""
    version: str
    """As the store told it: while it is the same, so are the bytes."""
    sha256: str
    """Of its bytes."""


def photos_to_json(photos: Iterable[SeenPhoto]) -> bytes:
    """{bucket: [[key, version, sha256], ...]}, sorted; a key may be there with several versions, each of them once."""
    listed: dict[str, list[list[str]]] = {}
    for photo in sorted(set(photos)):
        listed.setdefault(photo.url, []).append([photo.key, photo.version, photo.sha256])
    return json.dumps(listed, indent=0, ensure_ascii=False).encode()


def photos_from_json(data: bytes, name: str) -> list[SeenPhoto]:
    """The inverse; `name` is for the message of DamagedWeights."""
    try:
        listed = [(url, photo) for url, photos in read_json(data).items() for photo in photos]
        if not all(is_texts(photo) and len(photo) == 3 for _, photo in listed):
            raise OddValue("a photo is not its key, version and sha256")
        return [SeenPhoto(url, *photo) for url, photo in listed]
    except (OddValue, TypeError, AttributeError) as error:
        raise DamagedWeights(f"{name} is no list of photos ({error}); fetch the model again") from error


def photos_of(model: str | Path) -> list[SeenPhoto]:
    """What a model was trained on; empty for one that does not list it. UnknownModel, DamagedWeights."""
    parts = read_card(model).parts
    if PHOTOS not in parts:
        return []
    return photos_from_json(read_file(model, PHOTOS, parts[PHOTOS]), f"{PHOTOS} of model {model}")
