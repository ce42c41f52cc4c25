"""A few decoder processes and whose turn it is: those that die are replaced, those that hang are killed."""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
from pathlib import Path
from typing import Any

from oldphoto_core.errors import CrashesDecoder, ScanError, TimedOut
from oldphoto_core.scans.isolation.decoder import Decoder, NotStarted
from oldphoto_core.scans.isolation.messages import Request, in_memory

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
        if self._isolated:
            with contextlib.suppress(NotStarted):
                self._idle.put(self._start())

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of those that live."""
        return tuple(decoder.pid for decoder in self._alive.copy())

    def ask(self, request: Request, file: bytes | Path) -> tuple[Any, int | None]:
        """The answer of a process, and the memory that came with it; raises NotStarted where there is none to ask."""
        if request.seconds <= 0:
            raise TimedOut("no time is left for decoding it: raise --photo-timeout")
        data = in_memory([file]) if isinstance(file, bytes) else contextlib.nullcontext()
        with data as descriptor, self._turns:
            try:
                return self._answer(request, descriptor, self._take())
            except _Died:
                return self._answer(request, descriptor, self._take(fresh=True))

    def close(self) -> None:
        """Ends all processes; files that are being read meanwhile fail. Closing twice is no error."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._let_go(self._idle.get_nowait())
        for decoder in self._alive.copy():
            decoder.kill()

    def _answer(self, request: Request, descriptor: int | None, decoder: Decoder) -> tuple[Any, int | None]:
        try:
            answer, memory = decoder.ask(request, descriptor)
        except TimeoutError as error:
            self._let_go(decoder)
            raise TimedOut(
                f"its decoder was stopped after {request.seconds:.3g} s: raise --photo-timeout, or open it elsewhere"
            ) from error
        except (EOFError, OSError) as error:
            how = decoder.cause_of_death()
            self._let_go(decoder)
            if self._closed:
                raise ScanError("the run ended while it was being read") from error
            if decoder.answers:
                raise _Died from error
            raise CrashesDecoder(
                f"the process that decoded it, and had read nothing else, died ({how}): open it in another program"
            ) from error
        except BaseException:
            self._let_go(decoder)
            raise
        self._idle.put(decoder)
        if isinstance(answer, Exception):
            raise answer
        return answer, memory

    def _take(self, *, fresh: bool = False) -> Decoder:
        """A process to ask; `fresh`: one that has read nothing yet."""
        if not self._isolated:
            raise NotStarted
        try:
            decoder = self._start() if fresh else self._idle_one() or self._start()
            try:
                decoder.wait_until_ready()
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

    def _idle_one(self) -> Decoder | None:
        with contextlib.suppress(queue.Empty):
            while not (decoder := self._idle.get_nowait()).is_alive():
                self._let_go(decoder)
            return decoder
        return None

    def _start(self) -> Decoder:
        decoder = Decoder()
        self._alive.add(decoder)
        if self._closed:
            self._let_go(decoder)
            raise NotStarted("closed")
        return decoder

    def _let_go(self, decoder: Decoder) -> None:
        decoder.end()
        self._alive.discard(decoder)


class _Died(Exception):
    """A process that had read other files before: nobody knows which one it died of."""
