"""A bucket that is a folder of this machine."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from oldphoto_core.errors import (
    ChangedWhileReading,
    NoConditions,
    SourceMissing,
    StorageError,
    UnsafeKey,
    UnsafeLink,
    WriteFailed,
)
from oldphoto_core.storage.folders import Folder, open_folder
from oldphoto_core.storage.keys import Folding, file_name, is_temporary, key_of, printable, shown
from oldphoto_core.storage.local.files import READ, NoLinks, check_name, create_link, regular, write_verified
from oldphoto_core.storage.local.listing import as_object, links_to_folders, version_of, walk
from oldphoto_core.storage.store import ObjectInfo, Unfinished, chunks_of, why
from oldphoto_core.storage.temporary import temporary_name

_SHORT_NAME = 100
"""Bytes that any file system takes in one name."""
_LONGEST_PATH = 4095
"""Bytes of a path that Linux takes; macOS takes 1023, which shows on writing."""


class LocalStore:
    """Files under `root`, an absolute path.

    Reading follows links. Writing and deleting follow none below `anchor`, the folder that the user named, which is
    `root` or holds it.
    """

    def __init__(self, root: Path, anchor: Path | None = None) -> None:
        self.root, self._anchor = root, anchor or root
        self._below = root.relative_to(self._anchor).parts

    def is_there(self) -> bool:
        """Whether the folder exists."""
        return self.root.is_dir()

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Walks in key order, holding one folder's names at a time; links are followed, loops are not."""
        if self.root.exists() and not self.root.is_dir():
            raise SourceMissing(f"{self._name()} is a file, not a folder: name the folder that holds it")
        folder = self._path(prefix)
        if not folder.is_dir():
            return
        with _as_storage_error(str(folder), "listed"):
            for listed in walk(str(folder), f"{prefix}/" if prefix else ""):
                if not is_temporary(listed.entry.name):
                    yield from as_object(listed)

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly inside."""
        folder = self._path(prefix)
        if not folder.is_dir():
            return
        with _as_storage_error(str(folder), "listed"), os.scandir(folder) as entries:
            names = sorted(key_of(entry.name) for entry in entries if os.path.isdir(entry.path))
        yield from names

    def folder_links(self, prefix: str) -> Iterator[str]:
        """Links that lead to folders."""
        folder = self._path(prefix)
        if folder.is_symlink():
            yield prefix
        elif folder.is_dir():
            with _as_storage_error(str(folder), "listed"):
                yield from links_to_folders(str(folder), f"{prefix}/" if prefix else "")

    def info(self, key: str) -> ObjectInfo | None:
        """The file as it is now, or None."""
        found = self._found(key)
        return ObjectInfo(key, found.st_size, version_of(found)) if found else None

    def read(self, key: str, version: str | None) -> Iterator[bytes]:
        """All bytes; the file's time and size must hold from before the first byte to after the last."""
        with _as_storage_error(self._name(key), "read"), regular(os.open(self._path(key), READ)) as file:
            yield from self._contents(key, file, version)

    def read_inside(self, key: str, version: str | None) -> Iterator[bytes]:
        """The same of a file that really lies below `root`, whatever links lead to it."""
        root, path = os.path.realpath(self.root), os.path.realpath(self._path(key))
        if not path.startswith(root.rstrip("/") + "/"):
            raise UnsafeLink(f"{self._name(key)} is a link that leads out of {self._name()}")
        *parts, name = Path(path).relative_to(root).parts
        # no part of a resolved path is a link, unless somebody puts one there meanwhile
        with (
            _as_storage_error(self._name(key), "read"),
            open_folder(Path(root), parts) as folder,
            regular(folder.open(name, READ)) as file,
        ):
            yield from self._contents(key, file, version)

    def _contents(self, key: str, file: BinaryIO, version: str | None) -> Iterator[bytes]:
        before = version_of(os.fstat(file.fileno()))
        if version in (None, before):
            yield from chunks_of(file)
        after = version_of(os.fstat(file.fileno()))
        if before != after or version not in (None, before):
            raise self._changed(key, after, version or before)

    def read_range(self, key: str, version: str | None, start: int, end: int) -> bytes:
        """Some bytes of the file, while it has that time and size."""
        with _as_storage_error(self._name(key), "read"), regular(os.open(self._path(key), READ)) as file:
            found = version_of(os.fstat(file.fileno()))
            data = os.pread(file.fileno(), end - start, start)
        if version not in (None, found):
            raise self._changed(key, found, version)
        return data

    def write(self, key: str, source: BinaryIO) -> None:
        """Temporary name in the same folder, fsync, read back, rename: a killed writer leaves no such key."""
        try:
            self._place(key, source, Folder.replace)
        except OSError as error:
            raise self._not_written(key, error) from error

    def create(self, key: str, source: BinaryIO) -> bool:
        """The same with a hard link for the rename, which fails where the name is taken, over NFS too."""
        try:
            self._place(key, source, create_link)
        except FileExistsError as error:
            if os.path.lexists(self._path(key)):
                return False
            raise self._not_written(key, error) from error
        except OSError as error:
            raise self._not_written(key, error) from error
        return True

    def _place(self, key: str, source: BinaryIO, put: Callable[[Folder, str, str], None]) -> None:
        *parts, name = file_name(key).split("/")
        temporary = temporary_name()
        with open_folder(self._anchor, [*self._below, *parts], create=True) as folder:
            try:
                write_verified(folder, temporary, source)
                put(folder, temporary, name)
                folder.sync()
            finally:
                with contextlib.suppress(OSError):
                    folder.unlink(temporary)

    def delete(self, key: str) -> None:
        """Removes the file; its folder stays."""
        *parts, name = file_name(key).split("/")
        with (
            _as_storage_error(self._name(key), "deleted"),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            open_folder(self._anchor, [*self._below, *parts]) as folder,
        ):
            folder.unlink(name)

    def check_destination(self, key: str) -> None:
        """Names are looked up, which a file system refuses for those that it does not take."""
        if len(os.fsencode(self._path(key))) > _LONGEST_PATH:
            raise UnsafeKey(f"the path of {printable(key)} is longer than {_LONGEST_PATH} bytes: name a shorter target")
        parts = [*self._below, *file_name(key).split("/")]
        names = [name for name in file_name(key).split("/") if len(os.fsencode(name)) > _SHORT_NAME]
        for root, below in self._nearest(parts[:-1]):
            try:
                with open_folder(root, below) as folder:
                    for name in names:
                        check_name(folder, name)
                return
            except (FileNotFoundError, NotADirectoryError):
                continue  # it is yet to be made, and then has the file system of the folder above it
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    return  # writing it says why

    def _nearest(self, parts: Sequence[str]) -> Iterator[tuple[Path, Sequence[str]]]:
        """A folder below the anchor, then those above it, as anchors and parts below them."""
        for known in range(len(parts), -1, -1):
            yield self._anchor, parts[:known]
        for above in self._anchor.parents:
            yield above, []

    def folds_names(self) -> tuple[Folding, ...]:
        """Tried with a small file, as it depends on the drive."""
        name = f"{temporary_name('probe-')}.\u00e9"
        self.write(name, io.BytesIO(b"oldphoto looks how names are told apart here, and removes this again"))
        try:
            others: dict[Folding, str] = {"case": name.upper(), "unicode": unicodedata.normalize("NFD", name)}
            return tuple(by for by, other in others.items() if os.path.lexists(self._path(other)))
        finally:
            self.delete(name)

    def refuses(self, awkward: Iterable[str]) -> set[str]:
        """Tried with a small file each, as it depends on the drive."""
        return {each for each in awkward if not self._takes(f"{temporary_name('probe-')}{each}")}

    def _takes(self, name: str) -> bool:
        """Whether a file can have this name, and keeps it."""
        try:
            self.write(name, io.BytesIO(b"oldphoto looks which names are taken here, and removes this again"))
            return name in os.listdir(self.root)
        except WriteFailed:
            return False
        finally:
            with contextlib.suppress(StorageError):
                self.delete(name)

    def unfinished(self, folders: tuple[str, ...]) -> Iterator[Unfinished]:
        """Files of temporary names; no link is followed to look for them."""
        if not self.root.is_dir():
            return
        with _as_storage_error(str(self.root), "listed"), os.scandir(self.root) as entries:
            keys = [key_of(entry.name) for entry in entries if not entry.is_dir(follow_symlinks=False)]
        for name in folders:
            below = self._path(name)
            if below.is_dir() and not below.is_symlink():
                with _as_storage_error(str(below), "listed"):
                    keys += [listed.key for listed in walk(str(below), f"{name}/", follow=False)]
        for key in keys:
            # one that has gone meanwhile was somebody's who has ended
            if is_temporary(key) and (found := self._found(key)):
                yield Unfinished(key, found.st_mtime)

    def discard(self, write: Unfinished) -> None:
        """Removes the file."""
        self.delete(write.key)

    def _found(self, key: str) -> os.stat_result | None:
        """Of a file; None where there is none."""
        with _as_storage_error(self._name(key), "looked at"):
            try:
                found = os.stat(self._path(key))
            except (FileNotFoundError, NotADirectoryError):
                return None
        return found if stat.S_ISREG(found.st_mode) else None

    def _changed(self, key: str, found: str, wanted: str | None) -> ChangedWhileReading:
        return ChangedWhileReading(f"{self._name(key)} is version {found}, not {wanted}: run again to list it anew")

    def _not_written(self, key: str, error: OSError) -> StorageError:
        if isinstance(error, NoLinks):
            return NoConditions(
                f"{self._name()} lies on a file system without hard links, where nothing can be created"
                " only if it is absent; use another file system to have that"
            )
        return WriteFailed(f"cannot write {self._name(key)}: {why(error)}; nothing was left there")

    def _path(self, key: str) -> Path:
        return self.root / file_name(key)

    def _name(self, key: str = "") -> str:
        return shown(self._path(key))


@contextlib.contextmanager
def _as_storage_error(name: str, done: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise SourceMissing(f"{printable(name)} is not there, or no longer: run again to list it anew") from error
    except (OSError, ValueError) as error:
        raise StorageError(f"{printable(name)} cannot be {done}: {why(error)}") from error
