"""Whatever is killed, whenever: the run ends, or the next one ends it, and nobody can tell by what lies in the bucket.

The moments are drawn by chance; OLDPHOTO_KILL_SEED repeats them. OLDPHOTO_SOAK=N has N rounds of them (`make soak`).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import stay_away

from infra.fleet import Fleet
from infra.prefect_events import runs_of
from infra.processes import answers
from oldphoto_core.storage import read_ledger

from disturbances import Collection, kill, lose_machine, shard_processes  # isort: skip

pytestmark = pytest.mark.long

ROUNDS = int(os.environ.get("OLDPHOTO_SOAK", "1"))
SEED = int(os.environ.get("OLDPHOTO_KILL_SEED", str(time.time_ns() % 1_000_000)))
SECONDS_AWAY = 125.0 if ROUNDS > 1 else 75.0  # a client of Prefect gives up after 62, a silent run is dead after 65


@pytest.fixture(autouse=True)
def whole_fleet(fleet: Fleet) -> Iterator[None]:
    """What a test killed is there again for the next one."""
    yield
    if "server" not in fleet.processes.running:
        fleet.start_server()
    fleet.processes.wait("server", lambda: answers(f"{fleet.api}/health"))
    for number in (1, 2):
        if f"worker-{number}" not in fleet.processes.running:
            fleet.start_worker(number)


def shard_states(collection: Collection) -> list[tuple[str, str]]:
    """State and message of each attempt at a shard, the oldest first."""
    runs = [run for run in runs_of("restore-shard", 0.0) if run["parameters"]["target"] == collection.target.url]
    return [(run["state_type"], run["state"]["message"] or "") for run in reversed(runs)]


def kill_shard(fleet: Fleet, dice: random.Random) -> None:
    kill(shard_processes(fleet, dice.choice(["worker-1", "worker-2"])))


def kill_worker(fleet: Fleet, dice: random.Random) -> None:
    """Its process that restores is left to find out for itself."""
    number = dice.choice([1, 2])
    fleet.processes.stop(f"worker-{number}", signal.SIGKILL)
    fleet.start_worker(number)


def kill_server(fleet: Fleet, dice: random.Random) -> None:
    fleet.processes.stop("server", signal.SIGKILL)
    fleet.start_server()
    fleet.processes.wait("server", lambda: answers(f"{fleet.api}/health"))


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_processes_workers_and_server_may_be_killed_at_any_moment(fleet: Fleet, tmp_path: Path, round_: int) -> None:
    dice = random.Random(SEED + round_)
    collection = Collection(fleet, f"any-{round_}", photos=60)
    running = collection.start("--pool", "gpu", "--shard-photos", "12", log="any")
    collection.wait_for_photos(3)
    moves: list[Callable[[Fleet, random.Random], None]] = [kill_shard, kill_worker, kill_server, kill_shard]
    dice.shuffle(moves)
    for move in moves:
        # at a moment of chance: each photo takes a quarter of a second
        collection.wait_for_photos(min(55, collection.delivered() + dice.randrange(2, 9)))
        move(fleet, dice)
    assert running.wait(900) == 0, f"seed {SEED}, round {round_}"
    summary = collection.check_books()
    assert summary["restored"] == 60, (SEED, summary)
    collection.check_like_undisturbed(tmp_path)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_coordinator_may_be_killed_and_the_next_one_goes_on(fleet: Fleet, tmp_path: Path, round_: int) -> None:
    dice = random.Random(SEED + round_)
    collection = Collection(fleet, f"coordinator-{round_}", photos=100)
    for attempt in range(2):
        running = collection.start("--pool", "gpu", "--shard-photos", "8", log="killed")
        collection.wait_for_runs(attempt + 1)
        collection.wait_for_photos(collection.delivered() + dice.randrange(2, 6))
        running.kill()
        running.wait()
    assert collection.start("--pool", "gpu", "--shard-photos", "8", log="killed").wait(900) == 0
    summary = collection.check_books()
    assert len(collection.summaries()) == 3
    assert summary["restored"] + summary["skipped_reasons"].get("already restored", 0) == 100
    assert "killed" in collection.summaries()[0]["stopped"]
    assert {state for state, _ in shard_states(collection)} <= {"COMPLETED", "CANCELLED"}, "no run is left to itself"
    collection.check_like_undisturbed(tmp_path)


def test_a_photo_that_kills_its_process_fails_and_so_does_one_that_hangs(fleet: Fleet, tmp_path: Path) -> None:
    fleet.processes.stop("worker-1")
    fleet.processes.stop("worker-2")
    fleet.start_worker(1, "--patience", "20")
    collection = Collection(fleet, "deadly", photos=20, p7=61, p13=62)
    assert collection.start("--pool", "gpu", model="deadly", log="deadly").wait(900) == 3
    summary = collection.check_books()
    assert summary["failed_reasons"] == {"crashes the decoder": 1, "timed out": 1}
    assert summary["restored"] == 18
    ledger = read_ledger(collection.target.join("runs", summary["run_id"])).set_index("key")
    assert ledger.loc["007.png", "reason"] == "crashes the decoder"
    assert "signal SIGKILL" in ledger.loc["007.png", "detail"]
    assert "no progress for 20 s" in ledger.loc["013.png", "detail"]
    fleet.processes.stop("worker-1")


def test_a_worker_that_is_told_to_stop_hands_its_shard_back(fleet: Fleet, tmp_path: Path) -> None:
    collection = Collection(fleet, "stopped", photos=40)
    running = collection.start("--pool", "gpu", "--shard-photos", "20", log="stopped")
    collection.wait_for_photos(4)
    fleet.processes.stop("worker-1")
    assert running.wait(900) == 0
    assert collection.check_books()["restored"] == 40
    said = [message for state, message in shard_states(collection) if state != "COMPLETED"]
    assert len(said) == 1
    assert "SIGTERM" in said[0] or "termination" in said[0].lower(), said
    collection.check_like_undisturbed(tmp_path)


def test_a_machine_that_is_gone_is_noticed_by_its_silence_and_another_takes_over(fleet: Fleet, tmp_path: Path) -> None:
    collection = Collection(fleet, "gone", photos=30)
    fleet.processes.stop("worker-2")
    running = collection.start("--pool", "gpu", log="gone")
    collection.wait_for_photos(4)
    lose_machine(fleet, "worker-1")
    fleet.start_worker(2)
    assert running.wait(900) == 0
    assert collection.check_books()["restored"] == 30
    assert [state for state, _ in shard_states(collection)] == ["CRASHED", "COMPLETED"]
    assert "no sign of life" in shard_states(collection)[0][1]
    collection.check_like_undisturbed(tmp_path)


def test_a_server_that_is_away_for_long_does_not_fail_a_good_run(fleet: Fleet, tmp_path: Path) -> None:
    collection = Collection(fleet, "away", photos=40)
    running = collection.start("--pool", "gpu", "--shard-photos", "20", log="away")
    collection.wait_for_photos(4)
    fleet.processes.stop("server", signal.SIGKILL)
    stay_away(SECONDS_AWAY)
    fleet.start_server()
    assert running.wait(900) == 0
    assert collection.check_books()["restored"] == 40
    (run,) = [each for each in runs_of("restore", 0.0) if each["parameters"]["target"] == collection.target.url]
    assert run["state_type"] == "COMPLETED", "Prefect knows that it went well"
    collection.check_like_undisturbed(tmp_path)
