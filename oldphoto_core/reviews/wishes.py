"""What the decisions of curators ask of the next restoration of each photo."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oldphoto_core.errors import DamagedDecision
from oldphoto_core.reviews.decision import Decision, Region, Verdict
from oldphoto_core.reviews.store import Reviews, mask_in_history
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.parallel import SMALL_THREADS, map_objects


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoReview:
    """What a curator decided about a photo, as its restoration needs it."""

    verdict: Verdict
    """Of the last decision."""
    number: int
    """Of the last decision."""
    reviewer: str
    """Who made the last decision."""
    time: str
    """When it was made."""
    redo: int
    """Number of the last decision that sent the photo back; 0: none did."""
    id: str = ""
    """Of the last decision; empty in shards of older versions."""
    mask: str = ""
    """sha256 of the corrected mask, which counts alone; empty: the mask is not corrected."""
    protected: tuple[Region, ...] = ()
    """Regions that stay the master's, in pixels of the scan as it is stored."""
    strength: float | None = None
    """How much of the restoration is taken where nothing is damaged; None: as the run has it."""

    @property
    def pin(self) -> str:
        """What of it shapes the derivative; empty: nothing. A photo that is sent back again gets another one."""
        stronger = [] if self.strength is None else [self.strength]
        if not (self.redo or self.mask or self.protected or stronger):
            return ""
        return json.dumps(["review", self.redo, self.mask, self.protected, *stronger])

    def mask_key(self, key: str) -> str:
        """Where the corrected mask of the photo lies in the target."""
        return mask_in_history(key, self.mask)

    def as_record(self) -> dict[str, Any]:
        """What the record of a derivative says of it."""
        return {
            "number": self.number,
            **({"id": self.id} if self.id else {}),
            "verdict": self.verdict,
            "reviewer": self.reviewer,
            "time": self.time,
            "mask": self.mask or None,
            "protected": [list(region) for region in self.protected],
            **({"strength": self.strength} if self.strength is not None else {}),
        }


def review_of(plain: dict[str, Any]) -> PhotoReview:
    """The inverse of `dataclasses.asdict`, also after JSON made lists of tuples."""
    return PhotoReview(**{**plain, "protected": tuple(tuple(region) for region in plain["protected"])})


def wishes_of(target: Bucket) -> dict[str, PhotoReview]:
    """What was decided about the photos of a target, by key.

    Raises:
        DamagedDecision: a file is no decision; nobody knows what it asked for, so nothing should be restored.
    """
    reviews = Reviews(target)
    decisions, problems = reviews.all()
    if problems:
        raise DamagedDecision("; ".join(problems[:3]))
    # only of photos that were decided about more than once does the rest of the history matter
    histories = map_objects(lambda last: _history(reviews, last), decisions.values(), SMALL_THREADS)
    return {last.key: _wish(last, history) for last, history in zip(decisions.values(), histories, strict=True)}


def _history(reviews: Reviews, last: Decision) -> list[Decision]:
    return [last] if last.number == 1 else reviews.history(last.key)


def _wish(last: Decision, history: Sequence[Decision]) -> PhotoReview:
    sent_back = [decision.number for decision in history if decision.verdict == "redo"]
    return PhotoReview(
        verdict=last.verdict,
        number=last.number,
        id=last.id,
        reviewer=last.reviewer,
        time=last.time,
        redo=max(sent_back, default=0),
        mask=last.mask,
        protected=last.protected,
        strength=last.strength,
    )
