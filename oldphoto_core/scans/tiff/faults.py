"""Errors of a TIFF directory that touch no pixel: found, named for people, and corrected before anybody decodes it."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from oldphoto_core.errors import TruncatedScan, UnreadableScan
from oldphoto_core.scans.metadata.exif import ORIENTATION, RESOLUTION_UNIT, X_RESOLUTION, Y_RESOLUTION
from oldphoto_core.scans.metadata.ifd import (
    EXIF_IFD,
    GPS_IFD,
    BrokenIfdError,
    Entry,
    Layout,
    first_integer,
    longs,
    read_ifd,
    shorts,
    tags_of,
    write_ifd,
)
from oldphoto_core.scans.tiff.parts import mend_parts
from oldphoto_core.scans.views import AssembledView, Data

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_FILL, _CHANNELS, _ROWS, _PLANAR, _SUB_IFDS, _EXTRA, _SAMPLES, _ICC = 266, 277, 278, 284, 330, 338, 339, 34675
_OF_PICTURE = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL, 273, _CHANNELS, _ROWS, 279, _PLANAR, 292, 293, 317, 320}
    | {322, 323, 324, 325, 332, 334, _EXTRA, 339, 347, *range(512, 522), 529, 531, 532, _ICC}
)
"""Tags without which the pixels cannot be decoded; the others are left out where the decoder stumbles over them."""
_NEEDED = _OF_PICTURE - {_FILL, 332, 334, *range(512, 533), _ICC}
_NAMES = {
    700: "XMP",
    33723: "IPTC",
    34377: "Photoshop resources",
    _ICC: "ICC profile",
    EXIF_IFD: "EXIF directory",
    GPS_IFD: "GPS directory",
    X_RESOLUTION: "resolution",
    Y_RESOLUTION: "resolution",
}
_ALLOWED: dict[int, tuple[Collection[int], int, str]] = {
    ORIENTATION: (range(1, 9), 1, "orientation"),
    RESOLUTION_UNIT: (range(1, 4), 1, "resolution unit"),
    _PLANAR: ((1, 2), 1, "planar configuration"),
    _FILL: ((1, 2), 1, "fill order"),
    _SAMPLES: (range(1, 7), 1, "sample format"),
}
"""Values that there are, what any other is taken as, and the name of the tag."""
_KINDS = {0: "grey whose white is 0", 1: "grey whose black is 0", 2: "RGB"}
_FAX = (2, 3, 4)


@dataclass(frozen=True, slots=True)
class Inspected:
    """A directory as it should have been written."""

    entries: Mapping[int, Entry]
    faults: tuple[str, ...]
    """What was wrong with it, for people."""


def inspect(data: Data, offset: int | None = None) -> Inspected:
    """The directory at `offset` (the first one by default), corrected where that needs no guess about pixels.

    Raises:
        TruncatedScan: the directory, a strip or a tile lies behind the end of the file.
        UnreadableScan: it has no picture.
    """
    dropped: list[int] = []
    try:
        layout = Layout.of(data)
        at = layout.first if offset is None else offset
        if at >= len(data):
            raise TruncatedScan(f"the directory should stand at byte {at}, but {_cut(data)}")
        entries = read_ifd(data, layout, at, dropped=dropped)
        tags = tags_of(data, layout, at)
    except BrokenIfdError as error:
        raise TruncatedScan(f"{error}: {_cut(data)}") from error
    if lost := _NEEDED.intersection(dropped):
        raise TruncatedScan(f"tag {min(lost)}, which the picture needs, lies behind the end: {_cut(data)}")
    if _WIDTH not in entries:
        raise UnreadableScan("a TIFF directory without a picture: open it in another program and save it again")
    faults = [*_unread(dropped), *_disorder(tags), *_settled(entries)]
    if wrong := mend_parts(data, layout, at, entries):
        faults.append(wrong)
    return Inspected(entries, tuple(faults))


def corrected(data: Data, entries: Mapping[int, Entry]) -> AssembledView:
    """The file with one directory of these entries, in place of all that it has."""
    layout = Layout.of(data)
    at, word, begins = (8, "Q", 16) if layout.big else (4, "I", 8)
    start = len(data) + len(data) % 2
    header = data[:at] + struct.pack(layout.order + word, start)
    kept = {tag: entry for tag, entry in entries.items() if tag != _SUB_IFDS}
    directory = write_ifd(kept, start, big=layout.big, order=layout.order)
    return AssembledView([header, (data, begins, len(data)), b"\0" * (start - len(data)) + directory])


def bare(data: Data) -> AssembledView:
    """The file with nothing in its first directory but what decodes the pixels. Raises as `inspect`."""
    found = inspect(data)
    return corrected(data, {tag: entry for tag, entry in found.entries.items() if tag in _OF_PICTURE})


def _unread(dropped: list[int]) -> Iterator[str]:
    for name in dict.fromkeys(_NAMES.get(tag, f"tag {tag}") for tag in dropped if tag != _SUB_IFDS):
        yield f"its {name} lies outside the file or makes no sense, and was left out"


def _disorder(tags: list[int]) -> Iterator[str]:
    if tags != sorted(set(tags)):
        yield "the tags of its directory are out of order, or there twice"


def _settled(entries: dict[int, Entry]) -> Iterator[str]:
    """Corrects values that cannot be, in place; yields what was wrong."""
    for tag, (allowed, taken, name) in _ALLOWED.items():
        if tag in entries and (value := first_integer(entries, tag, 0)) not in allowed:
            entries[tag] = shorts(taken)
            yield f"its {name} is {value}, which does not exist: taken as {taken}"
    if _ROWS in entries and not first_integer(entries, _ROWS, 0):
        entries[_ROWS] = entries.get(_HEIGHT, longs(1))
        yield "it states strips of 0 rows: taken as one strip"
    if _CHANNELS not in entries and _BITS in entries and (count := entries[_BITS].count) > 1:
        entries[_CHANNELS] = shorts(count)
        yield f"it does not state its channels: taken as {count}, the number of depths that it states"
    if _PHOTOMETRIC not in entries and (kind := _kind_of_unstated(entries)) is not None:
        entries[_PHOTOMETRIC] = shorts(kind)
        yield f"it does not state what its levels mean: taken as {_KINDS[kind]}"


def _kind_of_unstated(entries: Mapping[int, Entry]) -> int | None:
    """What viewers take a picture for that does not state its photometric interpretation; None: they differ."""
    colours = first_integer(entries, _CHANNELS, 1) - (entries[_EXTRA].count if _EXTRA in entries else 0)
    if colours == 1:
        return 0 if first_integer(entries, _COMPRESSION, 1) in _FAX else 1
    return 2 if colours == 3 else None


def _cut(data: Data) -> str:
    return f"the file ends at byte {len(data)}; copy it again"
