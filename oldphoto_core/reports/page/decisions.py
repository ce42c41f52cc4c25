"""What curators decided about the photos of a run, as the report shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from oldphoto_core.reviews.states import state_of, statement
from oldphoto_core.reviews.store import Reviews

if TYPE_CHECKING:
    from oldphoto_core.storage import Bucket

STATES = ("accepted", "rejected", "sent back", "open")


class Decisions:
    """The decisions of a target at the time when they are read, which costs a read for each photo decided about."""

    def __init__(self, target: Bucket) -> None:
        self._decisions, self.problems = Reviews(target).all()

    def of(self, row: Mapping[Any, Any]) -> dict[str, str]:
        """`review`, the state of a row's photo, and `reviewed`, the same for people; nothing without a decision."""
        decision = self._decisions.get(row["key"])
        if decision is None:
            return {}
        sha256 = row["output_sha256"]
        return {"review": state_of(decision, sha256), "reviewed": statement(decision, sha256)}

    def counts(self, rows: Iterable[Mapping[Any, Any]]) -> dict[str, int]:
        """How many photos with a derivative or a decision are in each state; empty where nobody decided anything."""
        if not self._decisions:
            return {}
        states = Counter(self.of(row).get("review", "open" if row["output"] else "") for row in rows)
        return {state: states[state] for state in STATES}
