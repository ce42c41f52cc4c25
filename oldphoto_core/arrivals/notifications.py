"""What a bucket says when objects arrive, and which keys of a collection that means.

Read are the notifications of S3 (also inside an SNS envelope) and of MinIO, EventBridge's "Object Created", and a plain
list of keys. Only that something was created counts, and under which key: size, version and order are looked up
in the bucket when the photo is restored, so late, repeated and disordered notifications do no harm.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from oldphoto_core.errors import OldPhotoError, UnsafeKey
from oldphoto_core.storage import Bucket, is_image_key, safe_key

CREATED = "ObjectCreated:"
"""How S3 and MinIO begin the names of what is an arrival."""

EXAMPLES = 20
"""Refused keys that are named."""


class BadNotification(OldPhotoError):
    """A body that is none of the known notifications."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An object that a notification says was created."""

    bucket: str | None
    """Name of its bucket; None: the key is relative to the collection."""
    key: str
    """As it is in the bucket, decoded."""


@dataclass(slots=True)
class Sorted:
    """What arrivals mean for one collection."""

    keys: list[str] = field(default_factory=list)
    """Images of the collection, relative to its folder, each once."""
    refused: list[str] = field(default_factory=list)
    """Why keys are unsafe, a line each, of the first EXAMPLES; for people."""
    refused_count: int = 0
    """Unsafe keys; one body may hold hundreds of thousands."""
    elsewhere: int = 0
    """Objects of other buckets or folders, and such as are no images."""


def read_notification(body: bytes) -> list[Arrived]:
    """The objects that a notification says were created; none for deletions and S3's test event.

    Raises:
        BadNotification: it is not JSON, or none of the known kinds.
    """
    try:
        return _arrivals(json.loads(body.decode("utf-8-sig")))
    except (ValueError, RecursionError) as error:
        raise BadNotification("the body is not JSON in UTF-8; send a bucket notification, or a list of keys") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise BadNotification(f"the notification lacks what its kind must have ({type(error).__name__})") from error


def sort_arrivals(arrivals: Iterable[Arrived], source: Bucket) -> Sorted:
    """Which keys of `source` the arrivals are; what is unsafe is refused here, before anything is kept."""
    name, _, folder = source.url.partition("://")[2].partition("/") if source.scheme == "s3" else (None, "", "")
    keys: dict[str, None] = {}
    out = Sorted()
    for arrived in arrivals:
        key = arrived.key
        try:
            safe_key(key)
        except UnsafeKey as error:
            out.refused_count += 1
            if len(out.refused) < EXAMPLES:
                out.refused.append(str(error))
            continue
        if arrived.bucket is not None:
            inside = arrived.bucket == name and key.startswith(f"{folder}/" if folder else "")
            key = key[len(folder) + 1 :] if inside and folder else key
            if not inside or not key:
                out.elsewhere += 1
                continue
        if is_image_key(key):
            keys[key] = None
        else:
            out.elsewhere += 1
    out.keys = list(keys)
    return out


def _arrivals(message: Any) -> list[Arrived]:
    if isinstance(message, list) or (isinstance(message, dict) and message.keys() == {"keys"}):
        return [_plain(key) for key in (message if isinstance(message, list) else message["keys"])]
    if not isinstance(message, dict):
        raise BadNotification(f"the body is a {type(message).__name__}; send a bucket notification, or a list of keys")
    if "Records" in message:
        return [found for record in message["Records"] for found in _of_record(record)]
    if "detail-type" in message:
        return _of_eventbridge(message)
    if message.get("Type") == "Notification" and "Message" in message:
        inner = json.loads(message["Message"])
        if isinstance(inner, dict) and "Message" in inner:
            raise BadNotification("an SNS envelope inside another; nobody sends that")
        return _arrivals(inner)
    if message.get("Event") == "s3:TestEvent":
        return []
    raise BadNotification("no Records, detail-type or keys in the body; send a bucket notification, or a list of keys")


def _plain(key: Any) -> Arrived:
    if not isinstance(key, str):
        raise BadNotification(f"the list of keys holds a {type(key).__name__}; every key is a string")
    return Arrived(None, key)


def _of_record(record: dict[str, Any]) -> list[Arrived]:
    # MinIO writes s3:ObjectCreated:Put where S3 writes ObjectCreated:Put
    if not record["eventName"].removeprefix("s3:").startswith(CREATED):
        return []
    thing = record["s3"]
    # in records keys are encoded like a form, so that "+" is a space; in EventBridge's they are not
    return [_named(thing["bucket"]["name"], unquote_plus(thing["object"]["key"], errors="surrogateescape"))]


def _of_eventbridge(message: dict[str, Any]) -> list[Arrived]:
    if message["detail-type"] != "Object Created":
        return []
    detail = message["detail"]
    return [_named(detail["bucket"]["name"], detail["object"]["key"])]


def _named(bucket: Any, key: Any) -> Arrived:
    if not isinstance(bucket, str) or not isinstance(key, str):
        raise BadNotification("bucket and key of a notification must be strings")
    return Arrived(bucket, key)
