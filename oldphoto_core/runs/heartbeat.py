"""What a process that restores shards has in flight, reported to the process that watches it, over a pipe.

The watcher knows then what a dead process died of, and that a live one still gets on. One line each:

    + KEY   started      - KEY   done with      .   a part of a large photo is done
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace

from oldphoto_core.pipeline.callbacks import ShardCallbacks
from oldphoto_core.storage import LedgerRow

PIPE = "OLDPHOTO_HANDS"
"""Environment variable with the number of the pipe's end to write to."""


def with_heartbeat(callbacks: ShardCallbacks) -> ShardCallbacks:
    """These callbacks, and the watcher's, where there is one."""
    descriptor = os.environ.get(PIPE, "")
    if not descriptor:
        return callbacks
    pipe = int(descriptor)

    def begin(key: str) -> None:
        _write(pipe, f"+ {json.dumps(key)}")
        callbacks.on_begin(key)

    def row(row: LedgerRow) -> None:
        _write(pipe, f"- {json.dumps(row.key)}")
        callbacks.on_row(row)

    def part(key: str, done: int, total: int) -> None:
        _write(pipe, ".")
        callbacks.on_part(key, done, total)

    return replace(callbacks, on_begin=begin, on_row=row, on_part=part)


def beat() -> None:
    """Nothing gets on, and that is as it should be."""
    if descriptor := os.environ.get(PIPE, ""):
        _write(int(descriptor), ".")


class Heartbeat:
    """The watcher's side: fed with lines, asked what is in flight."""

    def __init__(self) -> None:
        self.holding: set[str] = set()
        self.heard_any = False
        """Of this shard."""
        self._last_line = time.monotonic()

    @property
    def seconds_silent(self) -> float:
        """Seconds since the last line arrived."""
        return time.monotonic() - self._last_line

    def take(self, line: str) -> None:
        """One line of the pipe; others than those above are only signs of life."""
        self._last_line = time.monotonic()
        sign, _, key = line.partition(" ")
        self.heard_any |= sign in ("+", "-", ".")
        if sign == "+":
            self.holding.add(json.loads(key))
        elif sign == "-":
            self.holding.discard(json.loads(key))

    def empty(self) -> None:
        """Before another shard."""
        self.holding.clear()
        self._last_line, self.heard_any = time.monotonic(), False


def _write(pipe: int, line: str) -> None:
    try:
        os.write(pipe, f"{line}\n".encode())
    except OSError:
        os.environ.pop(PIPE, None)  # nobody watches any more; the shard is finished all the same
