"""The coordinator of a run, with a stub of whatever runs its shards, and a clock that is only counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from oldphoto_core.errors import OrchestratorAway, RunStopped
from oldphoto_core.restoration import Photo
from oldphoto_core.runs.dispatcher import Dispatcher, DispatchOptions, ProcessStatus
from oldphoto_core.storage import LedgerRow

ALL = 100


class Pool:
    """Takes every shard at once; each run gets as many photos done as it is told, then ends. It is the ledger, too."""

    def __init__(self, shards: list[list[Photo]], gets_done: Mapping[tuple[int, int], int] | None = None) -> None:
        self.left = {number: [photo.key for photo in photos] for number, photos in enumerate(shards)}
        self.gets_done = gets_done or {}
        self.started: list[tuple[int, int]] = []
        self.cancelled: list[str] = []
        self.most_at_once = 0
        self.rows: list[LedgerRow] = []
        self.away = 0
        self.lives: set[str] = set()

    def start(self, number: int, attempt: int) -> str:
        self._answer()
        self.started.append((number, attempt))
        done = self.gets_done.get((number, attempt), ALL)
        keys, self.left[number] = self.left[number][:done], self.left[number][done:]
        self.rows += [LedgerRow(key=key, version="v", status="restored") for key in keys]
        self.lives.add(name := f"{number}/{attempt}")
        self.most_at_once = max(self.most_at_once, len(self.lives))
        return name

    def look(self, names: Collection[str]) -> Mapping[str, ProcessStatus]:
        self._answer()
        self.lives -= set(names)
        return {name: ProcessStatus("ended", "signal SIGKILL") for name in names}

    def cancel(self, names: Collection[str]) -> None:
        self.cancelled += names

    def new_rows(self) -> list[LedgerRow]:
        rows, self.rows = self.rows, []
        return rows

    def _answer(self) -> None:
        self.away -= 1
        if self.away >= 0:
            raise OrchestratorAway("the server does not answer")


def shards(count: int, photos: int = 3) -> list[list[Photo]]:
    return [[Photo(f"{number}-{n}", "v", 1) for n in range(photos)] for number in range(count)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def dispatch(pool: Pool, photos: list[list[Photo]], **options: float) -> tuple[Dispatcher, list[str]]:
    clock = Clock()
    dispatcher = Dispatcher(photos, pool, pool, DispatchOptions(**options), sleep=clock.sleep, clock=clock)  # type: ignore[arg-type]
    heard: list[str] = []
    dispatcher.run(lambda row: heard.append(row.key))
    return dispatcher, heard


def test_each_photo_is_reported_once_and_no_more_shards_are_out_than_allowed() -> None:
    photos = shards(9)
    pool = Pool(photos)
    _, heard = dispatch(pool, photos, in_flight=4)
    assert sorted(heard) == sorted(photo.key for shard in photos for photo in shard)
    assert pool.most_at_once == 4
    assert pool.started == [(number, 1) for number in range(9)]


def test_a_shard_whose_process_died_goes_to_another_with_a_new_attempt() -> None:
    photos = shards(2)
    pool = Pool(photos, {(1, 1): 1, (1, 2): 0})
    dispatcher, heard = dispatch(pool, photos)
    assert pool.started == [(0, 1), (1, 1), (1, 2), (1, 3)]
    assert len(heard) == 6
    assert (dispatcher.retries, dispatcher.given_up) == (2, {})


def test_a_shard_that_gets_on_is_not_given_up_however_often_it_dies() -> None:
    photos = shards(1, photos=9)
    pool = Pool(photos, {(0, attempt): 1 for attempt in range(1, 20)})
    dispatcher, heard = dispatch(pool, photos, attempts=2)
    assert (len(heard), dispatcher.given_up) == (9, {})


def test_a_shard_that_never_gets_on_is_given_up_and_the_others_are_done() -> None:
    photos = shards(3)
    pool = Pool(photos, {(1, attempt): 0 for attempt in range(1, 20)})
    dispatcher, heard = dispatch(pool, photos, attempts=4)
    assert len(heard) == 6
    assert [started for started in pool.started if started[0] == 1] == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert dispatcher.left() == {1: {"1-0", "1-1", "1-2"}}
    assert "4 processes; of the last one: signal SIGKILL" in dispatcher.given_up[1]


def test_an_orchestrator_that_is_away_for_minutes_changes_nothing() -> None:
    photos = shards(3)
    pool = Pool(photos)
    pool.away = 120
    _, heard = dispatch(pool, photos, patience=600)
    assert (len(heard), len(pool.started)) == (9, 3)


def test_an_orchestrator_that_does_not_come_back_ends_the_run() -> None:
    photos = shards(3)
    pool = Pool(photos)
    pool.away = 10_000
    with pytest.raises(OrchestratorAway):
        dispatch(pool, photos, patience=60)


def test_what_ends_the_run_ends_the_processes() -> None:
    photos = shards(5)
    pool = Pool(photos)

    def stop(_row: LedgerRow) -> None:
        raise RunStopped("too many failures")

    clock = Clock()
    dispatcher = Dispatcher(photos, pool, pool, DispatchOptions(in_flight=2), sleep=clock.sleep, clock=clock)
    with pytest.raises(RunStopped):
        dispatcher.run(stop)
    assert pool.cancelled == ["0/1", "1/1"]
    assert len(pool.started) == 2
