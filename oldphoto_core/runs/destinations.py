"""Photos whose results cannot be written where they belong: known before any work is done, and in `--check`.

A name may be too long for the target, a folder of the target may be a link, or may be a folder of masters itself: a
second mount, or a link in the source that leads into the target. `storage` refuses links once more when it writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from oldphoto_core.errors import StorageError, UnsafeKey, UnsafeLink
from oldphoto_core.reports.record import mask_key
from oldphoto_core.storage import Bucket, LedgerRow
from oldphoto_core.storage.keys import awkward, file_name

if TYPE_CHECKING:
    from oldphoto_core.pipeline.options import RestoreOptions
    from oldphoto_core.runs.plan import Plan

_SHORT_KEY = 100
"""Bytes of a key that a folder of any file system takes, so that its folder alone needs a look."""
_SHORT_KEY_OF_OBJECTS = 1000
"""Bytes of a URL and a key together that any object store takes."""
_Identity = tuple[int, int]
"""Device and inode of a folder."""


def refuse_unwritable(plan: Plan, source: Bucket, target: Bucket, options: RestoreOptions, keys: Iterable[str]) -> None:
    """Moves photos that cannot be written to the target out of the plan, and to those that fail.

    `keys`: of all that lies in the source. What was restored before stays as it is.
    """
    masters = Masters(source.folder, keys) if source.folder and target.folder else None
    destinations = Destinations(target, masters)
    planned = [photo.key for photo in plan.photos]
    planned += [row.key for row in plan.skipped if row.reason == "output exists"]
    problems = ((key, destinations.problem(key, options.output_key(key))) for key in planned)
    refused = {key: problem for key, problem in problems if problem}
    versions = {photo.key: photo.version for photo in plan.photos} | {row.key: row.version for row in plan.skipped}
    plan.failed += [
        LedgerRow(key=key, version=versions[key], status="failed", reason=error.reason, detail=str(error))
        for key, error in refused.items()
    ]
    plan.photos = [photo for photo in plan.photos if photo.key not in refused]
    plan.skipped = [row for row in plan.skipped if row.key not in refused]


def refuse_awkward(plan: Plan, target: Bucket) -> None:
    """Moves photos with characters that the target takes in no name out of the plan, and to those that fail.

    The target is only asked, with small files, where names hold any.
    """
    held = {photo.key: awkward(photo.key) for photo in plan.photos}
    wanted = set[str]().union(*held.values())
    refused = target.refuses(sorted(wanted)) if wanted else set()
    for photo in plan.photos:
        if refused & held[photo.key]:
            which = " ".join(repr(each) for each in sorted(refused & held[photo.key]))
            detail = f"{target} takes no name with {which}, or none that ends so: rename it, or name another target"
            plan.failed.append(
                LedgerRow(key=photo.key, version=photo.version, status="failed", reason="unsafe key", detail=detail)
            )
    plan.photos = [photo for photo in plan.photos if not refused & held[photo.key]]


class Masters:
    """Where the masters of a folder really lie, so that no result is written there."""

    def __init__(self, root: Path, keys: Iterable[str]) -> None:
        self._root = root
        self._folders: dict[_Identity, str] = {}
        self._files: dict[tuple[_Identity, str], str] = {}
        seen: set[str] = set()
        for key in keys:
            folder = key.rpartition("/")[0]
            while folder not in seen:
                seen.add(folder)
                self._add_folder(folder)
                folder = folder.rpartition("/")[0]
            if os.path.islink(path := os.path.join(self._root, file_name(key))):
                self._add_file(key, Path(os.path.realpath(path)))

    @property
    def has_links(self) -> bool:
        """Whether any photo of the source is a link."""
        return bool(self._files)

    def folder_at(self, folder: Path) -> str | None:
        """The source's name of this folder; None: it is none of the source's, or is not there."""
        identity = _identity(folder)
        return self._folders.get(identity) if identity else None

    def key_at(self, path: Path) -> str | None:
        """Key of the photo whose link leads to this file."""
        identity = _identity(path.parent) if self._files else None
        return self._files.get((identity, path.name)) if identity else None

    def _add_folder(self, folder: str) -> None:
        if identity := _identity(self._root / file_name(folder)):
            self._folders.setdefault(identity, str(self._root / file_name(folder)))

    def _add_file(self, key: str, real: Path) -> None:
        if identity := _identity(real.parent):
            self._files[identity, real.name] = key


class Destinations:
    """Looks at places in a target, each folder once."""

    def __init__(self, target: Bucket, masters: Masters | None) -> None:
        self._target, self._masters = target, masters
        self._root = target.folder or Path()
        self._bound = _SHORT_KEY if target.folder else _SHORT_KEY_OF_OBJECTS - len(target.url.encode())
        self._folders: dict[str, StorageError | None] = {}

    def problem(self, key: str, output: str) -> StorageError | None:
        """Why the results of the photo with this key cannot be written; None: nothing is known against it."""
        places = (f"photos/{output}", f"records/{key}.json", mask_key(key, paged=False))
        return next((problem for place in places if (problem := self.at(place))), None)

    def at(self, place: str) -> StorageError | None:
        """Why nothing may be written or removed at this key of the target; None: nothing is known against it."""
        folder = place.rpartition("/")[0]
        if folder not in self._folders:
            self._folders[folder] = self._checked(f"{folder}/x") or self._of_masters(folder)
        if known := self._folders[folder]:
            return known
        is_long = len(place.encode("utf-8", "replace")) > self._bound
        return (self._checked(place) if is_long else None) or self._is_master(place)

    def _checked(self, place: str) -> StorageError | None:
        try:
            self._target.check_destination(place)
        except (UnsafeKey, UnsafeLink) as error:
            return error
        return None

    def _of_masters(self, folder: str) -> StorageError | None:
        if self._masters is None:
            return None
        here = PurePosixPath(folder)
        for each in (here, *here.parents[:-1]):
            path = self._root / file_name(str(each))
            if theirs := self._masters.folder_at(path):
                return UnsafeLink(
                    f"{path} is {theirs}, a folder of the source, where nothing is written: name another target, or"
                    " take away the link or mount that makes them one"
                )
        return None

    def _is_master(self, place: str) -> StorageError | None:
        if self._masters and self._masters.has_links and (key := self._masters.key_at(self._root / file_name(place))):
            return UnsafeLink(
                f"{place} is where the link {key} of the source leads, and a master is not written over: name another"
                " target"
            )
        return None


def _identity(folder: Path) -> _Identity | None:
    try:
        found = os.stat(folder)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
