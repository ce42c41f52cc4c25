"""Photos whose masks curators corrected: which there are, and their pixels with what was painted and erased."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

import numpy as np

from oldphoto_core.checkpoints import SeenPhoto
from oldphoto_core.errors import ScanError, SourceMissing, StorageError, TrainingError
from oldphoto_core.reports.record import decode_record
from oldphoto_core.reviews.corrected import stored_mask
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.parallel import SMALL_THREADS, map_objects
from oldphoto_core.training.photos.cutting import Mask, Photo

CORRECTIONS = "reviews.json"
"""In the folder of a stage: the corrections that its training began with. Decisions may be added meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CorrectedPhoto:
    """One photo whose mask was corrected."""

    target: str
    """URL of the target with the decision and its masks."""
    master: SeenPhoto
    """The scan."""
    mask: str
    """sha256 of the corrected mask."""
    uncorrected: str
    """sha256 of the mask before; empty: unknown."""


def corrected_from(plain: Mapping[str, Any]) -> CorrectedPhoto:
    """The inverse of `dataclasses.asdict`."""
    return CorrectedPhoto(**{**plain, "master": SeenPhoto(**plain["master"])})


def corrected_photos(target: Bucket) -> list[CorrectedPhoto]:
    """The photos of a target whose last decision has a corrected mask and does not reject them, sorted by key.

    Files of several pages are left out. Raises TrainingError where there is none.
    """
    decisions, _ = Reviews(target).all()
    wanted = [each for _, each in sorted(decisions.items()) if each.mask and each.verdict != "reject"]
    found = [photo for photo in map_objects(lambda each: _photo(target, each), wanted, SMALL_THREADS) if photo]
    if not found:
        raise TrainingError(
            f"{target.url} has no photo with a corrected mask: correct some at the desk, or leave out --reviews"
        )
    return found


def begun_with(target: Bucket, folder: Bucket) -> list[CorrectedPhoto]:
    """The corrections of a training in `folder`: those that it began with, else those that there are now."""
    if folder.info(CORRECTIONS) is not None:
        return [corrected_from(plain) for plain in json.loads(folder.read(CORRECTIONS))]
    photos = corrected_photos(target)
    folder.write(CORRECTIONS, json.dumps([asdict(photo) for photo in photos], indent=1).encode())
    return photos


def _photo(target: Bucket, decision: Decision) -> CorrectedPhoto | None:
    try:
        record = decode_record(target.read(f"records/{decision.key}.json"))
    except SourceMissing:
        return None  # it was never restored, or that was rolled back
    if record is None or "pages" in record:
        return None
    source = record["source"]
    master = SeenPhoto(str(source["bucket"]), decision.key, str(source["version"]), str(source["sha256"]))
    return CorrectedPhoto(target=target.url, master=master, mask=decision.mask, uncorrected=decision.uncorrected)


class CorrectedSet:
    """Corrected photos to draw from; decoded ones are kept in memory up to a bound, the others read again."""

    def __init__(self, photos: Sequence[CorrectedPhoto], *, cache_bytes: int = 1024**3) -> None:
        self.photos = list(photos)
        self.unreadable: dict[str, str] = {}
        self._cache: dict[CorrectedPhoto, tuple[Photo, Mask, Mask]] = {}
        self._room = cache_bytes
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.photos)

    def without(self, keys: Collection[str], url: str) -> CorrectedSet:
        """Those that are none of these photos of a bucket."""
        return CorrectedSet([each for each in self.photos if each.master.url != url or each.master.key not in keys])

    def random(self, rng: np.random.Generator) -> tuple[Photo, Mask, Mask]:
        """A photo drawn at random: HWC uint8 RGB, its corrected mask, and which pixels were painted or erased.

        Raises TrainingError where 20 in a row cannot be read; each is listed.
        """
        why = ""
        for _ in range(20):
            photo = self.photos[int(rng.integers(len(self.photos)))]
            try:
                return self._read(photo)
            except (ScanError, StorageError) as error:
                self.unreadable[photo.master.key] = why = str(error)
        raise TrainingError(f"20 corrected photos drawn in a row cannot be read; the last: {photo.master.key}: {why}")

    def _read(self, photo: CorrectedPhoto) -> tuple[Photo, Mask, Mask]:
        if photo in self._cache:
            return self._cache[photo]
        made = read_corrected(photo)
        size = sum(part.nbytes for part in made)
        with self._lock:
            if photo not in self._cache and size <= self._room:
                self._cache[photo] = made
                self._room -= size
        return made


def read_corrected(photo: CorrectedPhoto) -> tuple[Photo, Mask, Mask]:
    """HWC uint8 RGB, HW corrected mask, HW pixels that were painted or erased.

    Raises:
        ScanError, StorageError: master or mask cannot be read, are other ones by now, or are of different sizes.
    """
    target, master = Bucket(photo.target), photo.master
    pixels = to_rgb8(read_scan(Bucket(master.url).read(master.key, version=master.version)).pixels)
    size = pixels.shape[0], pixels.shape[1]
    corrected = stored_mask(target, master.key, photo.mask, size)
    if not photo.uncorrected:
        return pixels, corrected, corrected  # what was erased is unknown then
    return pixels, corrected, corrected ^ stored_mask(target, master.key, photo.uncorrected, size)
