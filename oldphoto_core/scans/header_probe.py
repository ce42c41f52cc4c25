"""What reading a file that lies elsewhere would come to, judged without fetching its pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from oldphoto_core.errors import UnsupportedScan
from oldphoto_core.scans.formats import FORMATS, HEAD, FileFormat, recognise
from oldphoto_core.scans.headers import check_whole, judge_pages
from oldphoto_core.scans.scan import ScanHeader
from oldphoto_core.scans.selection import ALL_PAGES, PageSelection
from oldphoto_core.scans.views import BLOCK, HoledCopy
from oldphoto_core.scans.vips import translated

Fetch = Callable[[int, int], bytes]
"""Gives the bytes from `start` to before `end` of the file."""

HEAD_BYTES, TAIL_BYTES = 2**18, 2**16
"""Fetched of every file: its beginning and its end. A file that is no longer is looked at completely."""
MOST_BYTES = 16 * 2**20
"""Of a file, fetched at most."""


class TooScattered(UnsupportedScan):
    """More than MOST_BYTES would have to be fetched to know what a file is."""


class SparseCopy(HoledCopy):
    """A file elsewhere as a local one that is filled in where it is sliced; the rest of it reads as zeros.

    Use it as a context manager; the copy stays, as it belongs to the folder that it was put into.
    """

    def __init__(self, path: str | os.PathLike[str], size: int, fetch: Fetch) -> None:
        with open(path, "xb") as file:
            file.truncate(size)
        super().__init__(path)
        self._fetch = fetch

    def fill(self, start: int, end: int) -> None:
        """Fetches what is not there yet of these bytes. Raises TooScattered over MOST_BYTES in all."""
        self.take(self.missing(start, end))

    def take(self, blocks: tuple[int, ...]) -> None:
        """Fetches these blocks, which are not there yet."""
        if (len(self.there) + len(blocks)) * BLOCK > max(MOST_BYTES, HEAD_BYTES + TAIL_BYTES):
            raise TooScattered(f"its header is spread over more than {MOST_BYTES / 2**20:.0f} MiB, and was not read")
        for first, last in _runs(sorted(blocks)):
            data = self._fetch(first * BLOCK, min((last + 1) * BLOCK, len(self)))
            with open(self.path, "r+b") as file:
                file.seek(first * BLOCK)
                file.write(data)
        self.there |= frozenset(blocks)


@dataclass(frozen=True, slots=True)
class HeaderProbe:
    """What is known of a file without its pixels."""

    pages: tuple[ScanHeader, ...]
    """Headers of all of its pages."""
    doubt: str
    """What speaks against its pixels as far as its two ends show; "" where nothing does."""


def probe_header(
    file: HoledCopy, selection: PageSelection = ALL_PAGES, *, max_pixels: int | None = None
) -> HeaderProbe:
    """Judges a file by its structure and the headers of the pages that are selected.

    Raises:
        ScanError: as `read_scan` would, as far as header and structure show. Damage inside the pixels is not seen.
        TooScattered, NotThere: nobody can tell without reading more of it.
    """
    with translated("read"):
        file.fill(0, HEAD_BYTES)
        format_ = recognise(file[:HEAD])
        row = FORMATS[format_]
        if len(file) <= HEAD_BYTES or row.states_length:
            check_whole(file, format_)
        elif start_of_pixels := row.reader().start_of_pixels:
            file.fill(0, start_of_pixels(file))
        headers = judge_pages(file, selection, max_pixels=max_pixels)
        return HeaderProbe(headers, "" if len(file) <= HEAD_BYTES or _ends_well(file, row) else _DOUBT)


_DOUBT = "no mark of a picture's end at the end of the file: it may be cut short"


def _ends_well(file: HoledCopy, row: FileFormat) -> bool:
    return row.end_mark is None or row.end_mark in file[max(0, len(file) - TAIL_BYTES) :]


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
