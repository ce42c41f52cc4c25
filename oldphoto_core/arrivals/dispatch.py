"""Batches of arrivals on their way to a run: announced, and announced again until a run has them.

The list of a batch's keys lies in the target (`arrivals/<batch id>.txt`), where workers find it; what is announced is
the place of that list. An announcement may be lost (Prefect holds events in memory before it acts on them), so a batch
leaves the spool only when a run was seen that was given its list. Announced twice, it is restored by two runs, of which
the second finds everything done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from oldphoto_core.arrivals.spool import ArrivalSpool, Batch
from oldphoto_core.errors import OldPhotoError
from oldphoto_core.names import visible
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.key_list import encode_key_list

LOG = logging.getLogger(__name__)
AGAIN_SECONDS = 120.0
"""How long an announcement has to become a run before it is made again."""
LOG_SECONDS = 60.0
"""How long the same failure is not logged again."""


class Orchestrator(Protocol):
    """What runs restorations, seen from here."""

    def announce(self, batch: Batch, place: str) -> None:
        """Say that `place` lists keys to restore. Raises OrchestratorAway."""

    def taken(self, since: float) -> set[str]:
        """The places that runs created after `since` (seconds since 1970) were given. Raises OrchestratorAway."""


class Dispatcher:
    """Takes what lies in a spool to an orchestrator, a step at a time."""

    def __init__(
        self, spool: ArrivalSpool, target: Bucket, orchestrator: Orchestrator, again_seconds: float = AGAIN_SECONDS
    ) -> None:
        self._spool, self._target, self._orchestrator = spool, target, orchestrator
        self._again_seconds = again_seconds
        self._announced: dict[str, float] = {}
        self._logged: dict[str, float] = {}
        self.gathers = self.announces = True
        """Whether the last step could gather, and could announce."""

    def step(self, now: float) -> None:
        """Gather, settle what runs have taken, announce the rest. What fails is logged and tried again next time."""
        self.gathers = self._tried(lambda: self._spool.gather(now), now)
        self.announces = self._tried(lambda: self._move(now), now)

    def run(self, stopped: Callable[[float], bool], every_seconds: float = 1.0) -> None:
        """Steps until `stopped`, which waits so many seconds and says whether to stop."""
        while not stopped(every_seconds):
            self.step(time.time())

    def _tried(self, part: Callable[[], None], now: float) -> bool:
        """Whether it came to its end; nothing that one batch makes happen may keep the next from being taken."""
        try:
            part()
        except OldPhotoError as error:
            self._log_once(str(error), now)
            return False
        except Exception as error:
            self._log_once(f"unexpected {type(error).__name__} ({' '.join(str(error).split())})", now)
            return False
        return True

    def _log_once(self, line: str, now: float) -> None:
        """A step is a second: the same line is written once a minute."""
        self._logged = {said: at for said, at in self._logged.items() if 0 <= now - at < LOG_SECONDS}
        if line not in self._logged:
            self._logged[line] = now
            LOG.warning("%s; nothing is lost, it is tried again", visible(line))

    def _move(self, now: float) -> None:
        batches = self._spool.batches()
        if not batches:
            return
        taken = self._orchestrator.taken(min(batch.since for batch in batches))
        for batch in batches:
            name = f"arrivals/{batch.id}.txt"
            place = f"{self._target.url}/{name}"
            if place in taken:
                self._spool.settle(batch)
                self._announced.pop(batch.id, None)
                LOG.info("batch %s: a run has its %d keys", batch.id, len(batch.keys))
            elif now - self._announced.get(batch.id, -self._again_seconds) >= self._again_seconds:
                self._target.write(name, encode_key_list(batch.keys))
                self._orchestrator.announce(batch, place)
                self._announced[batch.id] = now
                LOG.info("batch %s: %d keys announced", batch.id, len(batch.keys))
