"""Exporting a run, or all that lies in a target: its records, read once, in every form that was asked for."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit

from oldphoto_core.errors import DamagedDecision, SourceMissing, UsageError, WriteFailed
from oldphoto_core.folders import NoTemporaryFolder, temporary_folder
from oldphoto_core.reports.exports.bag import Bag
from oldphoto_core.reports.exports.dublin_core import DublinCore
from oldphoto_core.reports.exports.iiif import Iiif
from oldphoto_core.reports.exports.photo import Form, RecordedPhoto, StoredFile
from oldphoto_core.reports.exports.premis import Premis
from oldphoto_core.reports.record import decode_record, mask_key
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket, read_ledger
from oldphoto_core.storage.ledger import FACTS_KEY, SUMMARY_KEY
from oldphoto_core.storage.parallel import SMALL_THREADS, map_objects

if TYPE_CHECKING:
    from typing import Any

EXPORTS = "exports"
"""Folder of what is exported, in the target or in its run's folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """Which forms; at least one. Raises UsageError."""

    premis: bool = False
    bagit: bool = False
    dublin_core: bool = False
    iiif: str = ""
    """Where the target is served (http or https); empty: no manifest."""
    originals: str = ""
    """Where the masters are served; needed with `iiif`."""

    def __post_init__(self) -> None:
        if not (self.premis or self.bagit or self.dublin_core or self.iiif):
            raise UsageError("nothing to export: choose --premis, --bagit, --iiif URL or --dublin-core")
        if bool(self.iiif) != bool(self.originals):
            raise UsageError(
                "a IIIF manifest names both pictures: give --iiif URL, where TARGET is served, and --originals URL"
            )
        for url in filter(None, (self.iiif, self.originals)):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
                raise UsageError(f"{url!r} is no place of a web server: write https://server/folder")


class ExportResult(TypedDict):
    """What became of an export."""

    photos: int
    left_out: dict[str, int]
    """Why photos of the ledger are not in it, and how many."""
    written: list[str]
    """Keys in the target, one per form."""


def export_records(
    target: Bucket, run_id: str, options: ExportOptions, on_photo: Callable[[], None] = lambda: None
) -> ExportResult:
    """Write the forms of a run to TARGET/runs/<run id>/exports/, of everything (no run id) to TARGET/exports/.

    The same records and decisions give the same bytes. `on_photo` is called for each photo.

    Raises:
        SourceMissing: no such run, or nothing that it wrote is there any more.
        UsageError: the run has not come to its end.
        WriteFailed: the temporary directory, where the forms are collected, does not take them, or the target.
    """
    try:
        return _collected(target, run_id, options, on_photo)
    except NoTemporaryFolder as error:
        raise WriteFailed(f"the export cannot be collected in the temporary directory: {error}") from error
    except OSError as error:  # the store translates its own: this is a file of the temporary directory
        raise WriteFailed(
            f"the export cannot be collected in the temporary directory ({error.strerror or error}); make room there,"
            " or name another one in TMPDIR"
        ) from error


def _collected(target: Bucket, run_id: str, options: ExportOptions, on_photo: Callable[[], None]) -> ExportResult:
    """Each form in a file of the temporary directory until all photos are in it, then in the target."""
    place = f"runs/{run_id}/{EXPORTS}" if run_id else EXPORTS
    keys = _keys_of(target, run_id)
    count, left_out = 0, Counter[str]()
    with temporary_folder("export") as folder:
        forms = _forms(Path(folder), target.url, place, run_id or target.url, options)
        for photo in _photos(target, run_id, keys):
            if isinstance(photo, str):
                left_out[photo] += 1
                continue
            for form in forms:
                form.add(photo)
            count += 1
            on_photo()
        if not count:
            why = "; ".join(f"{number} {reason}" for reason, number in left_out.items())
            raise SourceMissing(
                f"nothing to export in {target}{f' of run {run_id}' if run_id else ''}{why and f': {why}'}"
            )
        written = [f"{place}/{key}" for form in forms for key in form.write(target.join(place))]
    return ExportResult(photos=count, left_out=dict(left_out), written=written)


