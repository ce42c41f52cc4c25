"""A bucket that is a folder of this machine."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import BinaryIO

from oldphoto_core.errors import ChangedWhileReading, SourceMissing, StorageError, WriteFailed
from oldphoto_core.storage.keys import Folding, is_temporary, printable
from oldphoto_core.storage.store import CHUNK, ObjectInfo, Unfinished, chunks_of, why
from oldphoto_core.storage.temporary import temporary_name


class LocalStore:
    """Files under `root`, an absolute path."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def is_there(self) -> bool:
        """Whether the folder exists."""
        return self.root.is_dir()

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Walks in key order, holding one folder's names at a time; links are followed, loops are not."""
        if self.root.exists() and not self.root.is_dir():
            raise SourceMissing(f"{printable(str(self.root))} is a file, not a folder: name the folder that holds it")
        folder = self.root / prefix
        if folder.is_dir():
            for entry, key in _files(str(folder), f"{prefix}/" if prefix else "", ()):
                if not is_temporary(entry.name):
                    yield from _as_object(entry, key)

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly inside."""
        folder = self.root / prefix
        if folder.is_dir():
            yield from sorted(entry.name for entry in _entries(str(folder)) if entry.is_dir())

    def info(self, key: str) -> ObjectInfo | None:
        """The file as it is now, or None."""
        found = self._found(key)
        return ObjectInfo(key, found.st_size, _version(found)) if found else None

    def read(self, key: str, version: str | None) -> Iterator[bytes]:
        """All bytes; the file's time and size must hold from before the first byte to after the last."""
        with _as_storage_error(self._name(key), "read"), open(self.root / key, "rb") as file:
            before = _version(os.fstat(file.fileno()))
            if version in (None, before):
                yield from chunks_of(file)
            after = _version(os.fstat(file.fileno()))
        if before != after or version not in (None, before):
            raise self._changed(key, after, version or before)

    def read_range(self, key: str, version: str | None, start: int, end: int) -> bytes:
        """Some bytes of the file, while it has that time and size."""
        with _as_storage_error(self._name(key), "read"), open(self.root / key, "rb") as file:
            found = _version(os.fstat(file.fileno()))
            data = os.pread(file.fileno(), end - start, start)
        if version not in (None, found):
            raise self._changed(key, found, version)
        return data

    def write(self, key: str, source: BinaryIO) -> None:
        """Temporary name in the same folder, fsync, read back, rename: a killed writer leaves no such key."""
        self._place(self.root / key, source, os.replace)

    def create(self, key: str, source: BinaryIO) -> bool:
        """The same with a hard link for the rename, which fails where the name is taken, over NFS too."""
        path = self.root / key
        try:
            self._place(path, source, os.link)
        except WriteFailed as error:
            if isinstance(error.__cause__, FileExistsError) and os.path.lexists(path):
                return False
            raise
        return True

    def _place(self, path: Path, source: BinaryIO, put: Callable[[Path, Path], None]) -> None:
        temporary = path.parent / temporary_name()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_verified(temporary, source)
            put(temporary, path)
            _sync_folder(path.parent)
        except OSError as error:
            raise WriteFailed(f"cannot write {printable(str(path))}: {why(error)}; nothing was left there") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def delete(self, key: str) -> None:
        """Removes the file; its folder stays."""
        with _as_storage_error(self._name(key), "deleted"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self.root / key)

    def folds_names(self) -> tuple[Folding, ...]:
        """Tried with a small file, as it depends on the drive."""
        name = f"{temporary_name('probe-')}.\u00e9"
        self.write(name, io.BytesIO(b"oldphoto looks how names are told apart here, and removes this again"))
        try:
            others: dict[Folding, str] = {"case": name.upper(), "unicode": unicodedata.normalize("NFD", name)}
            return tuple(by for by, other in others.items() if os.path.lexists(self.root / other))
        finally:
            self.delete(name)

    def unfinished(self, folders: tuple[str, ...]) -> Iterator[Unfinished]:
        """Files of temporary names."""
        if not self.root.is_dir():
            return
        here = ((entry, entry.name) for entry in _entries(str(self.root)) if not entry.is_dir())
        below = (_files(str(self.root / name), f"{name}/", ()) for name in folders if (self.root / name).is_dir())
        for entry, key in chain(here, chain.from_iterable(below)):
            # one that has gone meanwhile was somebody's who has ended
            if is_temporary(entry.name) and (found := self._found(key)):
                yield Unfinished(key, found.st_mtime)

    def discard(self, write: Unfinished) -> None:
        """Removes the file."""
        self.delete(write.key)

    def _found(self, key: str) -> os.stat_result | None:
        """Of a file; None where there is none."""
        with _as_storage_error(self._name(key), "looked at"):
            try:
                found = os.stat(self.root / key)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return found if stat.S_ISREG(found.st_mode) else None

    def _changed(self, key: str, found: str, wanted: str | None) -> ChangedWhileReading:
        return ChangedWhileReading(f"{self._name(key)} is version {found}, not {wanted}: run again to list it anew")

    def _name(self, key: str) -> str:
        return printable(str(self.root / key))


def _files(folder: str, prefix: str, above: tuple[str, ...]) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Everything but folders, with its key, in the order of the keys."""
    real = os.path.realpath(folder)
    if real in above:
        return
    # a folder sorts as "name/", so that the keys of the whole walk come out in order
    entries = sorted(_entries(folder), key=lambda entry: entry.name + "/" * entry.is_dir())
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry.path, f"{prefix}{entry.name}/", (*above, real))
        else:
            yield entry, prefix + entry.name


def _as_object(entry: os.DirEntry[str], key: str) -> Iterator[ObjectInfo]:
    try:
        found = entry.stat()
    except FileNotFoundError:
        if entry.is_symlink():  # a master that is gone must be accounted for, not vanish from the listing
            yield ObjectInfo(key, 0, "broken link")
        return
    except OSError:
        yield ObjectInfo(key, 0, "unreadable")
        return
    if stat.S_ISREG(found.st_mode):
        yield ObjectInfo(key, found.st_size, _version(found))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with _as_storage_error(folder, "listed"), os.scandir(folder) as entries:
        return list(entries)


def _version(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}-{found.st_size}"


def _write_verified(path: Path, source: BinaryIO) -> None:
    with open(path, "xb") as file:
        file.writelines(chunks_of(source))
        file.flush()
        os.fsync(file.fileno())
    with open(path, "rb") as file:
        for number, (ours, back) in enumerate(zip_longest(chunks_of(source), chunks_of(file))):
            if ours != back:
                raise OSError(errno.EIO, f"what was read back differs after byte {number * CHUNK}")


def _sync_folder(folder: Path) -> None:
    # some network file systems have no fsync for folders: the rename itself has been done by then
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _as_storage_error(name: str, done: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise SourceMissing(f"{printable(name)} is not there, or no longer: run again to list it anew") from error
    except (OSError, ValueError) as error:
        raise StorageError(f"{printable(name)} cannot be {done}: {why(error)}") from error
