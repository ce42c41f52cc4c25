"""Processes that are started together and stopped together, each by its own pid."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from oldphoto_core.errors import OldPhotoError

GRACE_SECONDS = 10.0


class NotStarted(OldPhotoError):
    """A process ended, or did not answer in time; the message names its log."""


class Processes:
    """Use it as a context manager: what it started is stopped at the end, the last first, with what those started."""

    def __init__(self, home: Path, logs: Path, environment: Mapping[str, str]) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._home = home
        self.logs = logs
        self.environment = dict(environment)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """`python -P -m module arguments`, with its output in `logs/name.log`, in a process group of its own."""
        return self.start_program(name, sys.executable, "-P", "-m", module, *arguments)

    def start_program(self, name: str, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """The same with a command that is not Python's; `options` are those of subprocess.Popen."""
        with (self.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **{"cwd": self._home, "env": self.environment, **options},
            )
        return self.running[name]

    def run(self, name: str, module: str, *arguments: str, timeout: float = 300) -> None:
        """The same, to its end. Raises NotStarted when that is not 0."""
        process = self.start(name, module, *arguments)
        try:
            if process.wait(timeout) != 0:
                raise self._failure(name, f"ended with {process.returncode}")
        finally:
            self.stop(name)

    def wait(self, name: str, is_there: Callable[[], bool], seconds: float = 300) -> None:
        """Until `is_there`. Raises NotStarted when the process ends before, or it takes too long."""
        deadline = time.monotonic() + seconds
        while not is_there():
            code = self.running[name].poll()
            if code is not None:
                raise self._failure(name, f"ended with {code}")
            if time.monotonic() > deadline:
                raise self._failure(name, f"did not answer within {seconds:.0f} s")
            time.sleep(0.2)

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """A signal to one, then SIGKILL to its group if it does not go."""
        process = self.running.pop(name)
        if process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
        _kill_group(process.pid)
        process.wait()

    def stop_all(self) -> None:
        """The last first."""
        for name in reversed(list(self.running)):
            self.stop(name)

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()

    def _failure(self, name: str, what: str) -> NotStarted:
        log = self.logs / f"{name}.log"
        lines = log.read_text(errors="replace").strip().splitlines()
        return NotStarted(f"{name} {what} ({lines[-1] if lines else 'it said nothing'}); see {log}")


def free_port() -> int:
    """A port of this machine's loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(url: str) -> bool:
    """Whether something says 200 there."""
    import httpx

    try:
        return httpx.get(url, timeout=10.0).status_code == 200
    except httpx.HTTPError:
        return False


def _kill_group(group: int) -> None:
    # its leader's pid names the group as long as anyone is left in it
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
