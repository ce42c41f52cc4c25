"""Strips and tiles of a TIFF: where they lie, how long they are, and whether what its directory says of them can be."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from oldphoto_core.errors import ScanError, TruncatedScan, UnreadableScan
from oldphoto_core.scans.metadata.ifd import (
    Entry,
    Layout,
    extents_of_ifd,
    first_integer,
    long8s,
    longs,
    shorts,
    write_ifd,
)
from oldphoto_core.scans.views import Data
from oldphoto_core.scans.vips import open_image, translated

OFFSETS_AND_COUNTS = ((273, 279), (324, 325))
"""Where strips lie and how long they are; tiles likewise."""
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_CHANNELS, _ROWS, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 277, 278, 284, 322, 323
_OF_CODING = (_BITS, _COMPRESSION, 266, _CHANNELS, 292, 293, 317, 320, 339, 347)
"""Tags that a part needs to be decoded by itself, besides its size."""
_MOST_CHANNELS, _MOST_BITS = 255, 64
"""Of a directory that can be believed."""
_UNCOMPRESSED, _YCBCR, _RGB = 1, 6, 2
_CIELAB = (8, 9, 10)
_MOST_TRIED = 4
"""Parts that are decoded to see whether they are whole: a writer's error is in the last one, or in all."""
_LARGEST_TRIED = 64 * 2**20
"""Bytes of pixels of such a part."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How a picture is divided into parts, by its directory."""

    tiled: bool
    width: int
    """Pixels of a part."""
    height: int
    """Pixels of a part; the last strip of a plane has `last`."""
    last: int
    per_plane: int
    """Parts."""
    planes: int
    channels: int
    """In one part."""
    bits: int

    @classmethod
    def of(cls, entries: Mapping[int, Entry]) -> Grid | None:
        """The grid; None: the directory does not tell."""
        width, height = first_integer(entries, _WIDTH, 0), first_integer(entries, _HEIGHT, 0)
        channels, bits = first_integer(entries, _CHANNELS, 1), first_integer(entries, _BITS, 1)
        if not (width and height and 0 < channels <= _MOST_CHANNELS and 0 < bits <= _MOST_BITS):
            return None
        planes = channels if first_integer(entries, _PLANAR, 1) == 2 else 1
        if _TILE_WIDTH in entries:
            across, down = first_integer(entries, _TILE_WIDTH, 0), first_integer(entries, _TILE_HEIGHT, 0)
            if not (across and down):
                return None
            count = -(-width // across) * -(-height // down)
            return cls(True, across, down, down, count, planes, channels // planes, bits)
        rows = min(first_integer(entries, _ROWS, height) or height, height)
        count = -(-height // rows)
        return cls(False, width, rows, height - (count - 1) * rows, count, planes, channels // planes, bits)

    @property
    def count(self) -> int:
        """Parts of all planes."""
        return self.per_plane * self.planes

    def rows_of(self, number: int) -> int:
        """Rows of a part, from 0."""
        return self.last if number % self.per_plane == self.per_plane - 1 else self.height

    def bytes_of(self, number: int) -> int:
        """Bytes of a part that is not compressed."""
        return self.rows_of(number) * (-(-self.width * self.channels * self.bits // 8))


def mend_parts(data: Data, layout: Layout, offset: int, entries: dict[int, Entry]) -> str:
    """Corrects lengths of parts that cannot be in the `entries` of the directory at `offset`.

    Returns what was wrong, "" for nothing.

    Raises:
        TruncatedScan: pixels lie behind the end of the file.
        UnreadableScan: something else lies where pixels should.
    """
    grid = Grid.of(entries)
    for offsets, counts in OFFSETS_AND_COUNTS:
        if offsets not in entries or not (places := entries[offsets].integers()):
            continue
        stated = entries[counts].integers() if counts in entries else ()
        if grid is not None and len(places) == 1 < grid.count and _is_one_strip(data, entries, grid, places[0]):
            entries[_ROWS] = entries[_HEIGHT]
            grid = Grid.of(entries)
        others = [start for start, _ in extents_of_ifd(data, layout, offset)]
        known = grid if grid and grid.count == len(places) else None
        lengths = _lengths(data, entries, known, Places(places, stated, tuple(sorted({*places, *others, len(data)}))))
        if lengths != stated:
            entries[counts] = (long8s if layout.big else longs)(*lengths)
            wrong = sum(a != b for a, b in zip(lengths, (*stated, *[None] * len(lengths)), strict=False))
            return f"the lengths of {wrong} of its {len(places)} strips or tiles are wrong, and were corrected"
    return ""


def _is_one_strip(data: Data, entries: Mapping[int, Entry], grid: Grid, place: int) -> bool:
    """Whether a directory that names one strip of several has all rows in it."""
    size = (grid.count - 1) * grid.bytes_of(0) + grid.bytes_of(grid.count - 1)
    return _is_plain(entries) and not grid.tiled and grid.planes == 1 and place + size <= len(data)


def _is_plain(entries: Mapping[int, Entry]) -> bool:
    """Whether the bytes of a part follow from its size."""
    plain = first_integer(entries, _COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED
    return plain and first_integer(entries, _PHOTOMETRIC, 0) != _YCBCR


@dataclass(frozen=True, slots=True)
class Places:
    """What a directory says of the places of its parts."""

    starts: tuple[int, ...]
    stated: tuple[int, ...]
    """Lengths, of as many parts as it states any for."""
    borders: tuple[int, ...]
    """Where something else begins than the pixels in front of it, in order; the end of the file is the last."""

    def length(self, number: int) -> int:
        """As stated; 0: it is not."""
        return self.stated[number] if number < len(self.stated) else 0

    def room(self, number: int) -> int:
        """Bytes up to what comes next in the file."""
        start = self.starts[number]
        behind = bisect.bisect_right(self.borders, start)
        return self.borders[behind] - start if behind < len(self.borders) else 0


def _lengths(data: Data, entries: Mapping[int, Entry], grid: Grid | None, places: Places) -> tuple[int, ...]:
    """The lengths as stated, or as they must be. Raises TruncatedScan."""
    plain, tried, lengths = grid is not None and _is_plain(entries), 0, []
    for number, start in enumerate(places.starts):
        length = places.length(number)
        if not start and not length:  # a part that was never written: its decoder says so
            lengths.append(0)
        elif plain and grid is not None:
            lengths.append(_plain_length(data, places, number, grid.bytes_of(number)))
        elif length and start + length <= len(data):
            lengths.append(length)
        else:
            tried += 1
            if grid is None or tried > _MOST_TRIED or start >= len(data) or grid.bytes_of(number) > _LARGEST_TRIED:
                raise cut(data)
            lengths.append(_tried_length(data, entries, grid, number, places))
    return tuple(lengths)


def _plain_length(data: Data, places: Places, number: int, needed: int) -> int:
    start, length = places.starts[number], places.length(number)
    if start + needed > len(data):
        raise cut(data)
    if length < needed and needed > places.room(number):
        raise UnreadableScan(f"damaged: {length} bytes for a strip or tile whose rows take {needed}: copy it again")
    if length < needed:
        return needed
    return length if start + length <= len(data) else needed


def _tried_length(data: Data, entries: Mapping[int, Entry], grid: Grid, number: int, places: Places) -> int:
    """How long a compressed part may be, when it can be decoded with that. Raises TruncatedScan when it cannot."""
    start, room = places.starts[number], places.room(number)
    try:
        with translated("decoded"):
            alone = _by_itself(data[start : start + room], entries, grid, number)
            open_image(alone, "tiff", strict=True).write_to_memory()
    except ScanError as error:
        raise cut(data) from error
    return room


def _by_itself(part: bytes, entries: Mapping[int, Entry], grid: Grid, number: int) -> bytes:
    """A TIFF of one part."""
    alone = {tag: entries[tag] for tag in _OF_CODING if tag in entries}
    kind = first_integer(entries, _PHOTOMETRIC, 1)
    alone[_PHOTOMETRIC] = shorts(_RGB if kind in _CIELAB else kind)
    rows, (offsets, counts) = grid.rows_of(number), OFFSETS_AND_COUNTS[grid.tiled]
    alone |= {_WIDTH: longs(grid.width), _HEIGHT: longs(rows), offsets: longs(8), counts: longs(len(part))}
    alone |= {_TILE_WIDTH: longs(grid.width), _TILE_HEIGHT: longs(rows)} if grid.tiled else {_ROWS: longs(rows)}
    if grid.planes > 1:
        alone |= {_CHANNELS: shorts(1), _BITS: shorts(grid.bits), _PHOTOMETRIC: shorts(1)}
    body = part + b"\0" * (len(part) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + write_ifd(alone, 8 + len(body))


def cut(data: Data) -> TruncatedScan:
    """The error of a file that ends before its picture does."""
    return TruncatedScan(f"a part of the picture lies behind the end: the file ends at byte {len(data)}; copy it again")
