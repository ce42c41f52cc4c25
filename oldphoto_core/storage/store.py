"""What every kind of store can do. `Bucket` is the front; local.py, s3.py and memory.py are behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as it was listed."""

    key: str
    """Relative to the bucket folder, "/"-separated."""
    size: int
    """Bytes."""
    version: str
    """Changes whenever the bytes do: ETag (s3), "mtime_ns-size" (files), content hash (memory)."""


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

    def read(self, key: str, version: str | None) -> bytes:
        """All bytes, of exactly this version when one is given."""

    def write(self, key: str, data: bytes) -> None:
        """All bytes or nothing, and verified."""

    def delete(self, key: str) -> None:
        """Removes the object; one that is not there is no error."""
