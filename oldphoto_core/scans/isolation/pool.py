"""A few decoder processes and whose turn it is: those that die are replaced, those that hang are killed."""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oldphoto_core.errors import CrashesDecoder, ScanError, TimedOut
from oldphoto_core.folders import NoTemporaryFolder, private_folder
from oldphoto_core.scans.isolation.answers import check_answer
from oldphoto_core.scans.isolation.confinement import Confinement, keep_private
from oldphoto_core.scans.isolation.decoder import Decoder, NotStarted, OnSlab
from oldphoto_core.scans.isolation.memory import holding
from oldphoto_core.scans.isolation.messages import Request
from oldphoto_core.scans.isolation.wire import BadMessage

_log = logging.getLogger("oldphoto.scans")


class Pool:
    """At most so many processes, which live until `close`. Safe between threads.

    When a process dies of a file, the file is read once more, by a process that has read nothing else: only if that one
    dies, too, is it the file's fault.
    """

    def __init__(self, most: int, *, isolated: bool) -> None:
        """`isolated` off: there are none. They are started when they are needed, the first one at once."""
        self._isolated = isolated and hasattr(socket, "send_fds")
        self._turns = threading.BoundedSemaphore(most)
        self._idle: queue.LifoQueue[Decoder] = queue.LifoQueue()
        self._alive: set[Decoder] = set()
        self._closed = False
        self._folders: frozenset[Path] = frozenset()
        self._confinement: Confinement | None = None
        if self._isolated:
            keep_private()
            with contextlib.suppress(NoTemporaryFolder):
                self._folders = frozenset({private_folder().absolute()})
            with contextlib.suppress(NotStarted, OSError):
                self._idle.put(self._start())

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of those that live."""
        return tuple(decoder.pid for decoder in self._alive.copy())

    @property
    def confinement(self) -> Confinement | None:
        """What holds the processes, as far as one was ready."""
        return self._confinement

    def ask(
        self, request: Request, file: bytes | Path, room: int | None = None, on_slab: OnSlab = lambda _slab: None
    ) -> Any:
        """The answer of a process; `room`: a descriptor of memory for pixels. As `Decoder.ask`.

        Raises:
            NotStarted: there is no process to ask.
            OSError: none can be asked now, as descriptors or memory ran out.
        """
        if request.seconds <= 0:
            raise TimedOut("no time is left for decoding it: raise --photo-timeout")
        with holding(file) if isinstance(file, bytes) else nullcontext() as data, self._turns:
            question = _Question(
                request,
                [one for one in (data, room) if one is not None],
                len(file) if isinstance(file, bytes) else _size_of(file),
                on_slab,
            )
            folder = None if isinstance(file, bytes) else file.absolute().parent
            try:
                return self._answer(question, self._take(folder))
            except _Died:
                return self._answer(question, self._take(folder, fresh=True))

    def close(self) -> None:
        """Ends all processes; files that are being read meanwhile fail. Closing twice is no error."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._let_go(self._idle.get_nowait())
        for decoder in self._alive.copy():
            decoder.kill()

    def _answer(self, question: _Question, decoder: Decoder) -> Any:
        seconds, fresh = question.request.seconds, not decoder.answers
        try:
            answer = decoder.ask(question.request, question.files, question.size, question.on_slab)
            check_answer(question.request, answer)
        except TimeoutError as error:
            self._let_go(decoder)
            raise TimedOut(
                f"its decoder was stopped after {seconds:.3g} s: raise --photo-timeout, or open it elsewhere"
            ) from error
        except (EOFError, OSError, BadMessage) as error:
            how = f"answered what no decoder should ({error})"
            if not isinstance(error, BadMessage):
                how = f"died ({decoder.cause_of_death()})"
            self._let_go(decoder)
            if self._closed:
                raise ScanError("the run ended while it was being read") from error
            if not fresh:
                raise _Died from error
            raise CrashesDecoder(
                f"the process that decoded it, and had read nothing else, {how}: open it in another program"
            ) from error
        except BaseException:
            self._let_go(decoder)
            raise
        self._idle.put(decoder)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _take(self, folder: Path | None, *, fresh: bool = False) -> Decoder:
        """A process to ask, about a file in this folder; `fresh`: one that has read nothing yet."""
        if not self._isolated:
            raise NotStarted
        try:
            decoder = self._start(folder) if fresh else self._idle_one(folder) or self._start(folder)
            try:
                decoder.wait_until_ready()
                self._confinement = decoder.confinement
            except BaseException:
                self._let_go(decoder)
                raise
        except NotStarted as error:
            if fresh:
                # a file that may have killed one process is not read in this one
                raise CrashesDecoder(f"the process that decoded it died, and no other starts ({error})") from error
            if self._closed:
                raise ScanError("the run ended before it was read") from error
            self._isolated = False
            _log.warning("files are decoded in this process, where one may crash it: no other starts (%s)", error)
            raise
        return decoder

    def _idle_one(self, folder: Path | None) -> Decoder | None:
        with contextlib.suppress(queue.Empty):
            while True:
                decoder = self._idle.get_nowait()
                if decoder.is_alive() and (folder is None or _is_below(folder, decoder.folders)):
                    return decoder
                self._let_go(decoder)
        return None

    def _start(self, folder: Path | None = None) -> Decoder:
        if folder is not None and not _is_below(folder, self._folders):
            self._folders |= {folder}
        decoder = Decoder(self._folders)
        self._alive.add(decoder)
        if self._closed:
            self._let_go(decoder)
            raise NotStarted("closed")
        return decoder

    def _let_go(self, decoder: Decoder) -> None:
        decoder.end()
        self._alive.discard(decoder)


@dataclass(frozen=True, slots=True)
class _Question:
    """What a process is asked, and what goes with it (see `Decoder.ask`)."""

    request: Request
    files: list[int]
    size: int
    on_slab: OnSlab


def _size_of(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _is_below(folder: Path, folders: frozenset[Path]) -> bool:
    return any(folder.is_relative_to(one) for one in folders)


class _Died(Exception):
    """A process that had read other files before: nobody knows which one it died of."""
