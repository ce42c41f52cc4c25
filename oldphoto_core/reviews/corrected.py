"""Corrected masks of a target, and the run's masks before them: stored under their digest, so that none is replaced."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from oldphoto_core.reviews.store import mask_in_history, mask_of
from oldphoto_core.scans import read_mask, write_mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from oldphoto_core.reviews.decision import Decision
    from oldphoto_core.storage import Bucket


def store_mask(target: Bucket, key: str, mask: NDArray[np.bool_]) -> str:
    """Store a corrected mask for a later decision; returns the sha256 of its file.

    Args:
        target: Bucket of the run.
        key: Of the master.
        mask: HW in stored order, True = damaged.

    Raises:
        WriteFailed, NoCredentials, NoConditions: it cannot be stored.
    """
    return store_mask_file(target, key, write_mask(mask))


def store_mask_file(target: Bucket, key: str, data: bytes) -> str:
    """The same for the file of a mask, or of the masks of all pages. Errors as `store_mask`."""
    sha256 = hashlib.sha256(data).hexdigest()
    target.create(mask_in_history(key, sha256), data)  # what lies there already has the same digest
    return sha256


def adopt_mask(target: Bucket, key: str) -> str:
    """Store what lies at `reviews/masks/<key>.png`, as another program left it; empty where nothing lies there."""
    info = target.info(mask_of(key))
    return store_mask_file(target, key, target.read(info.key, version=info.version)) if info is not None else ""


def with_uncorrected(target: Bucket, decision: Decision, last: Decision | None) -> Decision:
    """The decision with the mask of the run that its correction began from, which is kept.

    Args:
        target: Bucket of the run.
        decision: One that is to be stored.
        last: The last decision about the same photo; None: there is none.
    """
    if not decision.mask:
        return decision
    if last is not None and last.mask:  # the run's mask may have been replaced by a corrected one since
        return replace(decision, uncorrected=last.uncorrected)
    places = (f"masks/{decision.key}.png", f"masks/{decision.key}.tif")  # the latter has a mask for each page
    info = next(filter(None, map(target.info, places)), None)
    if info is None:
        return decision
    kept = store_mask_file(target, decision.key, target.read_inside(info.key, version=info.version))
    return replace(decision, uncorrected=kept)


def stored_mask(target: Bucket, key: str, sha256: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """A corrected mask, HW, True = damaged; `size` is (height, width) of the scan.

    Raises:
        MaskMismatch: it has another size.
        SourceMissing, ScanError: it is gone, or cannot be read.
    """
    return read_mask(target.read(mask_in_history(key, sha256)), size)
