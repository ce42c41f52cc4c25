"""A decoder: the process that `python -P -m oldphoto_core.scans.isolation.worker FD FOLDER...` is.

FD is its line to ours, the folders are where it may read files by path. It gives up all other rights (`confinement`)
and reads one file after another until its line ends. It may die of one at any time: nothing but that answer is lost.
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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from oldphoto_core.errors import ScanError, ScanTooLarge
from oldphoto_core.scans.container_metadata import ContainerMetadata
from oldphoto_core.scans.header_probe import probe_header
from oldphoto_core.scans.headers import read_header, read_header_of, read_pages, seen
from oldphoto_core.scans.isolation.confinement import confine
from oldphoto_core.scans.isolation.memory import Plane, all_of, put
from oldphoto_core.scans.isolation.messages import (
    Headers,
    Missing,
    Ready,
    Reply,
    Request,
    Slab,
    receive,
    receive_files,
    send,
)
from oldphoto_core.scans.reader import read_image, read_scan, split
from oldphoto_core.scans.scan import Pixels, ScanHeader, fields_of
from oldphoto_core.scans.technical_metadata import read_technical_metadata
from oldphoto_core.scans.tiff.pages import page_view, stated_header
from oldphoto_core.scans.views import HoledCopy, NotThere
from oldphoto_core.scans.vips import dtype_of, slabs_of

BASE_BYTES, BYTES_PER_PIXEL, FILES_HELD = 2**30, 64, 4
"""Memory that decoding may take: a base, so much a pixel (JPEG 2000 takes about 30), and copies of the file."""


def main() -> None:
    """Serve until the line ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of the process that asks
    line = socket.socket(fileno=int(sys.argv[1]))
    confinement = confine(sys.argv[2:])
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()
    send(line, Ready(confinement=confinement))
    while True:
        try:
            request, files = receive_files(line)
            try:
                _answer(line, request, files)
            finally:
                for file in files:
                    os.close(file)
        except (EOFError, OSError):
            return


def _end_with(line: socket.socket) -> None:
    """Ends this process when the other side of the line is gone, even in the middle of a file."""
    poll = select.poll()
    poll.register(line, 0)  # 0: wake up for a hang-up only
    poll.poll()
    os._exit(0)


def _answer(line: socket.socket, request: Request, files: list[int]) -> None:
    try:
        source = Path(request.path) if request.path else all_of(files[0])
        _take_bounds(source, request)
        if request.what == "spool":
            take = partial(_hand_over, line, request, files[-1])
            format_, planes, container = read_image(
                request.path, take, max_pixels=request.max_pixels, page=request.page
            )
            _reply(line, request, source, Reply(format=format_, pixels=planes[0], alpha=planes[1], container=container))
        elif request.what == "scan":
            scan = read_scan(source, max_pixels=request.max_pixels, page=request.page)
            arrays = [scan.pixels] if scan.alpha is None else [scan.pixels, scan.alpha]
            planes = _put(request, files[-1], arrays)
            container = ContainerMetadata(**fields_of(scan))
            _reply(
                line, request, source, Reply(format=scan.format, pixels=planes[0], alpha=planes[1], container=container)
            )
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


def _reply(line: socket.socket, request: Request, source: bytes | Path, reply: Reply) -> None:
    send(line, replace(reply, facts=read_technical_metadata(source, request.page)) if request.facts else reply)


def _found(source: bytes | Path, request: Request) -> object:
    """What a file says of itself, whose pixels nobody wants."""
    if request.what == "header":
        return _header(source)
    if request.what == "pages":
        return Headers(read_pages(source, request.selection, max_pixels=request.max_pixels))
    if request.what == "facts":
        return read_technical_metadata(source, request.page)
    try:
        with HoledCopy(request.path, request.there) as copy:
            return probe_header(copy, request.selection, max_pixels=request.max_pixels)
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
            _limit(resource.RLIMIT_AS, allowed + min(request.room, BYTES_PER_PIXEL * header.width * header.height))


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


def _hand_over(line: socket.socket, request: Request, room: int, image: Any) -> tuple[Plane, Plane | None]:
    """Gives the rows of an image to the other side, as many at a time as are decoded together."""
    colours, dtype = split(image.bands), dtype_of(image).str
    pixels = Plane(shape=(image.height, image.width, colours), dtype=dtype)
    alpha = Plane(shape=(image.height, image.width, 1), dtype=dtype) if colours < image.bands else None
    for top, rows in slabs_of(image):
        _put(request, room, [rows[..., :colours], rows[..., colours:]] if alpha else [rows])
        send(line, Slab(pixels=pixels, alpha=alpha, top=top, bottom=top + rows.shape[0]))
        receive(line)  # GoOn: the room is free again
    return pixels, alpha


def _put(request: Request, room: int, arrays: list[Pixels]) -> tuple[Plane, Plane | None]:
    if sum(array.nbytes for array in arrays) > request.room:
        raise ScanTooLarge("it has more pixels than its header says: open it in another program")
    put(room, arrays)
    planes = [Plane(shape=array.shape, dtype=array.dtype.str) for array in arrays]
    return planes[0], planes[1] if len(planes) > 1 else None


if __name__ == "__main__":
    main()
