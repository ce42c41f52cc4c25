"""The one place where tests wait: for a condition, with a generous limit. Only how long a server is away is a time."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST = 900.0
"""Seconds. Nothing that is tested takes so long, even on a machine that is busy with other things."""


def wait_until(is_so: Callable[[], object], what: str, seconds: float = LONGEST, *, every: float = 0.05) -> None:
    """Return once `is_so` gives something true; fail with `what` after so many `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(every)


def stay_away(seconds: float) -> None:
    """Return after so many seconds: how long something is away is what is tested, and nobody waits for anything."""
    time.sleep(seconds)
