"""A decoder: the process that `python -P -m oldphoto_core.scans.isolation.worker FD` is, FD being its line to ours.

It reads one file after another until its line ends. It may die of one at any time: nothing but that answer is lost.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from oldphoto_core.errors import ScanError, ScanTooLarge
from oldphoto_core.scans.facts import read_facts
from oldphoto_core.scans.foresight import foresee
from oldphoto_core.scans.headers import read_header, read_header_of, read_pages, seen
from oldphoto_core.scans.isolation.messages import Missing, Plane, Reply, Request, all_of, in_memory, receive, send
from oldphoto_core.scans.pages import page_view, stated_header
from oldphoto_core.scans.raw import RawPixels
from oldphoto_core.scans.reader import read_scan, spool_scan
from oldphoto_core.scans.scan import Pixels, Scan, ScanHeader, SpooledScan, fields_of
from oldphoto_core.scans.views import HoledCopy, NotThere

BASE_BYTES, BYTES_PER_PIXEL, FILES_HELD = 2**30, 64, 4
"""Memory that decoding may take: a base, so much a pixel (JPEG 2000 takes about 30), and copies of the file."""


def main() -> None:
    """Serve until the line ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of the process that asks
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    line = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()
    send(line, "ready")
    while True:
        try:
            request, file = receive(line)
            try:
                _answer(line, request, file)
            finally:
                if file is not None:
                    os.close(file)
        except (EOFError, OSError):
            return


def _end_with(line: socket.socket) -> None:
    """Ends this process when the other side of the line is gone, even in the middle of a file."""
    poll = select.poll()
    poll.register(line, 0)  # 0: wake up for a hang-up only
    poll.poll()
    os._exit(0)


def _answer(line: socket.socket, request: Request, file: int | None) -> None:
    try:
        source = Path(request.path) if file is None else all_of(file)
        _take_bounds(source, request)
        if request.what == "spool":
            with spool_scan(request.path, request.folder, max_pixels=request.max_pixels, page=request.page) as spooled:
                alpha = None if spooled.alpha is None else _on_disk(spooled.alpha)
                send(line, _reply(spooled, _on_disk(spooled.pixels), alpha))
        elif request.what == "scan":
            scan = read_scan(source, max_pixels=request.max_pixels, page=request.page)
            alpha = None if scan.alpha is None else _plane(scan.alpha)
            with in_memory([scan.pixels] if scan.alpha is None else [scan.pixels, scan.alpha]) as memory:
                send(line, _reply(scan, _plane(scan.pixels), alpha), memory)
        else:
            send(line, _found(source, request))
    except (EOFError, BrokenPipeError):
        raise
    except ScanError as error:
        send(line, error)
    except MemoryError:
        send(line, ScanTooLarge("its decoder has not enough memory for it: lower the bound on megapixels"))
    except Exception as error:
        send(line, RuntimeError(f"{type(error).__name__}: {error}"))


def _found(source: bytes | Path, request: Request) -> object:
    """What a file says of itself, whose pixels nobody wants."""
    if request.what == "header":
        return _header(source)
    if request.what == "pages":
        return read_pages(source, request.selection, max_pixels=request.max_pixels)
    if request.what == "facts":
        return read_facts(source, request.page)
    try:
        with HoledCopy(request.path, request.there) as copy:
            return foresee(copy, request.selection, max_pixels=request.max_pixels)
    except NotThere as error:
        return Missing(error.blocks)


def _take_bounds(source: bytes | Path, request: Request) -> None:
    """Of memory by what the file says of itself, so that a small file cannot take much; of CPU time by the clock."""
    bytes_of_file = len(source) if isinstance(source, bytes) else source.stat().st_size
    held = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE if sys.platform == "linux" else 0
    allowed = held + BASE_BYTES + FILES_HELD * bytes_of_file
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + request.seconds * (os.cpu_count() or 1) + 1))
    _limit(resource.RLIMIT_AS, allowed)
    if request.what in ("scan", "spool"):
        # a file without a header is refused, with the right words, by whoever reads it
        with contextlib.suppress(ScanError):
            header = _header(source) if request.page is None else _page_header(source, request.page)
            _limit(resource.RLIMIT_AS, allowed + BYTES_PER_PIXEL * header.width * header.height)


def _limit(kind: int, most: int) -> None:
    # some systems do not know every bound
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _header(source: bytes | Path) -> ScanHeader:
    return read_header(source) if isinstance(source, bytes) else read_header_of(source)


def _page_header(source: bytes | Path, page: int) -> ScanHeader:
    with seen(source) as data:
        _, found, count = page_view(data, page)
        return stated_header(found, count)


def _plane(pixels: Pixels) -> Plane:
    return Plane(shape=pixels.shape, dtype=pixels.dtype.str)


def _on_disk(pixels: RawPixels) -> Plane:
    return Plane(shape=pixels.shape, dtype=pixels.dtype.str, path=pixels.path)


def _reply(scan: Scan | SpooledScan, pixels: Plane, alpha: Plane | None) -> Reply:
    return Reply(format=scan.format, pixels=pixels, alpha=alpha, carried=fields_of(scan))


if __name__ == "__main__":
    main()
