"""Segments of a JPEG, found in spite of errors around them, and what those of its picture and its scans state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from oldphoto_core.scans.views import Data

_SCAN, _END, _START = 0xDA, 0xD9, 0xD8
_APP0, _COMMENT = 0xE0, 0xFE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (b"\xc2", b"\xca")
_HEIGHT_BEHIND = 0xDC
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD})
_IN_PIXELS = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""What ends the pixels of a scan."""
_PIECE = 2**20
_FEW = 16
"""Stray bytes in front of a segment, at most, for the one before it to count as one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What stands before the first scan."""

    marker: int
    start: int
    """Of its marker."""
    end: int
    stated: bool = True
    """Whether that is what its length says, and not where the next one was found."""


def segments_of(data: Data) -> Iterator[Segment]:
    """Every segment before the first scan; bytes between them that are none are passed over."""
    at: int | None = 2
    while at is not None and len(head := data[at : at + 4]) == 4:
        if head[:2] == b"\xff\xff":  # fill byte
            at += 1
            continue
        if at == 2 and head[:2] == b"\xff\xd8":  # its start is there twice
            at += 2
            continue
        if head[0] != 0xFF or not _is_segment(head[1]):
            at = _next_segment(data, at)
            continue
        end, stated = at + 2 + int.from_bytes(head[2:], "big"), True
        if head[1] == _SCAN:
            return
        if _is_application(head[1]) and (end < at + 4 or data[end : end + 1] != b"\xff"):
            found = _next_segment(data, at + 4)
            if found is not None and (end < at + 4 or found < end):
                end, stated = found, False
        if not at + 4 <= end <= len(data):
            return
        yield Segment(head[1], at, end, stated)
        at = end


def first_scan(data: Data) -> int | None:
    """Where the first scan begins; None: nowhere."""
    at: int | None = max((segment.end for segment in segments_of(data)), default=2)
    while at is not None and data[at : at + 2] != b"\xff\xda":
        at = at + 1 if data[at : at + 2] == b"\xff\xff" else _next_segment(data, at)
        if at is not None and data[at + 1 : at + 2] not in (b"\xff", b"\xda"):
            return None
    return at


def end_of_picture(data: Data) -> int | None:
    """Where the picture ends, whatever comes behind; None: it has no end."""
    if (at := first_scan(data)) is None:
        return None
    for marker, place in _marks(data, at):
        if place < at:  # inside of what the last one is about
            continue
        if marker == _END:
            return place + 2
        length = int.from_bytes(data[place + 2 : place + 4], "big") if _is_segment(marker) else 0
        at = place + 2 + length
    return None


def frame_of(data: Data) -> bytes:
    """The segment that describes the picture; empty where there is none."""
    frames = (data[one.start : one.end] for one in segments_of(data) if one.marker in FRAMES)
    return next((frame for frame in frames if len(frame) >= 10), b"")


def has_all_scans(data: Data) -> bool:
    """Whether there is a scan of each component, and each coefficient of which bits are there has its last one, too."""
    frame, at = frame_of(data), first_scan(data)
    low: dict[tuple[int, int], int] = {}
    for marker, place in _marks(data, at or 0):
        if at is None or marker == _END:
            break
        if place < at:
            continue
        at = place + 2 + (int.from_bytes(data[place + 2 : place + 4], "big") if _is_segment(marker) else 0)
        head = data[place + 4 : at]
        if marker == _SCAN and len(head) >= 4 + 2 * head[0]:
            first, last, bits = head[1 + 2 * head[0] : 4 + 2 * head[0]]
            low |= {(part, k): bits & 15 for part in head[1 : 1 + 2 * head[0] : 2] for k in range(first, last + 1)}
    if frame[1:2] not in _PROGRESSIVE:  # headers of its scans say nothing that is true of bits
        low = {(part, 0): 0 for part, _ in low}
    return not any(low.values()) and all((part, 0) in low for part in frame[10 : 10 + 3 * frame[9] : 3])


def height_behind(data: Data) -> bytes:
    """The two bytes of the height that stands behind the first scan (DNL); empty where there is none."""
    at = first_scan(data)
    places = (place for marker, place in _marks(data, at or 0) if marker == _HEIGHT_BEHIND)
    place = next(places, None) if at is not None else None
    return data[place + 4 : place + 6] if place is not None else b""


def _is_application(marker: int) -> bool:
    return _APP0 <= marker <= 0xEF or marker == _COMMENT


def _is_segment(marker: int) -> bool:
    return _is_application(marker) or marker in _TABLES or marker in FRAMES or marker == _SCAN


def _next_segment(data: Data, at: int) -> int | None:
    """Where the next segment begins that leads to another; thumbnails on the way are passed over."""
    depth = 0
    for marker, place in _marks(data, at):
        if marker == _START:
            depth += 1
        elif marker == _END and depth:
            depth -= 1
        elif not depth and _is_segment(marker) and (marker == _SCAN or _leads_on(data, place)):
            return place
    return None


def _leads_on(data: Data, place: int) -> bool:
    """Whether the length of a segment leads to another one, or to a few stray bytes in front of it."""
    end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    behind = data[end : end + _FEW]
    found = behind.startswith(b"\xff\xff") or any(_is_segment(marker) for marker, _ in _marks(behind, 0))
    return end >= place + 4 and found


def _marks(data: Data, at: int) -> Iterator[tuple[int, int]]:
    """(marker, where it stands) of all from `at` on that are no part of a scan's pixels."""
    while at < len(data):
        piece = data[at : at + _PIECE]
        for found in _IN_PIXELS.finditer(piece):
            yield piece[found.start() + 1], at + found.start()
        # one may lie across the border of two pieces
        at += max(1, len(piece) - 1)
