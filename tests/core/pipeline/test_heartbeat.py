"""What a process tells the one that watches it."""

from __future__ import annotations

import os

import pytest

from oldphoto_core.pipeline.callbacks import ShardCallbacks
from oldphoto_core.runs.heartbeat import PIPE, Heartbeat, beat, with_heartbeat
from oldphoto_core.storage import LedgerRow


def row(key: str) -> LedgerRow:
    return LedgerRow(key=key, version="v", status="restored")


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> int:
    reading, writing = os.pipe()
    monkeypatch.setenv(PIPE, str(writing))
    return reading


def heard(pipe: int) -> Heartbeat:
    heartbeat = Heartbeat()
    for line in os.read(pipe, 65536).decode().splitlines():
        heartbeat.take(line)
    return heartbeat


def test_the_watcher_knows_what_is_in_hand(pipe: int) -> None:
    callbacks = with_heartbeat(ShardCallbacks())
    for key in ("a.png", "line\nbreak é.png", "b.png"):
        callbacks.on_begin(key)
    callbacks.on_row(row("a.png"))
    callbacks.on_part("b.png", 1, 9)
    heartbeat = heard(pipe)
    assert heartbeat.holding == {"line\nbreak é.png", "b.png"}
    heartbeat.empty()
    assert (heartbeat.holding, heartbeat.heard_any) == (set(), False)


def test_whoever_listened_before_still_hears(pipe: int) -> None:
    keys: list[str] = []
    callbacks = with_heartbeat(ShardCallbacks(on_begin=keys.append, on_row=lambda each: keys.append(each.key)))
    callbacks.on_begin("a.png")
    callbacks.on_row(row("a.png"))
    assert keys == ["a.png", "a.png"]


def test_a_pause_is_a_sign_of_life_and_getting_ready_is_no_photo(pipe: int) -> None:
    heartbeat = Heartbeat()
    heartbeat.take("ready")
    assert not heartbeat.heard_any
    beat()
    assert heard(pipe).heard_any


def test_a_shard_goes_on_when_nobody_watches_any_more(pipe: int) -> None:
    os.close(pipe)
    callbacks = with_heartbeat(ShardCallbacks())
    callbacks.on_begin("a.png")
    callbacks.on_row(row("a.png"))
    assert PIPE not in os.environ
