"""One process at a time in a place, whatever the clocks of machines say and whatever lies where the lease should."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from oldphoto_core.errors import Occupied, WriteFailed
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.lease import Clock, Lease
from oldphoto_core.storage.lease_entry import SECONDS, own_entry

DAY = 86400.0


class Time:
    """A machine's clocks, which go when somebody waits; `then` happens at each wait."""

    def __init__(self, wall: float = 0.0, then: Callable[[], object] = lambda: None) -> None:
        self.now, self.wall_ahead, self.then = 1000.0, wall, then

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.then()

    @property
    def clock(self) -> Clock:
        return Clock(elapsed=lambda: self.now, wall=lambda: self.now + self.wall_ahead, wait=self.wait)


@pytest.fixture
def place(bucket_url: str) -> Bucket:
    return Bucket(bucket_url).join("lease")


@contextmanager
def held(place: Bucket, time: Time) -> Iterator[Lease]:
    """By another machine, which renews it when it is told to."""
    with Lease(place, clock=time.clock) as lease:
        last = max(lease._journal.numbers())
        move_elsewhere(place, last)
        yield lease


def move_elsewhere(place: Bucket, number: int, **other: object) -> None:
    key = f"{number:08d}.json"
    entry = json.loads(place.read(key)) | {"kernel": "of another machine", "host": "elsewhere", **other}
    place.write(key, json.dumps(entry).encode())


def leave(place: Bucket, **other: object) -> None:
    """A lease of another machine that lost its power: nothing is renewed or released."""
    gone = Lease(place)
    gone._write(0)
    move_elsewhere(place, 1, **other)


def heard_on_taking(place: Bucket, time: Time) -> list[str]:
    said: list[str] = []
    with Lease(place, on_wait=said.append, clock=time.clock) as lease:
        lease.check()
    return said


@pytest.mark.parametrize("ahead", [-DAY, 15.0, 45.0, DAY])
def test_a_lease_that_is_renewed_is_kept_however_far_the_clock_of_another_is_ahead(place: Bucket, ahead: float) -> None:
    with held(place, Time()) as lease:
        contender = Time(wall=ahead, then=lease._renew)
        with pytest.raises(Occupied, match="which renews it"):
            heard_on_taking(place, contender)
        lease.check()
        assert contender.now - 1000 <= SECONDS / 3


@pytest.mark.parametrize("ahead", [-DAY, 0.0, DAY])
def test_a_lease_that_nobody_renews_is_taken_over_however_far_its_holders_clock_was_ahead(
    place: Bucket, ahead: float
) -> None:
    time = Time()
    leave(place, until=time.now + ahead)
    (said,) = heard_on_taking(place, time)
    assert "is held by process" in said
    assert "on elsewhere; watching for 60 s" in said
    assert SECONDS < time.now - 1000 <= 1.2 * SECONDS


def test_a_contender_waits_as_long_as_the_entry_holds_and_not_as_its_own_would(place: Bucket) -> None:
    time = Time()
    leave(place, seconds=200.0)
    heard_on_taking(place, time)
    assert 200 < time.now - 1000 <= 220


def test_a_lease_that_is_released_while_it_is_watched_is_taken_at_once(place: Bucket) -> None:
    lease = Lease(place, clock=Time().clock)
    lease._write(0)
    move_elsewhere(place, 1)
    time = Time(then=lambda: lease._write(1, released=True))
    heard_on_taking(place, time)
    assert time.now - 1000 < SECONDS / 3


MALFORMED = {
    "empty": b"",
    "half of one": b'{"host": "elsewhere", "pid"',
    "no UTF-8": b"\xff\xfe{}",
    "null": b"null",
    "a list": b"[1, 2]",
    "nothing in it": b"{}",
    "deep": b"[" * 100_000,
    "long number": b'{"until": ' + b"9" * 5000 + b"}",
    "wrong types": b'{"until":[],"released":"no","holder":7,"host":{},"pid":"1","kernel":[],"started":0}',
    "no time": b'{"released":false,"holder":"a","host":"b","pid":1,"kernel":"","started":"","seconds":NaN}',
    "for ever": b'{"released":false,"holder":"a","host":"b","pid":1,"kernel":"","started":"","seconds":1e300}',
    "long": b'{"released":false,"holder":"a","host":"b","pid":1,"kernel":"","started":"","seconds":1'
    + b"0" * 400
    + b"}",
    "huge pid": b'{"released":false,"holder":"a","host":"b","pid":1e99,"kernel":"","started":""}',
}


def test_a_link_that_leads_nowhere_holds_as_long_as_an_entry_that_cannot_be_read(tmp_path) -> None:
    (tmp_path / "00000007.json").symlink_to(tmp_path / "nowhere")
    (said,) = heard_on_taking(Bucket(tmp_path), Time())
    assert "is held by a process whose entry cannot be read" in said
    assert not (tmp_path / "00000007.json").is_symlink()


