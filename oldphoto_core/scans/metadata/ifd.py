"""TIFF directories, which are also what EXIF blocks are made of: read tolerantly, written anew."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from oldphoto_core.scans.views import Data

EXIF_IFD, GPS_IFD, INTEROP_IFD = 34665, 34853, 40965
_SUB_IFDS = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
_UNIT_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of the unit that byte order applies to, by field type."""
_PER_VALUE = {5: 2, 10: 2}
"""Units a value is made of; one unless named."""
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16
_MOST_ENTRIES = 2**16
"""Of a directory: there are no more tags, but a BigTIFF can claim more entries."""
_LAYERS = 37724
"""Photoshop's layers: as large as the picture, and never kept."""


class BrokenIfdError(ValueError):
    """The structure points outside itself, or makes no sense."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag's value: field type and its bytes in little-endian order, or the directory it points to."""

    type: int
    data: bytes = b""
    children: Mapping[int, Entry] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.data) // (_UNIT_SIZES[self.type] * _PER_VALUE.get(self.type, 1))

    def integers(self) -> tuple[int, ...]:
        """The values of a SHORT or LONG field (or BYTE, LONG8); () for others."""
        code = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(self.type)
        return struct.unpack(f"<{len(self.data) // _UNIT_SIZES[self.type]}{code}", self.data) if code else ()

    def rational(self) -> float | None:
        """The first value of a RATIONAL field."""
        if self.type != RATIONAL or len(self.data) < 8:
            return None
        over, under = struct.unpack("<II", self.data[:8])
        return over / under if under else None


def first_integer(entries: Mapping[int, Entry], tag: int, otherwise: int) -> int:
    """The first value of a field of whole numbers; `otherwise` where there is none."""
    values = entries[tag].integers() if tag in entries else ()
    return values[0] if values else otherwise


def shorts(*values: int) -> Entry:
    """A SHORT field."""
    return Entry(SHORT, struct.pack(f"<{len(values)}H", *values))


def longs(*values: int) -> Entry:
    """A LONG field."""
    return Entry(LONG, struct.pack(f"<{len(values)}I", *values))


def long8s(*values: int) -> Entry:
    """A LONG8 field, which only BigTIFF has."""
    return Entry(LONG8, struct.pack(f"<{len(values)}Q", *values))


def rational(value: float) -> Entry:
    """A RATIONAL field of the simplest fraction that prints alike."""
    fraction = Fraction(value).limit_denominator(10_000)
    return Entry(RATIONAL, struct.pack("<II", min(fraction.numerator, 2**32 - 1), fraction.denominator))


@dataclass(frozen=True, slots=True)
class Layout:
    """Byte order and word size of a TIFF structure."""

    order: str
    big: bool
    first: int
    """Offset of the first directory."""

    @classmethod
    def of(cls, data: Data) -> Layout:
        """Reads the 8 or 16 bytes of the header."""
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if order is None or len(data) < 8:
            raise BrokenIfdError("no TIFF header")
        if struct.unpack(order + "H", data[2:4])[0] == 43:
            return cls(order, True, _unpack(order + "Q", data, 8)[0])
        return cls(order, False, _unpack(order + "I", data, 4)[0])


def read_ifd(
    data: Data,
    layout: Layout | None = None,
    offset: int | None = None,
    depth: int = 0,
    *,
    only: Collection[int] | None = None,
    dropped: list[int] | None = None,
) -> dict[int, Entry]:
    """The entries of a directory (the first one by default), EXIF, GPS and interoperability directories included.

    `only` names the tags that are wanted; None: all of them. `dropped` receives the tags that cannot be read.

    Raises:
        BrokenIfdError: the directory itself cannot be read; single entries that point outside are left out.
    """
    layout = layout or Layout.of(data)
    at = layout.first if offset is None else offset
    count, size = _head(data, layout, at)
    start = at + (8 if layout.big else 2)
    entries: dict[int, Entry] = {}
    budget = len(data)
    for position in range(start, start + count * size, size):
        tag, kind = _unpack(layout.order + "HH", data, position)
        # of a tag that is there twice the first counts, as in libtiff
        if tag == _LAYERS or tag in entries or (only is not None and tag not in only):
            continue
        value = _value(data, layout, position, kind)
        # thousands of tags that all claim the whole file would fill the memory
        if value is None or (budget := budget - len(value)) < 0:
            entry = None
        else:
            entry = _followed(data, layout, tag, Entry(kind, value), depth)
        if entry is not None:
            entries[tag] = entry
        elif dropped is not None:
            dropped.append(tag)
    return entries


def tags_of(data: Data, layout: Layout, offset: int) -> list[int]:
    """The tags of a directory in the order in which they stand there. Raises BrokenIfdError as `read_ifd`."""
    count, size = _head(data, layout, offset)
    start = offset + (8 if layout.big else 2)
    table = data[start : start + count * size]
    return [struct.unpack_from(layout.order + "H", table, at)[0] for at in range(0, len(table), size)]


def next_ifd(data: Data, layout: Layout, offset: int) -> int:
    """The offset of the directory that follows the one at `offset`; 0 for none."""
    return _unpack(layout.order + ("Q" if layout.big else "I"), data, next_ifd_position(data, layout, offset))[0]


def next_ifd_position(data: Data, layout: Layout, offset: int) -> int:
    """Where the directory at `offset` keeps the offset of the one that follows it."""
    count, size = _head(data, layout, offset)
    return offset + (8 if layout.big else 2) + count * size


