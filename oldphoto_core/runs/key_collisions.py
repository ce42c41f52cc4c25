"""Photos whose names a target takes for one: on many drives and shares `Case.png` and `case.png` are the same file."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from oldphoto_core.storage.keys import FOLDINGS, Folding, folded
from oldphoto_core.storage.ledger import LedgerRow

if TYPE_CHECKING:
    from oldphoto_core.pipeline.photo import Photo
    from oldphoto_core.runs.plan import Plan
    from oldphoto_core.storage import Bucket


def keep_apart(plan: Plan, target: Bucket) -> None:
    """Of photos that would meet in one file of this target, only one stays in the plan; the others fail.

    The one is what was restored before, else the first. The target is only asked where some might meet; raises
    WriteFailed where it cannot be.
    """
    if not _meeting(plan, FOLDINGS):
        return
    meeting = _meeting(plan, target.folds_names())
    plan.failed += [_failed(photo, meeting[photo.key], target) for photo in plan.photos if photo.key in meeting]
    plan.photos = [photo for photo in plan.photos if photo.key not in meeting]


def _meeting(plan: Plan, by: Collection[Folding]) -> dict[str, str]:
    """Keys of photos that must give way, and whose place they would take."""
    owners = {folded(key, by): key for key in plan.there}
    for photo in plan.photos:
        owners.setdefault(folded(photo.key, by), photo.key)
    places = ((photo.key, owners[folded(photo.key, by)]) for photo in plan.photos)
    return {key: owner for key, owner in places if key != owner}


def _failed(photo: Photo, other: str, target: Bucket) -> LedgerRow:
    detail = (
        f"{target} takes its name for that of {other}, which differs in upper and lower case or in Unicode's form only;"
        " rename one of them, or name a target that tells them apart"
    )
    return LedgerRow(key=photo.key, version=photo.version, status="failed", reason="unsafe key", detail=detail)
