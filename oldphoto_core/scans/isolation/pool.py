"""Decoders as their callers see them: files to scans, in processes that may die of a file without harm to this one."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import CrashesDecoder, ScanError, TimedOut, UnreadableScan
from oldphoto_core.scans import facts, foresight, headers, reader
from oldphoto_core.scans.foresight import Foreseen, SparseCopy
from oldphoto_core.scans.isolation.decoder import Decoder, NotStarted
from oldphoto_core.scans.isolation.messages import Missing, Plane, Reply, Request, in_memory, planes_of
from oldphoto_core.scans.raw import RawPixels
from oldphoto_core.scans.scan import Scan, ScanHeader, SpooledScan
from oldphoto_core.scans.selection import ALL_PAGES, PageSelection

if TYPE_CHECKING:
    from types import TracebackType

SECONDS = 600.0
"""That decoding one file may take, where the caller allows no less."""

_log = logging.getLogger("oldphoto.scans")


class Decoders:
    """Reads scans in a few processes that live until `close`. Safe between threads; use it as a context manager.

    When a process dies of a file, the file is read once more, by a process that has read nothing else: only if that one
    dies, too, is it the file's fault. A process that takes too long is killed. Where no process can be started, and
    with `isolated=False`, files are read in this process: a crash is then this process's, and a hang lasts.
    """

    def __init__(self, most: int = 2, *, isolated: bool = True) -> None:
        """`most`: processes at a time. They are started when they are needed, the first one at once."""
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

    def read_header(self, file: bytes | Path, *, seconds: float = SECONDS) -> ScanHeader:
        """`headers.read_header` of a file's bytes, `headers.read_header_of` of a path.

        Raises:
            CrashesDecoder: a process that had read nothing else died of it.
            TimedOut: it took longer than `seconds`.
            ScanError: as the function in `reader`.
        """
        try:
            header, _ = self._ask(Request(what="header", path=_path_of(file), seconds=seconds), file)
        except NotStarted:
            return headers.read_header(file) if isinstance(file, bytes) else headers.read_header_of(file)
        assert isinstance(header, ScanHeader)
        return header

    def read_pages(
        self,
        file: bytes | Path,
        selection: PageSelection = ALL_PAGES,
        *,
        max_pixels: int | None = None,
        seconds: float = SECONDS,
    ) -> tuple[ScanHeader, ...]:
        """`headers.read_pages`.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`.
        """
        request = Request(
            what="pages", path=_path_of(file), selection=selection, max_pixels=max_pixels, seconds=seconds
        )
        try:
            found, _ = self._ask(request, file)
        except NotStarted:
            return headers.read_pages(file, selection, max_pixels=max_pixels)
        assert isinstance(found, tuple)
        assert all(isinstance(header, ScanHeader) for header in found)
        return found

    def foresee(
        self,
        file: SparseCopy,
        selection: PageSelection = ALL_PAGES,
        *,
        max_pixels: int | None = None,
        seconds: float = SECONDS,
    ) -> Foreseen:
        """`foresight.foresee`; what a process wants to see of the file is fetched here, and it is asked again.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`.
            TooScattered: as `foresee`.
        """
        path = Path(file.path)
        request = Request(
            what="foresee", path=_path_of(path), selection=selection, max_pixels=max_pixels, seconds=seconds
        )
        while True:
            try:
                answer, _ = self._ask(replace(request, there=file.there), path)
            except NotStarted:
                return foresight.foresee(file, selection, max_pixels=max_pixels)
            if isinstance(answer, Foreseen):
                return answer
            assert isinstance(answer, Missing)
            wanted = tuple(set(answer.blocks) & set(file.missing(0, len(file))))
            if not wanted:
                raise UnreadableScan("its decoder asks for what it has: open it in another program")
            file.take(wanted)

    def read_facts(self, file: bytes | Path, *, page: int | None = None, seconds: float = SECONDS) -> facts.FileFacts:
        """`facts.read_facts`.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`.
        """
        try:
            found, _ = self._ask(Request(what="facts", path=_path_of(file), page=page, seconds=seconds), file)
        except NotStarted:
            return facts.read_facts(file, page)
        assert isinstance(found, facts.FileFacts)
        return found

    def read_scan(
        self,
        file: bytes | Path,
        *,
        max_pixels: int | None = None,
        page: int | None = None,
        seconds: float = SECONDS,
    ) -> Scan:
        """`reader.read_scan`; the pixels are memory that the process leaves behind, and are not copied.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`.
        """
        request = Request(what="scan", path=_path_of(file), max_pixels=max_pixels, page=page, seconds=seconds)
        try:
            reply, memory = self._ask(request, file)
        except NotStarted:
            return reader.read_scan(file, max_pixels=max_pixels, page=page)
        assert isinstance(reply, Reply)
        assert memory is not None
        try:
            pixels, *alpha = planes_of(memory, (plane for plane in (reply.pixels, reply.alpha) if plane))
        finally:
            os.close(memory)
        return Scan(pixels=pixels, alpha=alpha[0] if alpha else None, format=reply.format, **reply.carried)

    def spool_scan(
        self,
        path: Path,
        folder: Path,
        *,
        max_pixels: int | None = None,
        page: int | None = None,
        seconds: float = SECONDS,
    ) -> SpooledScan:
        """`reader.spool_scan`; of a process that died or was killed, files may be left in the folder.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`.
        """
        place = str(folder.absolute())
        request = Request(
            what="spool", path=_path_of(path), folder=place, max_pixels=max_pixels, page=page, seconds=seconds
        )
        try:
            reply, _ = self._ask(request, path)
        except NotStarted:
            return reader.spool_scan(path, folder, max_pixels=max_pixels, page=page)
        assert isinstance(reply, Reply)
        alpha = None if reply.alpha is None else _opened(reply.alpha)
        return SpooledScan(pixels=_opened(reply.pixels), alpha=alpha, format=reply.format, **reply.carried)

    def close(self) -> None:
        """Ends all processes; files that are being read meanwhile fail. Closing twice is no error."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._let_go(self._idle.get_nowait())
        for decoder in self._alive.copy():
            decoder.kill()

    def _ask(self, request: Request, file: bytes | Path) -> tuple[Any, int | None]:
        """The answer of a process, and the memory that came with it; raises NotStarted where there is none to ask."""
        if request.seconds <= 0:
            raise TimedOut("no time is left for decoding it: raise --photo-timeout")
        data = in_memory([file]) if isinstance(file, bytes) else contextlib.nullcontext()
        with data as descriptor, self._turns:
            try:
                return self._answer(request, descriptor, self._take())
            except _Died:
                return self._answer(request, descriptor, self._take(fresh=True))

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

    def __enter__(self) -> Decoders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Died(Exception):
    """A process that had read other files before: nobody knows which one it died of."""


def _path_of(file: bytes | Path) -> str:
    return str(file.absolute()) if isinstance(file, Path) else ""


def _opened(plane: Plane) -> RawPixels:
    height, width, channels = plane.shape
    return RawPixels.open(plane.path, (height, width, channels), plane.dtype)