def value_position(data: Data, layout: Layout, tag: int) -> int | None:
    """Where the first directory keeps the value (or its offset) of a tag that it has."""
    count, size = _head(data, layout, layout.first)
    start = layout.first + (8 if layout.big else 2)
    for position in range(start, start + count * size, size):
        if _unpack(layout.order + "H", data, position)[0] == tag:
            return position + (12 if layout.big else 8)
    return None


def extents_of_ifd(data: Data, layout: Layout, offset: int) -> list[tuple[int, int]]:
    """(start, end) of a directory and of each value that it points to; EXIF and the like do not count."""
    count, size = _head(data, layout, offset)
    start, word = offset + (8 if layout.big else 2), "Q" if layout.big else "I"
    extents = [(offset, start + count * size + struct.calcsize(word))]
    table = data[start : start + count * size]
    for at in range(0, len(table), size):
        _, kind, number, place = struct.unpack_from(f"{layout.order}HH{word}{word}", table, at)
        length = number * _UNIT_SIZES.get(kind, 0) * _PER_VALUE.get(kind, 1)
        if length > struct.calcsize(word) and place + length <= len(data):
            extents.append((place, place + length))
    return extents


def looks_like_ifd(data: Data, layout: Layout, offset: int) -> bool:
    """Whether a directory stands at this offset, or the beginning of one that the end of the file cuts."""
    word, size = ("Q", 20) if layout.big else ("H", 12)
    start = offset + struct.calcsize(word)
    if start > len(data):
        return True
    count = _unpack(layout.order + word, data, offset)[0]
    table = data[start : start + min(count, _MOST_ENTRIES) * size]
    kinds = [struct.unpack_from(layout.order + "H", table, at + 2)[0] for at in range(0, len(table) - 3, size)]
    if not any(data[offset : offset + size // 2]):  # no entry, and none that follows
        return False
    return count < _MOST_ENTRIES and 4 * sum(kind in _UNIT_SIZES for kind in kinds) >= 3 * len(kinds)


def write_ifd(
    entries: Mapping[int, Entry], at: int, *, big: bool = False, following: int = 0, order: str = "<"
) -> bytes:
    """A directory that will lie at offset `at` (even), with what it points to behind it.

    `following`: offset of the directory that comes after it; 0: none does. `order`: "<" for little-endian, ">".
    """
    word, inline, size = ("Q", 8, 20) if big else ("I", 4, 12)
    table_end = at + (16 if big else 6) + len(entries) * size
    table, behind = [], b""
    for tag, entry in sorted(entries.items()):
        behind += b"\0" * (len(behind) % 2)
        kind, count, data = entry.type, entry.count, entry.data
        if order == ">" and data:
            data = _swapped(data, _UNIT_SIZES[kind])
        if entry.children:
            kind, count = (LONG8 if big else LONG), 1
            data = struct.pack(order + word, table_end + len(behind))
            behind += write_ifd(entry.children, table_end + len(behind), big=big, order=order)
        elif len(data) > inline:
            data, behind = struct.pack(order + word, table_end + len(behind)), behind + data
        table.append(struct.pack(f"{order}HH{word}", tag, kind, count) + data.ljust(inline, b"\0"))
    head = struct.pack(order + ("Q" if big else "H"), len(entries))
    return head + b"".join(table) + struct.pack(order + word, following) + behind


def as_exif(entries: Mapping[int, Entry]) -> bytes:
    """A whole EXIF block (a TIFF structure) of one directory."""
    return b"II*\0\x08\0\0\0" + write_ifd(entries, 8)


def as_big_tiff(entries: Mapping[int, Entry]) -> bytes:
    """What stands before the pixels of a BigTIFF of one directory."""
    return b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + write_ifd(entries, 16, big=True)


def _head(data: Data, layout: Layout, at: int) -> tuple[int, int]:
    count = _unpack(layout.order + ("Q" if layout.big else "H"), data, at)[0]
    size = 20 if layout.big else 12
    if count > _MOST_ENTRIES:
        raise BrokenIfdError(f"the directory at byte {at} claims {count} entries")
    if at + count * size > len(data):
        raise BrokenIfdError(f"the directory at byte {at} ends outside the file")
    return count, size


def _value(data: Data, layout: Layout, position: int, kind: int) -> bytes | None:
    if kind not in _UNIT_SIZES:
        return None
    word, inline = ("Q", 8) if layout.big else ("I", 4)
    count = _unpack(layout.order + word, data, position + 4)[0]
    at = position + 4 + inline
    length = count * _UNIT_SIZES[kind] * _PER_VALUE.get(kind, 1)
    if length > inline:
        at = _unpack(layout.order + word, data, at)[0]
    raw = data[at : at + length]
    if len(raw) < length:
        return None
    return raw if layout.order == "<" else _swapped(raw, _UNIT_SIZES[kind])


def _followed(data: Data, layout: Layout, tag: int, entry: Entry, depth: int) -> Entry | None:
    """The directory that an entry points to, or the entry itself; None: there is no such directory."""
    targets = entry.integers()
    if tag not in _SUB_IFDS or not targets or depth > 2:
        return entry
    try:
        return Entry(LONG, b"", read_ifd(data, layout, targets[0], depth + 1))
    except BrokenIfdError:
        # an offset that leads nowhere here would lead anywhere in another file
        return None


def _swapped(raw: bytes, size: int) -> bytes:
    import numpy as np

    return np.frombuffer(raw, dtype=f"u{size}").byteswap().tobytes() if size > 1 else raw


def _unpack(code: str, data: Data, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack(code, data[at : at + struct.calcsize(code)])
    except struct.error as error:
        raise BrokenIfdError(f"a number at byte {at} lies outside the file") from error
