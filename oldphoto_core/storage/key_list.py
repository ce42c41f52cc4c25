"""A list of keys: a text file, or an object in a bucket, with one key a line."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator

from oldphoto_core.errors import SourceMissing, StorageError, UsageError
from oldphoto_core.folders import temporary_folder
from oldphoto_core.storage.bucket import Bucket
from oldphoto_core.storage.keys import printable
from oldphoto_core.storage.store import why


def read_key_list(place: str) -> list[str]:
    """The keys in a file or object, in its order; UTF-8, empty lines and the line ends of Windows do not count.

    "-" is the standard input. That, and any other stream (a named pipe, `<(...)`), can be read only once.

    A key is taken as it stands: nothing is decoded or cleaned. What `safe_key` refuses is refused when it is read.

    Raises:
        UsageError: there is no such list, it names no key, or it is not UTF-8.
        NoCredentials, StorageError: it cannot be read.
    """
    try:
        text = _content(place).decode("utf-8-sig")
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


def is_stream(place: str) -> bool:
    """Whether the list comes from the standard input or from a pipe, which can be read only once."""
    if place == "-":
        return True
    try:
        return "://" not in place and not stat.S_ISREG(mode := os.stat(place).st_mode) and not stat.S_ISDIR(mode)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def as_file(place: str) -> Iterator[str]:
    """The place itself or, of a stream, that of a temporary file with what came from it.

    Raises:
        UsageError: as `read_key_list`, of a stream.
    """
    if not is_stream(place):
        yield place
        return
    with temporary_folder("keys") as folder:
        path = os.path.join(folder, "keys")
        write_key_list(path, read_key_list(place))
        yield path


def write_key_list(place: str, keys: Iterable[str]) -> str:
    """Writes such a list, atomically; returns its sha256. Keys that hold a line end must not be among them."""
    folder, name = _parted(place)
    return Bucket(folder).write(name, encode_key_list(keys))


def encode_key_list(keys: Iterable[str]) -> bytes:
    """The bytes of such a list."""
    return "".join(f"{key}\n" for key in keys).encode()


def _content(place: str) -> bytes:
    if not is_stream(place):
        folder, name = _parted(place)
        return Bucket(folder).read(name)
    try:
        # a duplicate: closing it leaves the standard input open
        with open(os.dup(0) if place == "-" else place, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise StorageError(f"the list of keys {printable(place)} cannot be read: {why(error)}") from error


def _parted(place: str) -> tuple[str, str]:
    """The bucket and the name in it."""
    folder, name = os.path.split(place)
    if not name:
        raise UsageError(f"{printable(place)!r} names no list of keys; name a file, or an object's URL")
    return folder or ".", name