def _forms(folder: Path, target: str, place: str, name: str, options: ExportOptions) -> list[Form]:
    forms: list[Form] = []
    if options.premis:
        forms.append(Premis(folder, target))
    if options.bagit:
        forms.append(Bag(folder, target, name))
    if options.iiif:
        forms.append(Iiif(folder, place, name, options.iiif.rstrip("/"), options.originals.rstrip("/")))
    if options.dublin_core:
        forms.append(DublinCore(folder, target))
    return forms


def _keys_of(target: Bucket, run_id: str) -> list[str]:
    """Of the masters of which the run, or anyone, may have left a record; sorted."""
    recorded = {item.key.removeprefix("records/").removesuffix(".json") for item in target.list("records")}
    if not run_id:
        return sorted(recorded)
    run = target.join("runs", run_id)
    if run.info(FACTS_KEY) is None:
        there = ", ".join(list(target.folders("runs"))[-5:]) or "none"
        raise SourceMissing(f"there is no run {run_id} in {target}: its latest are {there}")
    if run.info(SUMMARY_KEY) is None:
        raise UsageError(f"run {run_id} has not come to its end: wait for it, or restore again, which settles it")
    ledger = read_ledger(run)
    restored, failed = (set(ledger["key"][ledger["status"] == status]) for status in ("restored", "failed"))
    copied = failed & recorded
    return sorted(restored | copied)


def _photos(target: Bucket, run_id: str, keys: list[str]) -> Iterator[RecordedPhoto | str]:
    """In the order of the keys: the photo, or why it is left out."""
    sizes = {item.key: item.size for folder in ("photos", "masks") for item in target.list(folder)}
    reviewed = Reviews(target).keys()
    yield from map_objects(lambda key: _photo(target, run_id, key, sizes, reviewed), keys, SMALL_THREADS)


def _photo(target: Bucket, run_id: str, key: str, sizes: dict[str, int], reviewed: set[str]) -> RecordedPhoto | str:
    place = f"records/{key}.json"
    data = b""
    with suppress(SourceMissing):
        data = target.read(place)
    record = decode_record(data)
    if record is None:
        return "without a record"
    if run_id and record["run_id"] != run_id:
        return "last written by another run"
    derivative = record["derivative"]
    if sizes.get(derivative["key"]) != derivative["bytes"]:
        return "derivative changed or missing"
    files = [StoredFile(derivative["key"], derivative["sha256"], derivative["bytes"])]
    mask = mask_key(key, paged="pages" in record)
    if mask in sizes:
        files.append(_mask(target, mask, sizes[mask], record.get("mask_file")))
    files.append(StoredFile(place, hashlib.sha256(data).hexdigest(), len(data)))
    photo = RecordedPhoto(record, tuple(files))
    return _decided(target, photo) if key in reviewed else photo


def _decided(target: Bucket, photo: RecordedPhoto) -> RecordedPhoto | str:
    """The photo with what curators decided about it: the entries of its history, none of which ever changes."""
    reviews = Reviews(target)
    try:
        decisions = tuple(reviews.history(photo.key))
    except DamagedDecision:
        return "with a decision that cannot be read"  # it may have been rejected
    files = (StoredFile(info.key, target.sha256(info.key), info.size) for info in reviews.files(photo.key))
    return replace(photo, files=(*photo.files, *files), decisions=decisions)


def _mask(target: Bucket, key: str, size: int, recorded: dict[str, Any] | None) -> StoredFile:
    """As recorded; one that was given, corrected or written by an older version is read."""
    if recorded is not None and recorded["bytes"] == size:
        return StoredFile(key, recorded["sha256"], size)
    return StoredFile(key, target.sha256(key), size)
