"""One decoder process from the outside."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from oldphoto_core.scans.isolation.messages import Request, receive, send

_WORKER = "oldphoto_core.scans.isolation.worker"
_ROOT = str(Path(__file__).parents[3])
_SECONDS_TO_START, _SECONDS_TO_DIE = 60.0, 5.0
_THREADS = 4
"""Of libvips in one process, at most: there are several processes."""


class NotStarted(Exception):
    """No process could be started, and why."""


class Decoder:
    """A process that is starting, ready, or dead. One thread at a time may use it."""

    def __init__(self) -> None:
        """Starts it, and does not wait. Raises NotStarted when the system starts no process."""
        self.answers = 0
        """Files that it has read."""
        self._ready = False
        self._line, theirs = socket.socketpair()
        with theirs:
            # not multiprocessing: its processes import the program's main module, and torch with it
            command = [sys.executable, "-P", "-m", _WORKER, str(theirs.fileno())]
            nothing = subprocess.DEVNULL
            try:
                self._process = subprocess.Popen(
                    command,
                    pass_fds=[theirs.fileno()],
                    stdin=nothing,
                    stdout=nothing,
                    stderr=nothing,
                    env=_environment(),
                    start_new_session=True,  # Ctrl-C is for the process that asks
                )
            except OSError as error:
                self._line.close()
                raise NotStarted(str(error)) from error

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Raises NotStarted when it ends, or does nothing, before it can read anything."""
        if self._ready:
            return
        self._line.settimeout(_SECONDS_TO_START)
        try:
            receive(self._line)
        except (EOFError, OSError) as error:
            raise NotStarted(f"{sys.executable} -m {_WORKER}: {self.cause_of_death()}") from error
        self._ready = True

    def ask(self, request: Request, file: int | None) -> tuple[Any, int | None]:
        """Its answer, and a descriptor of memory that came with it.

        Raises:
            TimeoutError: none came in time; the process must be ended.
            EOFError, OSError: it died.
        """
        self._line.settimeout(request.seconds)
        send(self._line, request, file)
        answer = receive(self._line)
        self.answers += 1
        return answer

    def cause_of_death(self) -> str:
        """What ended it, in a few words."""
        try:
            code = self._process.wait(_SECONDS_TO_DIE)
        except subprocess.TimeoutExpired:
            return "it does not answer"
        if code >= 0:
            return f"exit code {code}"
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            return f"{name}, as when memory runs out" if name == "SIGKILL" else name
        return f"signal {-code}"

    def kill(self) -> None:
        """Ends it. A thread that waits for its answer learns that it died."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """The same, by the thread that uses it."""
        self.kill()
        self._line.close()


def _environment() -> dict[str, str]:
    """As here, without credentials: whoever decodes needs none."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = [_ROOT, *filter(None, [ours.get("PYTHONPATH")])]
    # libvips' and malloc's own defaults reserve memory for every core
    few = {"VIPS_CONCURRENCY": str(min(_THREADS, os.cpu_count() or 1)), "MALLOC_ARENA_MAX": "2"}
    return {**few, **ours, "PYTHONPATH": os.pathsep.join(path)}
