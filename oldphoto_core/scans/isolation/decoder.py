"""One decoder process from the outside."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from oldphoto_core.errors import is_shortage
from oldphoto_core.scans.isolation.confinement import Confinement
from oldphoto_core.scans.isolation.messages import (
    MOST_BLOB_BYTES,
    GoOn,
    Ready,
    Request,
    Slab,
    receive,
    send,
)
from oldphoto_core.scans.isolation.wire import BadMessage

_WORKER = "oldphoto_core.scans.isolation.worker"
_ROOT = str(Path(__file__).parents[3])
_SECONDS_TO_START, _SECONDS_TO_DIE = 60.0, 5.0
_SECONDS_BETWEEN_LOOKS = 1.0
_THREADS = 4
"""Of libvips in one process, at most: there are several processes."""
_ENVIRONMENT = frozenset(
    {
        "PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH",
        "DYLD_FALLBACK_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE",
        "PYTHONHASHSEED", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE",
    }
)  # fmt: skip
_ENVIRONMENT_BEGINS = ("LC_", "VIPS_", "MALLOC_")
"""Variables, and beginnings of their names, that decoders are given: all others may hold credentials."""

OnSlab = Callable[[Slab], None]


class NotStarted(Exception):
    """No process could be started, and why."""


class Decoder:
    """A process that is starting, ready, or dead. One thread at a time may use it."""

    def __init__(self, folders: frozenset[Path]) -> None:
        """Starts it, and does not wait. By path it can read files below `folders`.

        Raises:
            NotStarted: the system starts no process.
            OSError: it starts none now, as descriptors or memory ran out.
        """
        self.answers = 0
        """Files that it has read."""
        self.folders = folders
        self.confinement: Confinement | None = None
        """What holds it, once it is ready."""
        self._line, theirs = socket.socketpair()
        self._poll = select.poll()
        self._poll.register(self._line, select.POLLIN)
        with theirs:
            # not multiprocessing: its processes import the program's main module, and torch with it
            command = [sys.executable, "-P", "-m", _WORKER, str(theirs.fileno()), *sorted(map(str, folders))]
            nothing = subprocess.DEVNULL
            try:
                self._process = subprocess.Popen(
                    command,
                    pass_fds=[theirs.fileno()],
                    stdin=nothing,
                    stdout=nothing,
                    stderr=nothing,
                    env=_environment(),
                    start_new_session=True,  # Ctrl-C is for the process that asks, and its group can be ended
                )
            except OSError as error:
                self._line.close()
                if is_shortage(error):
                    raise
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
        if self.confinement is not None:
            return
        try:
            ready = self._receive(time.monotonic() + _SECONDS_TO_START, 0)
        except (EOFError, OSError, BadMessage) as error:
            raise NotStarted(f"{sys.executable} -m {_WORKER}: {self.cause_of_death()}") from error
        if not isinstance(ready, Ready):
            raise NotStarted(f"{sys.executable} -m {_WORKER}: it does not say that it is ready")
        self.confinement = ready.confinement

    def ask(self, request: Request, files: Sequence[int], size: int, on_slab: OnSlab) -> Any:
        """Its answer.

        Args:
            request: What is asked.
            files: Descriptors of the file's bytes and of the room for pixels, those of them that there are.
            size: Bytes of the file.
            on_slab: Takes the rows that are in the room.

        Raises:
            TimeoutError: none came in time; the process must be ended.
            EOFError, OSError: it died.
            BadMessage: it answered what no decoder should.
        """
        deadline = time.monotonic() + request.seconds
        self._line.settimeout(request.seconds)
        send(self._line, request, files)
        while True:
            answer = self._receive(deadline, size)
            if not isinstance(answer, Slab):
                break
            on_slab(answer)
            send(self._line, GoOn())
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
        """Ends it, and what it may have started. A thread that waits for its answer learns that it died."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """The same, by the thread that uses it."""
        self.kill()
        self._line.close()

    def _receive(self, deadline: float, size: int) -> Any:
        return receive(self._line, blob_bytes=MOST_BLOB_BYTES + size, wait=lambda: self._wait(deadline))

    def _wait(self, deadline: float) -> None:
        """Until something can be read, or the line has ended; raises TimeoutError at the deadline.

        The end of the process counts as that of the line, which a process that it started might hold open.
        """
        while True:
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError
            if self._poll.poll(1000 * min(left, _SECONDS_BETWEEN_LOOKS)):
                return
            if not self.is_alive() and not self._poll.poll(0):
                raise EOFError


def _environment() -> dict[str, str]:
    """What libraries need of this process's."""
    ours = {name: text for name, text in os.environ.items() if _is_given(name)}
    path = [_ROOT, *filter(None, [ours.get("PYTHONPATH")])]
    # libvips' and malloc's own defaults reserve memory for every core
    few = {"VIPS_CONCURRENCY": str(min(_THREADS, os.cpu_count() or 1)), "MALLOC_ARENA_MAX": "2"}
    # a thread that begins while numpy is loaded would not be confined
    return {**few, **ours, "PYTHONPATH": os.pathsep.join(path), "OPENBLAS_NUM_THREADS": "1"}


def _is_given(name: str) -> bool:
    return name in _ENVIRONMENT or name.startswith(_ENVIRONMENT_BEGINS)
