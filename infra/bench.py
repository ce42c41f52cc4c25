"""A place to work at in a worker: one process (`infra/shard_process.py`) on one device, watched, and replaced."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from oldphoto_core.runs.heartbeat import PIPE, Heartbeat
from oldphoto_core.runs.shard_store import HUNG

SECONDS_TO_HAND_BACK = 60.0
"""That a process may take to finish what it has in flight, once it was told to end."""
SECONDS_TO_BEGIN = 600.0
"""That a process may take at least before its first photo: libraries and the model are loaded then."""
_NOBODYS_FAULT = {-signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGTERM}
_LOOK = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    code: int
    """0, or what the process ended with, negative for a signal."""
    how: str = ""
    """In words, when the process died."""
    holding: frozenset[str] = frozenset()
    """Photos that it had in flight when it died, if it may have died of one."""


class Bench:
    """Its process is started by the first run and serves those that follow."""

    def __init__(self, name: str, environment: dict[str, str], patience: float) -> None:
        """`environment` is added to this process's; without progress for `patience` seconds the process is killed."""
        self.name = name
        self._environment, self._patience = environment, patience
        self._process: subprocess.Popen[bytes] | None = None
        self._selector = selectors.DefaultSelector()
        self._pipe = -1
        self._unread = b""
        self._heartbeat = Heartbeat()
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._stopped_at = 0.0

    @property
    def pid(self) -> int:
        """Of the process, which is started if there is none."""
        return self._running().pid

    def start(self) -> None:
        """Start its process ahead of the first run: that takes seconds."""
        self._running()

    def restore(self, flow_run: str) -> Ended:
        """Have it run that flow run; blocks until it has ended, or the process has."""
        process = self._running()
        self._heartbeat.empty()
        with contextlib.suppress(BrokenPipeError):
            assert process.stdin is not None
            process.stdin.write(f"{flow_run}\n".encode())
            process.stdin.flush()
        hung = ""
        while (line := self._next_line()) is not None:
            if line.startswith("done "):
                code = int(line.removeprefix("done "))
                if code:
                    process.wait()  # it ends by itself, and must not be given another run
                return Ended(code)
            if line:
                self._heartbeat.take(line)
            hung = hung or self._end_if_hung(process)
        return self._account(process, hung)

    def stop(self) -> None:
        """Have its process hand back what it works on, and end. Callable from any thread, and from a signal handler."""
        self._stopped_at = time.monotonic()
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()

    def close(self) -> None:
        """Ends the process, gently at first."""
        self.stop()
        if self._process is not None:
            try:
                self._process.wait(SECONDS_TO_HAND_BACK)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._forget()

    def _running(self) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._process is None or self._process.poll() is not None:
                self._forget()
                self._process = self._begin()
            return self._process

    def _begin(self) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "infra.shard_process"],
            stdin=subprocess.PIPE,
            env={**os.environ, **self._environment, "PYTHONSAFEPATH": "1", PIPE: str(writing)},
            pass_fds=(writing,),
            # Ctrl-C is for the worker, which hands back; what is started in the background ignores SIGINT otherwise
            start_new_session=True,
        )
        os.close(writing)
        os.set_blocking(reading, False)
        self._pipe = reading
        self._selector.register(reading, selectors.EVENT_READ)
        return process

    def _forget(self) -> None:
        if self._pipe >= 0:
            self._selector.unregister(self._pipe)
            os.close(self._pipe)
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process, self._pipe, self._unread = None, -1, b""

    def _next_line(self) -> str | None:
        """The next line; empty when none came for a second, None when there is none to come."""
        while b"\n" not in self._unread:
            if not self._selector.select(_LOOK):
                return ""
            chunk = os.read(self._pipe, 65536)
            if not chunk:
                return None
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def _end_if_hung(self, process: subprocess.Popen[bytes]) -> str:
        allowed = self._patience if self._heartbeat.heard_any else max(self._patience, SECONDS_TO_BEGIN)
        if self._heartbeat.seconds_silent > allowed:
            process.kill()
            return f"{HUNG} for {allowed:.0f} s"
        if self._stopping.is_set() and time.monotonic() - self._stopped_at > SECONDS_TO_HAND_BACK:
            process.kill()
        return ""

    def _account(self, process: subprocess.Popen[bytes], hung: str) -> Ended:
        code = process.wait()
        holding = frozenset(self._heartbeat.holding)
        self._forget()
        blameless = self._stopping.is_set() or (code in _NOBODYS_FAULT and not hung)
        how = hung or (f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
        return Ended(code or 1, how, frozenset() if blameless else holding)
