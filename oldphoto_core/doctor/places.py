"""What may be done in a folder or bucket: listing, reading and, where it is asked for, writing are tried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from oldphoto_core.doctor.finding import Finding
from oldphoto_core.errors import NoConditions, OldPhotoError
from oldphoto_core.storage import Bucket, ObjectInfo

_VARIABLES = (
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)
_FILES = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}


def place(url: str, *, write: bool = False) -> Iterator[Finding]:
    """Credentials by name (never by value), then what they allow; `write`: a small object is put there and removed.

    Raises:
        UsageError: no URL of a folder or bucket.
    """
    bucket = Bucket(url)
    if bucket.scheme == "s3":
        yield _credentials()
    try:
        first = next((info for info in bucket.list() if not info.is_unlisted), None)
    except OldPhotoError as error:
        first = None
        yield Finding("place", "list", "bad", str(error))
    else:
        yield Finding("place", "list", "ok", bucket.url if first else f"{bucket.url} is empty, or not there yet")
    if first is not None:
        yield _read(bucket, first)
    if write:
        written = _write(bucket)
        yield written
        if written.state == "ok":
            yield _conditions(bucket)


def _credentials() -> Finding:
    named = [name for name in _VARIABLES if os.environ.get(name)]
    files = [path for name, default in _FILES.items() if (path := os.environ.get(name, default)) and _is_file(path)]
    if not named and not files:
        return Finding("place", "credentials", "note", "none set: only a role of this machine can let you in")
    return Finding("place", "credentials", "ok", f"set: {', '.join([*named, *files])}")


def _is_file(path: str) -> bool:
    return Path(path).expanduser().is_file()


def _read(bucket: Bucket, info: ObjectInfo) -> Finding:
    try:
        bucket.read_range(info.key, 0, min(info.size, 16))
    except OldPhotoError as error:
        return Finding("place", "read", "bad", str(error))
    return Finding("place", "read", "ok", f"the beginning of {info.key}")


def _write(bucket: Bucket) -> Finding:
    try:
        bucket.check_writable()
    except OldPhotoError as error:
        return Finding("place", "write", "bad", str(error))
    return Finding("place", "write", "ok", "a small object was written, read back and removed")


def _conditions(bucket: Bucket) -> Finding:
    try:
        bucket.check_conditions()
    except NoConditions as error:
        without = "nobody keeps a second run out of this place, and no registry of models can be here"
        return Finding("place", "conditional write", "note", f"{without}: {error}")
    except OldPhotoError as error:
        return Finding("place", "conditional write", "bad", str(error))
    return Finding("place", "conditional write", "ok", "an object is created only where none is")