def test_digits_of_other_scripts_make_no_entry(place: Bucket) -> None:
    place.write("\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0661.json", b"{}")
    assert heard_on_taking(place, Time()) == []


def test_two_processes_hold_no_lease_at_once_however_high_its_numbers_are(place: Bucket) -> None:
    place.write(f"{10**18 - 1}.json", own_entry("a", SECONDS, released=True).to_bytes())
    with held(place, Time()) as lease, pytest.raises(Occupied, match="which renews it"):
        heard_on_taking(place, Time(then=lease._renew))


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_an_entry_that_cannot_be_read_holds_as_long_as_any_other(tmp_path, data: bytes) -> None:
    place, time = Bucket(tmp_path), Time()
    place.write("00000007.json", data)
    (said,) = heard_on_taking(place, time)
    assert "is held by a process whose entry cannot be read" in said
    assert SECONDS < time.now - 1000 <= 1.2 * SECONDS


def test_names_of_machines_reach_nobody_as_control_characters(tmp_path) -> None:
    place = Bucket(tmp_path)
    leave(place, host="a\x1b[31m\nb")
    (said,) = heard_on_taking(place, Time())
    assert said.isprintable()


def test_the_last_of_eight_digits_is_not_the_end_of_a_lease(tmp_path) -> None:
    Bucket(tmp_path).write("99999999.json", b"x")
    for _ in range(2):
        heard_on_taking(Bucket(tmp_path), Time())


def test_two_who_watched_it_do_not_both_get_it(place: Bucket) -> None:
    leave(place)
    first = Lease(place)
    time = Time(then=lambda: time.now > 1000 + SECONDS and first._write(1))
    with pytest.raises(Occupied):
        heard_on_taking(place, time)


def test_a_holder_that_was_stopped_goes_on_if_nobody_took_its_place(place: Bucket) -> None:
    time = Time()
    with held(place, time) as lease:
        time.now += 10 * SECONDS
        lease.check()
        assert lease._journal.numbers() == [2]


def test_a_holder_that_was_stopped_learns_from_the_store_that_it_was_replaced(place: Bucket) -> None:
    time = Time()
    with held(place, time) as lease, Lease(place, on_wait=lambda _: None, clock=Time().clock):
        time.now += 10 * SECONDS
        with pytest.raises(Occupied, match="another process took it over"):
            lease.check()


@pytest.mark.parametrize("renewals", [1, 2, 5])
def test_it_learns_so_although_its_next_entry_was_written_and_forgotten_meanwhile(place: Bucket, renewals: int) -> None:
    time = Time()
    with held(place, time) as lease, Lease(place, on_wait=lambda _: None, clock=Time().clock) as other:
        for _ in range(renewals):
            other._renew()
        time.now += 10 * SECONDS
        with pytest.raises(Occupied, match="another process took it over"):
            lease.check()
        other.check()


def test_an_entry_that_cannot_be_read_takes_a_lease_over_too(place: Bucket) -> None:
    time = Time()
    with held(place, time) as lease:
        assert lease._journal.append(1, b"{")
        time.now += SECONDS
        with pytest.raises(Occupied, match="was lost"):
            lease.check()


def test_a_virtual_machine_that_was_paused_asks_the_store(place: Bucket) -> None:
    time = Time()
    with held(place, time) as lease:
        time.wall_ahead += DAY  # its other clock stood still
        lease.check()
        assert lease._journal.numbers() == [2]


@pytest.mark.parametrize(("seconds", "is_lost"), [(0.5 * SECONDS, False), (0.9 * SECONDS, False), (SECONDS + 1, True)])
def test_a_store_that_does_not_answer_ends_a_lease_when_it_would_end_by_itself(
    place: Bucket, monkeypatch: pytest.MonkeyPatch, seconds: float, is_lost: bool
) -> None:
    def away(bucket: Bucket, key: str, data: bytes) -> bool:
        raise WriteFailed("the store does not answer")

    time = Time()
    with held(place, time) as lease:
        monkeypatch.setattr(Bucket, "create", away)
        time.now += seconds
        if is_lost:
            with pytest.raises(Occupied, match="could not be renewed in time"):
                lease.check()
        else:
            lease.check()


def test_a_lease_is_renewed_while_it_is_held(place: Bucket) -> None:
    with Lease(place, seconds=0.3) as lease:
        for _ in range(3):
            number = lease._number
            while lease._number == number and lease._thread.is_alive():
                lease._thread.join(0.01)
        lease.check()


def test_the_lease_of_a_process_that_died_on_this_machine_is_free_at_once(tmp_path) -> None:
    script = (
        "import sys; from oldphoto_core.storage import Bucket; from oldphoto_core.storage.lease import Lease\n"
        "Lease(Bucket(sys.argv[1])).__enter__(); print('held', flush=True); sys.stdin.readline()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.kill()
    assert heard_on_taking(Bucket(tmp_path), Time()) == []
