"""Deciding what a run has to do: which photos are restored, which are left alone and why, and how they are sharded.

A photo's work is named by its source version, the model's digest and the options' digest (which holds its mask's
version and the detector's digest). Where all three are what an existing derivative was made with, nothing is to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from oldphoto_core.errors import RunStopped, SkippedReason
from oldphoto_core.pipeline.options import RestoreOptions
from oldphoto_core.pipeline.photo import Photo
from oldphoto_core.runs.ledger_rows import rows_by_key
from oldphoto_core.runs.mask_index import MaskIndex
from oldphoto_core.scans.formats import FORMATS, named_by
from oldphoto_core.storage import Bucket, LedgerRow, ObjectInfo, previous_results
from oldphoto_core.storage.store import UNLISTED

if TYPE_CHECKING:
    import pandas as pd

    from oldphoto_core.reviews.wishes import PhotoReview

Standing = Literal["new", "current", "outdated", "foreign"]

MAX_SHARD_PHOTOS = 200
MAX_SHARD_MEGAPIXELS = 1000.0


@dataclass(slots=True)
class Plan:
    """What a run will do: `photos` are restored, `skipped` and `failed` are rows that are settled already."""

    photos: list[Photo] = field(default_factory=list)
    skipped: list[LedgerRow] = field(default_factory=list)
    failed: list[LedgerRow] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    """Keys of the photos that lie in the target, in this run or not."""
    masks_used: int = 0
    masks_unclaimed: list[str] = field(default_factory=list)


def make_plan(
    manifest: pd.DataFrame,
    target: Bucket,
    options: RestoreOptions,
    model: str,
    masks: MaskIndex | None = None,
    detector: str = "",
    lost: Iterable[LedgerRow] = (),
    wishes: Mapping[str, PhotoReview] | None = None,
) -> Plan:
    """Plan every row of the manifest; `model` and `detector` are the digests of the networks.

    `lost` are rows that killed runs did not write, where those are not finalised yet. `wishes` are what curators
    decided: accepted derivatives are left alone, rejected photos never restored, others as their corrected masks say.

    Raises RunStopped when `existing` is `abort`.
    """
    there = Derivatives(target, options, model, detector, lost)
    plan = Plan(there=there.keys())
    for key, version, size, kind in manifest[["key", "version", "size", "kind"]].itertuples(index=False, name=None):
        review = (wishes or {}).get(key)
        photo = Photo(key, version, int(size), _masks_of(key, target, masks, review), review)
        if kind == "folder":
            plan.failed.append(_unlisted(photo))
            continue
        if kind != "image":
            plan.skipped.append(_skipped(photo, "not an image", there))
            continue
        plan.masks_used += bool(photo.masks)
        if (decided := _decided(photo, there)) is not None:
            plan.skipped.append(_skipped(photo, decided, there))
        else:
            _place(photo, there, plan)
    plan.masks_unclaimed = masks.unclaimed() if masks else []
    return plan


def cut_shards(
    photos: Iterable[Photo], *, max_photos: int = MAX_SHARD_PHOTOS, max_megapixels: float = MAX_SHARD_MEGAPIXELS
) -> list[list[Photo]]:
    """Consecutive photos, as many as fit both bounds; a photo over `max_megapixels` is a shard of its own."""
    shards: list[list[Photo]] = []
    held = 0.0
    for photo in photos:
        size = estimated_megapixels(photo)
        if not shards or len(shards[-1]) >= max_photos or held + size > max_megapixels:
            shards.append([])
            held = 0.0
        shards[-1].append(photo)
        held += size
    return shards


def estimated_megapixels(photo: Photo) -> float:
    """By name and size, as nothing of the file is read yet; right within a factor of a few, which is enough here."""
    row = named_by(photo.key) or FORMATS["tiff"]
    return photo.size / row.bytes_per_pixel / 1e6


class Derivatives:
    """What lies in a target already, and what it was made of, by the ledgers of all runs."""

    def __init__(
        self,
        target: Bucket,
        options: RestoreOptions,
        model: str,
        detector: str = "",
        lost: Iterable[LedgerRow] = (),
    ) -> None:
        self.options, self.model, self.detector = options, model, detector
        self._target = target
        self._digests: dict[str, str] = {}
        self._there = {item.key for item in target.list("photos")}
        self._ledger = rows_by_key(previous_results(target)) if self._there else {}
        for row in lost:
            known = self._ledger.get(row.key)
            if known is None or known.finished_at < row.finished_at:
                self._ledger[row.key] = row

    def standing(self, photo: Photo) -> Standing:
        """`current`: this very work, done; `outdated`: ours, of other inputs; `foreign`: put there by someone else."""
        output = f"photos/{self.options.output_key(photo.key)}"
        if output not in self._there:
            return "new"
        row = self._ledger.get(photo.key)
        if row and row.output == output and self._is_this_work(photo, row):
            return "current"
        return "outdated" if row or f"records/{photo.key}.json" in self._recorded else "foreign"

    def keys(self) -> list[str]:
        """Of the photos whose derivatives lie there."""
        return [key for key, row in self._ledger.items() if row.output in self._there]

    @cached_property
    def _recorded(self) -> set[str]:
        return {item.key for item in self._target.list("records")}

    def digest(self, photo: Photo) -> str:
        """Of the options and the mask that would shape this photo's derivative."""
        mask = photo.mask_version
        if mask not in self._digests:
            self._digests[mask] = self.options.digest(mask, self.detector)
        return self._digests[mask]

    def row(self, key: str) -> LedgerRow | None:
        """What the last run that restored this key wrote down, or None."""
        return self._ledger.get(key)

    def _is_this_work(self, photo: Photo, row: LedgerRow) -> bool:
        work = (photo.version, self.model, self.digest(photo))
        return (row.version, row.model, row.options) == work


