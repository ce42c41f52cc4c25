"""Folders below a bucket's root, opened one component at a time, so that no link leads a write out of the bucket.

The root itself may be a link, or lie behind one: the user named it. What lies below it may have been put there by
somebody else, and is never followed by what writes or deletes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from oldphoto_core.errors import UnsafeLink
from oldphoto_core.storage.keys import shown

HAS_HANDLES = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
"""Whether the system opens files relative to an open folder (Linux, macOS); elsewhere each component is looked at."""
# O_PATH asks for no right to list the folder
_ENTER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_PATH", os.O_RDONLY)
_STEP = _ENTER | getattr(os, "O_NOFOLLOW", 0)
_JUNCTION = 0xA0000003
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Folder:
    """An open folder; every name that its methods take lies directly inside it."""

    path: Path
    """For messages, and for systems without handles."""
    handle: int | None
    """An open directory; None where the system has no such handles."""

    def open(self, name: str, flags: int) -> int:
        """A file descriptor, which the caller closes; a link of that name is refused (OSError)."""
        return os.open(self._place(name), flags | _FILE, 0o666, dir_fd=self.handle)

    def stat(self, name: str) -> os.stat_result:
        """The entry itself, also where it is a link."""
        return os.stat(self._place(name), dir_fd=self.handle, follow_symlinks=False)

    def identity(self) -> tuple[int, int]:
        """Device and inode of the folder: equal for one folder that is mounted at two places."""
        found = os.stat(self.path if self.handle is None else self.handle)
        return found.st_dev, found.st_ino

    def replace(self, old: str, new: str) -> None:
        """Renames a file; a file or link of the new name is replaced, and what a link leads to stays."""
        os.replace(self._place(old), self._place(new), src_dir_fd=self.handle, dst_dir_fd=self.handle)

    def link(self, old: str, new: str) -> None:
        """Gives a file a second name; raises FileExistsError where that is taken."""
        os.link(self._place(old), self._place(new), src_dir_fd=self.handle, dst_dir_fd=self.handle)

    def unlink(self, name: str) -> None:
        """Removes a file, or a link and not what it leads to."""
        os.unlink(self._place(name), dir_fd=self.handle)

    def make(self, name: str) -> None:
        """Makes a folder; raises FileExistsError where the name is taken."""
        os.mkdir(self._place(name), dir_fd=self.handle)

    def sync(self) -> None:
        """Makes renames durable, where the file system can: some network file systems have no fsync for folders."""
        with contextlib.suppress(OSError):
            handle = os.open(self._place("."), os.O_RDONLY, dir_fd=self.handle)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _place(self, name: str) -> str:
        return name if self.handle is not None else str(self.path / name)


@contextlib.contextmanager
def open_folder(root: Path, parts: Sequence[str], *, create: bool = False) -> Iterator[Folder]:
    """Opens the folder `root`/`parts`; with `create`, makes what is missing of it.

    Raises:
        UnsafeLink: one of the parts is a link.
        OSError: the folder is not there, is a file, or may not be entered.
    """
    if create:
        root.mkdir(parents=True, exist_ok=True)
    folder = Folder(root, os.open(root, _ENTER) if HAS_HANDLES else None)
    try:
        for part in parts:
            following = _step(folder, part, create=create)
            _close(folder)
            folder = following
        yield folder
    finally:
        _close(folder)


def _step(folder: Folder, part: str, *, create: bool) -> Folder:
    path = folder.path / part
    try:
        found = folder.stat(part)
    except FileNotFoundError:
        if not create:
            raise
        with contextlib.suppress(FileExistsError):
            folder.make(part)
        found = folder.stat(part)
    # this says why; where a link is put there after it, the open below refuses that
    if is_link(found):
        raise UnsafeLink(
            f"{shown(path)} is a link, and nothing is written or removed through a link below a target:"
            " replace it by a folder, or name the place it leads to as the target"
        )
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    return Folder(path, os.open(part, _STEP, dir_fd=folder.handle) if folder.handle is not None else None)


def is_link(found: os.stat_result) -> bool:
    """Whether an entry is a symbolic link or, on Windows, a junction."""
    return stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", 0) == _JUNCTION


def _close(folder: Folder) -> None:
    if folder.handle is not None:
        os.close(folder.handle)
