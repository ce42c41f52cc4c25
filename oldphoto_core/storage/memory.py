"""A bucket in this process's memory (fsspec's), for tests and notebooks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any, BinaryIO

from oldphoto_core.errors import ChangedWhileReading, SourceMissing, WriteFailed
from oldphoto_core.storage.keys import Folding, is_temporary, printable
from oldphoto_core.storage.store import ObjectInfo, Unfinished

_creating = Lock()


class MemoryStore:
    """Objects of fsspec's one memory file system whose path begins with `root` ("/name/folder")."""

    def __init__(self, root: str) -> None:
        from fsspec.implementations.memory import MemoryFileSystem

        self.root = root
        self.files: Any = MemoryFileSystem()

    def is_there(self) -> bool:
        """Whether anything lies there."""
        return next(self._keys(""), None) is not None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects, sorted by key."""
        infos = (self.info(key) for key in self._keys(prefix) if not is_temporary(key))
        yield from (info for info in infos if info)

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly inside."""
        skip = len(prefix) + 1 if prefix else 0
        yield from sorted({key[skip:].split("/")[0] for key in self._keys(prefix) if "/" in key[skip:]})

    def info(self, key: str) -> ObjectInfo | None:
        """The object as it is now, or None."""
        data = self._bytes(key)
        return None if data is None else ObjectInfo(key, len(data), _version(data))

    def read(self, key: str, version: str | None) -> Iterator[bytes]:
        """All bytes, of exactly this version when one is given, in one chunk: they are in memory anyway."""
        data = self._bytes(key)
        if data is None:
            raise SourceMissing(f"{printable(key)} is not there, or no longer: run again to list it anew")
        if version not in (None, found := _version(data)):
            raise ChangedWhileReading(f"{printable(key)} is version {found}, not {version}: run again to list it anew")
        yield data

    def read_inside(self, key: str, version: str | None) -> Iterator[bytes]:
        """The same: there are no links."""
        return self.read(key, version)

    def read_range(self, key: str, version: str | None, start: int, end: int) -> bytes:
        """Some bytes, of exactly this version when one is given."""
        return next(self.read(key, version))[start:end]

    def write(self, key: str, source: BinaryIO) -> None:
        """All bytes in one step."""
        source.seek(0)
        try:
            self.files.pipe_file(f"{self.root}/{key}", source.read())
        except OSError as error:
            raise WriteFailed(f"cannot write {printable(key)} to memory:/{self.root}: {error}") from error

    def create(self, key: str, source: BinaryIO) -> bool:
        """All bytes in one step, unless something is there; threads of this process take turns."""
        with _creating:
            if self._bytes(key) is not None:
                return False
            self.write(key, source)
        return True

    def delete(self, key: str) -> None:
        """Removes the object if it is there."""
        self.files.store.pop(f"{self.root}/{key}", None)

    def check_destination(self, key: str) -> None:
        """Takes every key."""

    def folder_links(self, prefix: str) -> Iterator[str]:
        """None: there are no links."""
        yield from ()

    def folds_names(self) -> tuple[Folding, ...]:
        """Nothing: keys are bytes."""
        return ()

    def refuses(self, awkward: Iterable[str]) -> set[str]:
        """Nothing: keys are bytes."""
        return set()

    def unfinished(self, folders: tuple[str, ...]) -> Iterator[Unfinished]:
        """None: what was begun is gone with the process."""
        yield from ()

    def discard(self, write: Unfinished) -> None:
        """Nothing to do."""

    def _keys(self, prefix: str) -> Iterator[str]:
        start = f"{self.root}/{prefix}/" if prefix else f"{self.root}/"
        yield from sorted(path[len(self.root) + 1 :] for path in list(self.files.store) if path.startswith(start))

    def _bytes(self, key: str) -> bytes | None:
        # not cat_file: its file objects share one position between threads
        file = self.files.store.get(f"{self.root}/{key}")
        return None if file is None else file.getvalue()


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
