"""The files of a folder of this machine, in the order of their keys; no single entry ends a listing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from oldphoto_core.storage.keys import key_of
from oldphoto_core.storage.store import UNLISTED, ObjectInfo, why

SYSTEM_FOLDERS = frozenset({"$RECYCLE.BIN", "RECYCLER", "System Volume Information"})
"""Hidden folders of Windows drives, whose names do not say so."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a walk came upon that is no folder, or that it could not enter."""

    key: str
    entry: os.DirEntry[str]
    problem: str = ""
    """Why a folder cannot be listed, or nobody can tell whether it is one; empty for anything else."""


def walk(folder: str, prefix: str = "", *, follow: bool = True) -> Iterator[Listed]:
    """Everything below a folder but folders, sorted by key; one folder's names are in memory at a time.

    Links to folders are followed, unless they lead to a folder above them; without `follow` no link is. Hidden folders
    that cannot be listed are left out. Raises OSError where `folder` itself cannot be listed.
    """
    # not recursive: a path of 4,096 bytes may have 2,000 folders
    waiting = [iter(_sorted(folder, prefix, follow=follow))]
    above = [_identity(folder)]
    while waiting:
        listed = next(waiting[-1], None)
        if listed is None:
            waiting.pop()
            above.pop()
        elif isinstance(listed, Listed):
            if not listed.problem or not is_hidden(listed.entry.name):
                yield listed
        else:
            entry, key = listed
            try:
                identity = _identity(entry.path)
                if identity in above:
                    continue
                inside = _sorted(entry.path, f"{key}/", follow=follow)
            except FileNotFoundError:
                continue  # it was removed meanwhile
            except OSError as error:
                if not is_hidden(entry.name):
                    yield Listed(key, entry, why(error))
                continue
            waiting.append(iter(inside))
            above.append(identity)


def links_to_folders(folder: str, prefix: str) -> Iterator[str]:
    """Keys of the links below a folder that lead to folders; none is followed."""
    for listed in walk(folder, prefix, follow=False):
        if listed.entry.is_symlink() and os.path.isdir(listed.entry.path):
            yield listed.key


def as_object(listed: Listed) -> Iterator[ObjectInfo]:
    """The object of a listing, if it is one: a master that is gone must be accounted for, and not vanish from it."""
    entry, key = listed.entry, listed.key
    try:
        if listed.problem:
            yield ObjectInfo(key, 0, f"{UNLISTED}{listed.problem}")
        elif stat.S_ISREG((found := entry.stat()).st_mode):
            yield ObjectInfo(key, found.st_size, version_of(found))
    except FileNotFoundError:
        if entry.is_symlink():
            # of a link without an extension nobody knows whether it led to a folder of photos
            folder = not os.path.splitext(entry.name)[1] and not is_hidden(entry.name)
            yield ObjectInfo(key, 0, f"{UNLISTED}a link that leads nowhere" if folder else "broken link")
    except OSError:
        yield ObjectInfo(key, 0, "unreadable")


def is_hidden(name: str) -> bool:
    """Whether people and systems hide a folder of this name."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def version_of(found: os.stat_result) -> str:
    """Of a file: its time and size."""
    return f"{found.st_mtime_ns}-{found.st_size}"


def _sorted(folder: str, prefix: str, *, follow: bool) -> list[Listed | tuple[os.DirEntry[str], str]]:
    """The entries of one folder: those to enter as pairs with their keys."""
    found: list[tuple[str, Listed | tuple[os.DirEntry[str], str]]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            key = prefix + key_of(entry.name)
            try:
                # a folder sorts as "name/", so that the keys of the whole walk come out in order
                is_folder = entry.is_dir(follow_symlinks=follow)
                found.append((f"{key}/", (entry, key)) if is_folder else (key, Listed(key, entry)))
            except OSError as error:  # a link to itself, or into a folder that may not be entered
                found.append((key, Listed(key, entry, why(error))))
    return [listed for _, listed in sorted(found, key=lambda each: each[0])]


def _identity(folder: str) -> tuple[int, int]:
    """Device and inode."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino
