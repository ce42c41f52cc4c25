"""A list of keys: a text file, or an object in a bucket, with one key a line."""

from __future__ import annotations

import os
from collections.abc import Iterable

from oldphoto_core.errors import SourceMissing, UsageError
from oldphoto_core.storage.bucket import Bucket
from oldphoto_core.storage.keys import printable


def read_key_list(place: str) -> list[str]:
    """The keys in a file or object, in its order; UTF-8, empty lines and the line ends of Windows do not count.

    A key is taken as it stands: nothing is decoded or cleaned. What `safe_key` refuses is refused when it is read.

    Raises:
        UsageError: there is no such list, it names no key, or it is not UTF-8.
        NoCredentials, StorageError: it cannot be read.
    """
    folder, name = _parted(place)
    try:
        text = Bucket(folder).read(name).decode("utf-8-sig")
    except SourceMissing as error:
        raise UsageError(f"there is no list of keys at {printable(place)}: check the name") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the list of keys {printable(place)} is not UTF-8 at byte {error.start}; save it so"
        ) from error
    # not splitlines: a key may hold what Unicode calls a line separator
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    if keys := [line for line in lines if line]:
        return keys
    raise UsageError(f"the list of keys {printable(place)} is empty; write one key a line")


def write_key_list(place: str, keys: Iterable[str]) -> str:
    """Writes such a list, atomically; returns its sha256. Keys that hold a line end must not be among them."""
    folder, name = _parted(place)
    return Bucket(folder).write(name, "".join(f"{key}\n" for key in keys).encode())


def _parted(place: str) -> tuple[str, str]:
    """The bucket and the name in it."""
    folder, name = os.path.split(place)
    if not name:
        raise UsageError(f"{printable(place)!r} names no list of keys; name a file, or an object's URL")
    return folder or ".", name
