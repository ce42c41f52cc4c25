"""Single files of this machine: opened, written and verified, linked."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from itertools import zip_longest
from typing import BinaryIO

from oldphoto_core.errors import UnsafeKey
from oldphoto_core.storage.folders import Folder
from oldphoto_core.storage.keys import shown
from oldphoto_core.storage.store import CHUNK, chunks_of

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EACCES}
"""What file systems say that have no hard links: exFAT, FAT32, some of SMB and FUSE."""
READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""A named pipe is not waited for."""


class NoLinks(OSError):
    """The file system has no hard links."""


def create_link(folder: Folder, temporary: str, name: str) -> None:
    """Puts a written file where nothing lies; raises FileExistsError, NoLinks."""
    try:
        folder.link(temporary, name)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise NoLinks(error.errno, error.strerror) from error
        raise


def check_name(folder: Folder, name: str) -> None:
    """Raises UnsafeKey where the file system takes no name as long."""
    try:
        folder.stat(name)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UnsafeKey(
                f"{shown(name)} is a name of {len(os.fsencode(name))} bytes, which is more than"
                f" {shown(folder.path)} takes: rename the photo, or name a target that takes longer names"
            ) from error


@contextlib.contextmanager
def regular(handle: int) -> Iterator[BinaryIO]:
    """The open file; a pipe or a device is refused, which could give bytes without end, or wait for them."""
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, and no file")
        yield file


def write_verified(folder: Folder, name: str, source: BinaryIO) -> None:
    """Writes a new file, makes it durable, reads it back and compares; raises OSError."""
    with os.fdopen(folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.writelines(chunks_of(source))
        file.flush()
        os.fsync(file.fileno())
    with os.fdopen(folder.open(name, os.O_RDONLY), "rb") as file:
        for number, (ours, back) in enumerate(zip_longest(chunks_of(source), chunks_of(file))):
            if ours != back:
                raise OSError(errno.EIO, f"what was read back differs after byte {number * CHUNK}")
