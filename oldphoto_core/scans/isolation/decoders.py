"""Decoders as their callers see them: files to scans, in processes that may die of a file without harm to this one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from oldphoto_core.errors import CrashesDecoder, UnreadableScan
from oldphoto_core.scans import header_probe, headers, reader, technical_metadata
from oldphoto_core.scans.header_probe import HeaderProbe, SparseCopy
from oldphoto_core.scans.isolation.answers import BYTES_PER_PIXEL, check_planes
from oldphoto_core.scans.isolation.confinement import Confinement
from oldphoto_core.scans.isolation.decoder import NotStarted
from oldphoto_core.scans.isolation.memory import planes_of, room
from oldphoto_core.scans.isolation.messages import Headers, Missing, Reply, Request
from oldphoto_core.scans.isolation.pool import Pool
from oldphoto_core.scans.isolation.spooling import Spooling
from oldphoto_core.scans.isolation.wire import BadMessage
from oldphoto_core.scans.scan import Scan, ScanHeader, SpooledScan, fields_of
from oldphoto_core.scans.selection import ALL_PAGES, PageSelection

if TYPE_CHECKING:
    from types import TracebackType

FILE_SECONDS = 600.0
"""That decoding one file may take, where the caller allows no less."""


class Decoders:
    """Reads scans in a few processes that live until `close`. Safe between threads; use it as a context manager.

    When a process dies of a file, the file is read once more, by a process that has read nothing else: only if that one
    dies, too, is it the file's fault. A process that takes too long is killed. Where no process can be started, and
    with `isolated=False`, files are read in this process: a crash is then this process's, and a hang lasts.
    """

    def __init__(self, most: int = 2, *, isolated: bool = True) -> None:
        """`most`: processes at a time. They are started when they are needed, the first one at once."""
        self._pool = Pool(most, isolated=isolated)

    @property
    def confinement(self) -> Confinement | None:
        """What holds the processes; None: nobody was asked yet, or there are none."""
        return self._pool.confinement

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of those that live."""
        return self._pool.processes

    def read_header(self, file: bytes | Path, *, seconds: float = FILE_SECONDS) -> ScanHeader:
        """`headers.read_header` of a file's bytes, `headers.read_header_of` of a path.

        Raises:
            CrashesDecoder: a process that had read nothing else died of it.
            TimedOut: it took longer than `seconds`.
            ScanError: as the function in `reader`.
        """
        try:
            header = self._pool.ask(Request(what="header", path=_path_of(file), seconds=seconds), file)
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
        seconds: float = FILE_SECONDS,
    ) -> tuple[ScanHeader, ...]:
        """`headers.read_pages`.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`.
        """
        request = Request(
            what="pages", path=_path_of(file), selection=selection, max_pixels=max_pixels, seconds=seconds
        )
        try:
            found = self._pool.ask(request, file)
        except NotStarted:
            return headers.read_pages(file, selection, max_pixels=max_pixels)
        assert isinstance(found, Headers)
        return found.pages

    def probe_header(
        self,
        file: SparseCopy,
        selection: PageSelection = ALL_PAGES,
        *,
        max_pixels: int | None = None,
        seconds: float = FILE_SECONDS,
    ) -> HeaderProbe:
        """`header_probe.probe_header`; what a process wants to see of the file is fetched here, and it is asked again.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`.
            TooScattered: as `probe_header`.
        """
        path = Path(file.path)
        request = Request(
            what="probe", path=_path_of(path), selection=selection, max_pixels=max_pixels, seconds=seconds
        )
        while True:
            try:
                answer = self._pool.ask(replace(request, there=file.there), path)
            except NotStarted:
                return header_probe.probe_header(file, selection, max_pixels=max_pixels)
            if isinstance(answer, HeaderProbe):
                return answer
            assert isinstance(answer, Missing)
            wanted = tuple(set(answer.blocks) & set(file.missing(0, len(file))))
            if not wanted:
                raise UnreadableScan("its decoder asks for what it has: open it in another program")
            file.take(wanted)

    def read_technical_metadata(
        self, file: bytes | Path, *, page: int | None = None, seconds: float = FILE_SECONDS
    ) -> technical_metadata.TechnicalMetadata:
        """`technical_metadata.read_technical_metadata`.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`.
        """
        try:
            found = self._pool.ask(Request(what="facts", path=_path_of(file), page=page, seconds=seconds), file)
        except NotStarted:
            return technical_metadata.read_technical_metadata(file, page)
        assert isinstance(found, technical_metadata.TechnicalMetadata)
        return found

    def read_scan(
        self,
        file: bytes | Path,
        *,
        max_pixels: int | None = None,
        page: int | None = None,
        seconds: float = FILE_SECONDS,
    ) -> Scan:
        """`reader.read_scan`; the pixels are memory that the process leaves behind, and are not copied.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`.
        """
        request = Request(what="scan", path=_path_of(file), max_pixels=max_pixels, page=page, seconds=seconds)
        return self._decoded(request, file)[0]

    def read_scan_and_facts(
        self,
        file: bytes | Path,
        *,
        max_pixels: int | None = None,
        page: int | None = None,
        seconds: float = FILE_SECONDS,
    ) -> tuple[Scan, technical_metadata.TechnicalMetadata]:
        """`read_scan` and `read_technical_metadata` of a file that is shown to a process once.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`.
        """
        request = Request(
            what="scan", path=_path_of(file), max_pixels=max_pixels, page=page, seconds=seconds, facts=True
        )
        scan, found = self._decoded(request, file)
        assert found is not None
        return scan, found

    def _decoded(
        self, request: Request, file: bytes | Path
    ) -> tuple[Scan, technical_metadata.TechnicalMetadata | None]:
        """The scan, and its facts if the request asks for them; read here where there is no process to ask."""
        size = _most_pixels(request.max_pixels) * BYTES_PER_PIXEL
        with room(size) as memory:
            try:
                reply = self._pool.ask(replace(request, room=size), file, memory)
            except NotStarted:
                scan = reader.read_scan(file, max_pixels=request.max_pixels, page=request.page)
                return scan, _facts_of(request, file)
            assert isinstance(reply, Reply)
            with _trusted(request.max_pixels, reply):
                pixels, *alpha = planes_of(memory, [plane for plane in (reply.pixels, reply.alpha) if plane])
        scan = Scan(pixels=pixels, alpha=alpha[0] if alpha else None, format=reply.format, **fields_of(reply.container))
        return scan, reply.facts

    def spool_scan(
        self,
        path: Path,
        folder: Path,
        *,
        max_pixels: int | None = None,
        page: int | None = None,
        seconds: float = FILE_SECONDS,
    ) -> SpooledScan:
        """`reader.spool_scan`; the files are made and written by this process, from memory that the other one fills.

        Raises:
            CrashesDecoder, TimedOut, ScanError: as `read_header`; nothing is left in the folder.
        """
        request = Request(what="spool", path=_path_of(path), max_pixels=max_pixels, page=page, seconds=seconds)
        return self._spooled(request, path, folder)[0]

    def spool_scan_and_facts(
        self,
        path: Path,
        folder: Path,
        *,
        max_pixels: int | None = None,
        page: int | None = None,
        seconds: float = FILE_SECONDS,
    ) -> tuple[SpooledScan, technical_metadata.TechnicalMetadata]:
        """`spool_scan` and `read_technical_metadata` of a file shown to a process once. Raises as `spool_scan`."""
        request = Request(
            what="spool", path=_path_of(path), max_pixels=max_pixels, page=page, seconds=seconds, facts=True
        )
        scan, found = self._spooled(request, path, folder)
        assert found is not None
        return scan, found

    def _spooled(
        self, request: Request, path: Path, folder: Path
    ) -> tuple[SpooledScan, technical_metadata.TechnicalMetadata | None]:
        """As `_decoded`."""
        size = _most_pixels(request.max_pixels) * BYTES_PER_PIXEL
        with room(size) as memory:
            spooling = Spooling(folder, memory, request.max_pixels)
            try:
                reply = self._pool.ask(replace(request, room=size), path, memory, spooling.take)
                assert isinstance(reply, Reply)
                with _trusted(request.max_pixels, reply):
                    pixels, alpha = spooling.files(reply.pixels, reply.alpha)
            except NotStarted:
                spooling.discard()
                here = reader.spool_scan(path, folder, max_pixels=request.max_pixels, page=request.page)
                return here, _facts_of(request, path)
            except BaseException:
                spooling.discard()
                raise
        scan = SpooledScan(pixels=pixels, alpha=alpha, format=reply.format, **fields_of(reply.container))
        return scan, reply.facts

    def close(self) -> None:
        """Ends all processes; files that are being read meanwhile fail. Closing twice is no error."""
        self._pool.close()

    def __enter__(self) -> Decoders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _facts_of(request: Request, file: bytes | Path) -> technical_metadata.TechnicalMetadata | None:
    return technical_metadata.read_technical_metadata(file, request.page) if request.facts else None


def _path_of(file: bytes | Path) -> str:
    return str(file.absolute()) if isinstance(file, Path) else ""


def _most_pixels(max_pixels: int | None) -> int:
    return headers.DEFAULT_MAX_PIXELS if max_pixels is None else max(1, max_pixels)


@contextlib.contextmanager
def _trusted(max_pixels: int | None, reply: Reply) -> Iterator[None]:
    """Raises CrashesDecoder for pixels that no decoder should give."""
    try:
        check_planes(reply.pixels, reply.alpha, max_pixels)
        yield
    except (BadMessage, EOFError) as error:
        raise CrashesDecoder(f"its decoder answered what none should: {error}: open it in another program") from error
