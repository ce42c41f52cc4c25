"""What a process tells the one that watches it."""

from __future__ import annotations

import os

import pytest

from oldphoto_core.runs.heartbeat import PIPE, Heartbeat, beat, with_heartbeat
from oldphoto_core.runs.shard import ShardCallbacks
from oldphoto_core.storage import LedgerRow


def row(key: str) -> LedgerRow:
    return LedgerRow(key=key, version="v", status="restored")


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> int:
    reading, writing = os.pipe()
    monkeypatch.setenv(PIPE, str(writing))
    return reading


def heard(pipe: int) -> Heartbeat:
    hands = Heartbeat()
    for line in os.read(pipe, 65536).decode().splitlines():
        hands.hear(line)
    return hands


def test_the_watcher_knows_what_is_in_hand(pipe: int) -> None:
    ears = with_heartbeat(ShardCallbacks())
    for key in ("a.png", "line\nbreak é.png", "b.png"):
        ears.on_begin(key)
    ears.on_row(row("a.png"))
    ears.on_part("b.png", 1, 9)
    hands = heard(pipe)
    assert hands.holding == {"line\nbreak é.png", "b.png"}
    hands.empty()
    assert (hands.holding, hands.heard_any) == (set(), False)


def test_whoever_listened_before_still_hears(pipe: int) -> None:
    keys: list[str] = []
    ears = with_heartbeat(ShardCallbacks(on_begin=keys.append, on_row=lambda each: keys.append(each.key)))
    ears.on_begin("a.png")
    ears.on_row(row("a.png"))
    assert keys == ["a.png", "a.png"]


def test_a_pause_is_a_sign_of_life_and_getting_ready_is_no_photo(pipe: int) -> None:
    hands = Heartbeat()
    hands.hear("ready")
    assert not hands.heard_any
    beat()
    assert heard(pipe).heard_any


def test_a_shard_goes_on_when_nobody_watches_any_more(pipe: int) -> None:
    os.close(pipe)
    ears = with_heartbeat(ShardCallbacks())
    ears.on_begin("a.png")
    ears.on_row(row("a.png"))
    assert PIPE not in os.environ
