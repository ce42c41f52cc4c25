"""Folders of this machine that oldphoto itself writes to: temporary files of this process, and the user's cache.

The system's temporary folder belongs to all users of the machine. Whoever knows a path there beforehand can make it
first, with links inside; so nothing is ever written to a fixed name in it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

from oldphoto_core.errors import OldPhotoError

_PREFIX = "oldphoto-"
_made: dict[tuple[int, str], Path] = {}
"""By process (a fork has its parent's memory, and not its folder) and by the folder that it lies in."""
_making = threading.Lock()


class NoTemporaryFolder(OldPhotoError):
    """Nothing can be written where temporary files go."""


def private_folder() -> Path:
    """Return this process's own folder inside TMPDIR; it is removed when the process ends.

    Raises:
        NoTemporaryFolder: no folder can be made there.
    """
    with _making:
        try:
            parent = tempfile.gettempdir()
            folder = _made.get((os.getpid(), parent))
            if folder is None or not _is_private(folder):
                folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
                _made[os.getpid(), parent] = folder
                atexit.register(_remove, folder, os.getpid())
        except OSError as error:
            raise NoTemporaryFolder(
                f"no temporary folder can be made: {error.strerror or error}; name a folder with room by TMPDIR"
            ) from error
        return folder


def temporary_folder(purpose: str) -> tempfile.TemporaryDirectory[str]:
    """Return a new folder inside the private one, to be used as a context manager; `purpose` begins its name.

    Raises:
        NoTemporaryFolder: no folder can be made there.
    """
    parent = private_folder()
    try:
        return tempfile.TemporaryDirectory(prefix=f"{purpose}-", dir=parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise NoTemporaryFolder(
            f"no folder can be made in {parent}: {error.strerror or error}; name a folder with room by TMPDIR"
        ) from error


def _is_private(folder: Path) -> bool:
    """Whether it is still ours: what cleans TMPDIR may have removed it, and somebody else made one of that name."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def home_folder() -> Path | None:
    """Return the user's home folder; None for a user without one, as an unknown number in a container."""
    try:
        home = Path.home()
    except (RuntimeError, KeyError):
        return None
    return home if home.is_absolute() else None


def cache_folder() -> Path:
    """Return `oldphoto` in XDG_CACHE_HOME or `~/.cache`, or a part of the private folder.

    The latter where neither can be written, or somebody else made it: XDG_CACHE_HOME may be a folder of all users.
    """
    named, home = Path(os.environ.get("XDG_CACHE_HOME", "")), home_folder()
    # the XDG specification: a relative path there counts as none
    parents = [named] if named.is_absolute() else [home / ".cache"] if home else []
    for folder in (parent / "oldphoto" for parent in parents):
        if _is_writable(folder):
            return folder
    return private_folder() / "cache"


def use_private_compiler_cache() -> None:
    """Have torch keep what it compiles in the cache folder, unless TORCHINDUCTOR_CACHE_DIR is set.

    By itself it loads compiled code from a fixed name in TMPDIR.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "torchinductor"))


def _is_writable(folder: Path) -> bool:
    """Whether this user can write there, and nobody made it for all to write: code is loaded from it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError:
        return False
    is_ours = os.name == "nt" or (found.st_uid in (os.geteuid(), 0) and not found.st_mode & stat.S_IWOTH)
    return is_ours and os.access(folder, os.R_OK | os.W_OK | os.X_OK)