def _masks_of(key: str, target: Bucket, masks: MaskIndex | None, review: PhotoReview | None) -> tuple[ObjectInfo, ...]:
    """The mask that a curator corrected, else those that were given."""
    given = masks.candidates(key) if masks else ()
    if review is None or not review.mask:
        return given
    place = review.mask_key(key)
    return (target.info(place) or ObjectInfo(place, 0, ""),)


def _decided(photo: Photo, there: Derivatives) -> SkippedReason | None:
    """Why a curator does not want it restored; None: that is not so."""
    if photo.review is None or photo.review.verdict == "redo":
        return None
    if photo.review.verdict == "reject":
        return "rejected"
    # what was accepted and is gone may be restored again
    return None if there.standing(photo) == "new" else "accepted"


def _place(photo: Photo, there: Derivatives, plan: Plan) -> None:
    standing = there.standing(photo)
    policy = there.options.existing
    if standing == "new" or policy == "overwrite" or (policy == "skip" and standing == "outdated"):
        plan.photos.append(photo)
    elif policy == "abort":
        output = there.options.output_key(photo.key)
        raise RunStopped(f"photos/{output} exists in the target; nothing was done: choose --existing skip or overwrite")
    else:
        reason: SkippedReason = "already restored" if standing == "current" else "output exists"
        plan.skipped.append(_skipped(photo, reason, there))


def _unlisted(photo: Photo) -> LedgerRow:
    why = photo.version.removeprefix(UNLISTED)
    detail = f"it cannot be listed ({why}), so photos in it are not restored: let this user list it, or take it away"
    return LedgerRow(key=photo.key, version=photo.version, status="failed", reason="storage error", detail=detail)


def _skipped(photo: Photo, reason: SkippedReason, there: Derivatives) -> LedgerRow:
    before = there.row(photo.key) if reason in ("already restored", "accepted") else None
    details: dict[SkippedReason, str] = {
        "not an image": "its name does not end like an image's",
        "already restored": "same source version, model and options as before",
        "output exists": "not written by a known run; --existing overwrite replaces it",
    }
    if photo.review is not None:
        about = f"by {photo.review.reviewer}, decision {photo.review.number}"
        details |= {"accepted": f"{about}; it is left as it is", "rejected": f"{about}; it is not restored"}
    return LedgerRow(
        key=photo.key,
        version=photo.version,
        status="skipped",
        reason=reason,
        detail=details[reason],
        megapixels=before.megapixels if before else 0.0,
        mask_coverage=before.mask_coverage if before else math.nan,
        doubt=before.doubt if before else math.nan,
        doubtful=before.doubtful if before else "",
        changed_share=before.changed_share if before else math.nan,
        output=before.output if before else "",
        output_sha256=before.output_sha256 if before else "",
        model=there.model,
        options=there.digest(photo),
    )
