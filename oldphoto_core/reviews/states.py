"""What a decision says of the derivative that lies there now, for programs and for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from oldphoto_core.reviews.decision import Decision, Verdict

State = Literal["open", "accepted", "rejected", "sent back"]
"""open: nobody decided about the derivative as it is now."""
STATES: dict[Verdict, State] = {"accept": "accepted", "reject": "rejected", "redo": "sent back"}


def state_of(decision: Decision | None, sha256: str) -> State:
    """The state of a photo by its last decision.

    Args:
        decision: The last one; None: there is none.
        sha256: Of the derivative that lies there now; empty: there is none.
    """
    if decision is None or (decision.verdict != "reject" and decision.seen != sha256):
        return "open"  # a new derivative is to be looked at again
    return STATES[decision.verdict]


def statement(decision: Decision, sha256: str) -> str:
    """What was decided, by whom, when and why, for people; says if that was about an earlier derivative."""
    earlier = " (an earlier derivative)" if decision.seen != sha256 else ""
    note = f": {' '.join(decision.note.split())}" if decision.note.strip() else ""
    return f"{STATES[decision.verdict]} by {decision.reviewer} on {decision.time[:10]}{earlier}{note}"


def last_statement(decisions: Sequence[Decision], sha256: str) -> str:
    """The statement of the decision that counts; empty without decisions."""
    return statement(decisions[-1], sha256) if decisions else ""
