"""The coordinator of a run whose shards are restored elsewhere: starts them, follows the ledger, tries again.

A shard is done when each of its photos has a row in the ledger, whatever is said of the process that restored it. One
whose process ended before goes to another process. Who runs processes is behind `ShardRuns`: Prefect, or a test's stub.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from oldphoto_core.errors import OldPhotoError, OrchestratorAway, StorageError
from oldphoto_core.pipeline.photo import Photo
from oldphoto_core.storage import LedgerRow

SECONDS_BETWEEN_COMPLAINTS = 30.0
PAUSES = (0.0, 2.0, 8.0, 30.0)
"""Seconds before a shard is given away again, by how many processes in a row got nothing of it done."""


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What is seen of a shard's process."""

    state: Literal["waiting", "running", "ended"]
    message: str = ""
    """How it ended, if it did not end well."""


class ShardRuns(Protocol):
    """Whatever gives shards to processes. All methods raise OrchestratorAway when it does not answer."""

    def start(self, number: int, attempt: int) -> str:
        """Have a shard restored; a name for it. The same number and attempt again are the same start."""

    def look(self, names: Collection[str]) -> Mapping[str, ProcessStatus]:
        """What became of them."""

    def cancel(self, names: Collection[str]) -> None:
        """Have them end: those that wait at once, those that run within a photo's time."""


class Ledger(Protocol):
    """What becomes of photos, as far as it is written down."""

    def new_rows(self) -> list[LedgerRow]:
        """Those that were written since the last call."""


@dataclass(slots=True)
class _Shard:
    number: int
    left: set[str]
    attempt: int = 0
    fruitless: int = 0
    """Attempts since the last row."""
    not_before: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DispatchOptions:
    """How shards are given away."""

    in_flight: int = 96
    """Shards that are started and not over; more than there are workers, so that none of them waits for this."""
    attempts: int = 5
    """Processes in a row that may end without a row of a shard, before it is given up."""
    seconds_between_looks: float = 1.0
    """At the processes."""
    seconds_between_reads: float = 5.0
    """Of the ledger, while nothing ends."""
    patience: float = 900.0
    """Seconds that orchestrator or store may be away."""
    seconds_to_end: float = 120.0
    """That cancelled processes may take to end, before they are left alone."""


class Dispatcher:
    """Gives away the shards of one run; `run` returns when each is done or given up."""

    def __init__(
        self,
        shards: Sequence[Sequence[Photo]],
        runs: ShardRuns,
        ledger: Ledger,
        options: DispatchOptions | None = None,
        *,
        on_trouble: Callable[[str], None] = lambda _line: None,
        on_look: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_trouble` is called with a line for each thing that went wrong; `on_look` is called at every look, and may
        raise what is to end the run."""
        self._shards = [_Shard(number, {photo.key for photo in photos}) for number, photos in enumerate(shards)]
        self._shard_of = {key: shard for shard in self._shards for key in shard.left}
        self._waiting = deque(self._shards)
        self._started: dict[str, _Shard] = {}
        self._runs, self._ledger, self._options = runs, ledger, options or DispatchOptions()
        self._on_trouble, self._on_look, self._sleep, self._clock = on_trouble, on_look, sleep, clock
        self._read_at = self._answered_at = self._complained_at = clock()
        self.given_up: dict[int, str] = {}
        """Why, by the shard's number."""
        self.retries = 0
        """Attempts beyond the first ones."""

    def run(self, on_row: Callable[[LedgerRow], None]) -> None:
        """Run until nothing is left; `on_row` is called with the row of each photo.

        Raises:
            OrchestratorAway, StorageError: orchestrator or store were away for longer than patience allows.
            What `on_row` and `on_look` raise. In any case the processes were told to end, and have ended if they could.
        """
        try:
            while self._waiting or self._started:
                self._on_look()
                self.step(on_row)
                if self._waiting or self._started:
                    self._sleep(self._options.seconds_between_looks)
        except BaseException:
            self._end_all()
            raise

    def step(self, on_row: Callable[[LedgerRow], None]) -> None:
        """Look once: read rows, see what ended, start what may be started."""
        try:
            ended = {name: sight for name, sight in self._look().items() if sight.state == "ended"}
            if ended or self._clock() - self._read_at >= self._options.seconds_between_reads:
                self._read(on_row)
            for name, sight in ended.items():
                self._settle(self._started.pop(name), sight)
            self._start()
            self._answered_at = self._complained_at = self._clock()
        except (OrchestratorAway, StorageError) as away:
            silent = self._clock() - self._answered_at
            if silent > self._options.patience:
                raise
            if self._clock() - self._complained_at > SECONDS_BETWEEN_COMPLAINTS:
                self._complained_at = self._clock()
                self._on_trouble(f"{away}; waiting for it ({silent:.0f} of {self._options.patience:.0f} s)")

    def left(self) -> dict[int, set[str]]:
        """Keys without a row, by shard."""
        return {shard.number: set(shard.left) for shard in self._shards if shard.left}

    def _look(self) -> Mapping[str, ProcessStatus]:
        return self._runs.look(self._started) if self._started else {}

    def _read(self, on_row: Callable[[LedgerRow], None]) -> None:
        self._read_at = self._clock()
        for row in self._ledger.new_rows():
            shard = self._shard_of.get(row.key)
            if shard is not None and row.key in shard.left:
                shard.left.remove(row.key)
                shard.fruitless = 0
                on_row(row)

    def _settle(self, shard: _Shard, sight: ProcessStatus) -> None:
        if not shard.left:
            return
        shard.fruitless += 1
        said = sight.message or "it ended without a word"
        if shard.fruitless >= self._options.attempts:
            self.given_up[shard.number] = f"given up after {shard.attempt} processes; of the last one: {said}"
            self._on_trouble(f"shard {shard.number}: {self.given_up[shard.number]}")
            return
        self.retries += 1
        shard.not_before = self._clock() + PAUSES[min(shard.fruitless, len(PAUSES)) - 1]
        self._waiting.appendleft(shard)
        self._on_trouble(f"shard {shard.number}: {len(shard.left)} photos go to another process: {said}")

    def _start(self) -> None:
        for _ in range(len(self._waiting)):
            if len(self._started) >= self._options.in_flight:
                return
            shard = self._waiting.popleft()
            if shard.not_before > self._clock():
                self._waiting.append(shard)
                continue
            try:
                name = self._runs.start(shard.number, shard.attempt + 1)
            except OrchestratorAway:
                self._waiting.appendleft(shard)
                raise
            shard.attempt += 1
            self._started[name] = shard

    def _end_all(self) -> None:
        """As well as it goes: whatever ended this run is more important than what happens here."""
        self._waiting.clear()
        deadline = self._clock() + self._options.seconds_to_end
        is_cancelled = False
        while self._started and self._clock() < deadline:
            try:
                if not is_cancelled:
                    self._runs.cancel(list(self._started))
                    is_cancelled = True
                for name, sight in self._look().items():
                    if sight.state == "ended":
                        del self._started[name]
            except OldPhotoError as error:
                self._on_trouble(str(error))
            if self._started:
                self._sleep(self._options.seconds_between_looks)
