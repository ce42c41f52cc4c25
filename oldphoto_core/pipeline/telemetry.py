"""What is measured while the engine works: seconds, and photos in each queue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

QUEUES = ("fetching", "fetched", "decoding", "decoded", "delivering")
"""Where a photo may be on its way: `decoded` ones wait for the network."""


@dataclass(slots=True)
class Telemetry:
    """Of one call of the engine; filled while it works."""

    seconds: float = 0.0
    """Wall time."""
    busy_seconds: float = 0.0
    """Of these, detector and network were at work."""
    photos: int = 0
    """Done with, in whatever way."""
    waiting: dict[str, float] = field(default_factory=lambda: dict.fromkeys(QUEUES, 0.0))
    """Photos times seconds that they were in each queue."""
    _looked: float = field(default_factory=time.perf_counter)

    def look(self, depths: Mapping[str, int]) -> None:
        """Time passed, and these many photos were in the queues meanwhile."""
        now = time.perf_counter()
        passed, self._looked = now - self._looked, now
        self.seconds += passed
        for queue, depth in depths.items():
            self.waiting[queue] += depth * passed

    def begin(self) -> None:
        """Time counts from now on."""
        self._looked = time.perf_counter()
