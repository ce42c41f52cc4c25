"""What every kind of store can do. `Bucket` is the front; local.py, s3.py and memory.py are behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from oldphoto_core.storage.keys import Folding, printable

CHUNK = 8 * 2**20
"""Bytes of an object that are in memory at once."""
UNLISTED = "cannot be listed: "
"""How the version of an entry begins that is a folder which cannot be listed, or of which nobody can tell."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as it was listed."""

    key: str
    """Relative to the bucket folder, "/"-separated."""
    size: int
    """Bytes."""
    version: str
    """Changes whenever the bytes do: ETag (s3), "mtime_ns-size" (files), content hash (memory)."""

    @property
    def is_unlisted(self) -> bool:
        """Whether it stands for a folder that cannot be listed; its version says why."""
        return self.version.startswith(UNLISTED)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A write that was begun and has not ended: a file of a temporary name, or parts of an object sent to S3."""

    key: str
    """Of the temporary file, or of the object that was to be written."""
    touched_at: float
    """When bytes of it last came, in seconds since 1970; of an upload in parts: when it began."""
    upload: str = ""
    """The store's name of an upload in parts."""


class Store(Protocol):
    """One bucket folder. Keys were checked by `Bucket`; every error raised is a `StorageError`."""

    def is_there(self) -> bool:
        """Whether the folder exists (object stores: whether anything lies in it)."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects in the folder `prefix` ("" for all), recursive, sorted by key, keys relative to the store."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly inside the folder `prefix`, sorted."""

    def info(self, key: str) -> ObjectInfo | None:
        """The object as it is now, or None."""

    def read(self, key: str, version: str | None) -> Iterator[bytes]:
        """All bytes in chunks, of exactly this version when one is given; what is wrong may show after the last."""

    def read_inside(self, key: str, version: str | None) -> Iterator[bytes]:
        """`read` of what lies in this store itself; raises UnsafeLink of what a link leads to elsewhere."""

    def read_range(self, key: str, version: str | None, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, which both lie in the object, of exactly this version if given."""

    def write(self, key: str, source: BinaryIO) -> None:
        """All bytes of the source, which may be read from its beginning more than once, or nothing; and verified."""

    def create(self, key: str, source: BinaryIO) -> bool:
        """`write` where nothing lies yet, else False and no change. Of several at once, exactly one gets True."""

    def delete(self, key: str) -> None:
        """Removes the object; one that is not there is no error."""

    def check_destination(self, key: str) -> None:
        """Raises UnsafeLink or UnsafeKey where `write` would; nothing is written, and the rest shows on writing."""

    def folder_links(self, prefix: str) -> Iterator[str]:
        """Keys of the links in the folder `prefix` that lead to folders; nothing is written through them."""

    def folds_names(self) -> tuple[Folding, ...]:
        """What names are not told apart by: upper and lower case, Unicode's forms, or, in most places, nothing."""

    def refuses(self, awkward: Iterable[str]) -> set[str]:
        """Of these (`keys.awkward`) what no name can hold here; mostly nothing."""

    def unfinished(self, folders: tuple[str, ...]) -> Iterator[Unfinished]:
        """Writes under way, or left by the killed: those directly here, and all that are in these folders."""

    def discard(self, write: Unfinished) -> None:
        """Removes one; one that has ended meanwhile is no error."""


def why(error: Exception) -> str:
    """What the operating system says of a file, in a few words."""
    return printable((getattr(error, "strerror", None) or str(error)).lower())


def chunks_of(source: BinaryIO, size: int = CHUNK) -> Iterator[bytes]:
    """The bytes of a source from its beginning."""
    source.seek(0)
    while chunk := source.read(size):
        yield chunk
