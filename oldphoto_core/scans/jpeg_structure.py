"""Segments of a JPEG: found in spite of errors around them, and written anew where the decoder would stumble over them.

libjpeg shows the first warning about a file and no other. So a harmless error in front of the picture is corrected
before decoding: it could hide damage inside.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from oldphoto_core.errors import ScanError, TruncatedScan
from oldphoto_core.scans.views import AssembledView, Data
from oldphoto_core.scans.vips import open_image, slabs_of

_SCAN, _END, _START = 0xDA, 0xD9, 0xD8
_APP0, _APP14, _COMMENT = 0xE0, 0xEE, 0xFE
_SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD})
_BASELINE = b"\0\x3f\0"
"""How the header of a scan ends in a sequential JPEG: all coefficients, all bits."""
_IN_PIXELS = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""What ends the pixels of a scan."""
_PIECE = 2**20
_STRAY = "there are stray bytes between its segments"
Part = bytes | tuple[Data, int, int]
"""As `AssembledView` takes it."""


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


def check_whole(data: Data) -> None:
    """Raises TruncatedScan when the picture does not end: libjpeg invents its end, and what is missing is grey.

    Where nothing but the mark of its end is missing, it is whole.
    """
    if end_of_picture(data) is not None:
        return
    try:
        if _has_one_scan(data) and _needs_no_more(data):
            return
    except ScanError:
        pass
    raise TruncatedScan(f"the file ends at byte {len(data)}, before the picture does: copy it again")


def _needs_no_more(data: Data) -> bool:
    """Whether the pixels are the same whatever bits come behind the end of the file.

    Of pixels that are missing in the last rows libvips does not warn.
    """
    parts, _ = _sound_parts(data)
    images = [open_image(AssembledView([*parts, bits * 64, b"\xff\xd9"]), "jpeg") for bits in (b"\x55", b"\xaa")]
    return all(np.array_equal(one, other) for (_, one), (_, other) in zip(*map(slabs_of, images), strict=True))


def sound(data: Data) -> tuple[Data, tuple[str, ...]]:
    """The file as it should have been written, and what was wrong with it, for people."""
    parts, faults = _sound_parts(data)
    if end_of_picture(data) is None:
        parts, faults = [*parts, b"\xff\xd9"], [*faults, "the mark of its end is missing, behind the last pixel"]
    return (AssembledView(parts), tuple(faults)) if faults else (data, ())


def sound_head(data: Data) -> Data:
    """The file with all before its pixels as it should have been written, whether the picture ends or not."""
    return AssembledView(_sound_parts(data)[0])


def _sound_parts(data: Data) -> tuple[list[Part], list[str]]:
    parts: list[Part] = [b"\xff\xd8"]
    faults: dict[str, None] = {}
    at, segments = 2, list(segments_of(data))
    frame = next((data[one.start : one.end] for one in segments if one.marker in _FRAMES), bytes(10))
    for segment in segments:
        if data[at : segment.start].strip(b"\xff"):
            faults[_STRAY] = None
        part, fault = _corrected(data, segment, channels=(frame + bytes(10))[9])
        parts.append(part)
        if fault:
            faults[fault] = None
        at = segment.end
    scan = first_scan(data)
    if scan is None:
        return [*parts, (data, at, len(data))], list(faults)
    if data[at:scan].strip(b"\xff"):
        faults[_STRAY] = None
    end = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
    if frame[1] in _SEQUENTIAL and data[end - 3 : end] != _BASELINE:
        faults["the header of its scan states coefficients as only a progressive JPEG has them"] = None
        parts += [data[scan : end - 3], _BASELINE, (data, end, len(data))]
    else:
        parts.append((data, scan, len(data)))
    return parts, list(faults)


def _corrected(data: Data, segment: Segment, channels: int) -> tuple[Part, str]:
    """A segment as it should be, and what was wrong with it, "" for nothing."""
    whole = data[segment.start : segment.end]
    payload = whole[4:]
    if not segment.stated:
        fault = f"a segment of metadata ({_name(segment.marker)}) states a wrong length"
        return (whole[:2] + struct.pack(">H", len(payload) + 2) + payload if len(payload) < 65_534 else b""), fault
    if segment.marker == _APP0 and payload.startswith(b"JFIF\0") and payload[5:6] != b"\x01":
        return whole[:9] + b"\1\2" + whole[11:], f"it states revision {payload[5]} of JFIF, which does not exist"
    if segment.marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12 and payload[11] > 2:
        fault = f"its Adobe segment states colour transform {payload[11]}, which does not exist"
        return whole[:15] + (b"\2" if channels == 4 else b"\1") + whole[16:], fault
    return (data, segment.start, segment.end), ""


def _name(marker: int) -> str:
    return "comment" if marker == _COMMENT else f"APP{marker - _APP0}"


def _has_one_scan(data: Data) -> bool:
    """Whether the picture is sequential, and all of its components are in the first scan."""
    frames = [data[one.start : one.end] for one in segments_of(data) if one.marker in _FRAMES]
    scan = first_scan(data)
    if scan is None or len(frames) != 1 or frames[0][1] not in _SEQUENTIAL:
        return False
    return frames[0][9:10] == data[scan + 4 : scan + 5]


def _is_application(marker: int) -> bool:
    return _APP0 <= marker <= 0xEF or marker == _COMMENT


def _is_segment(marker: int) -> bool:
    return _is_application(marker) or marker in _TABLES or marker in _FRAMES or marker == _SCAN


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
    """Whether the length of a segment leads to another one."""
    end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    behind = data[end : end + 2]
    return end >= place + 4 and behind[:1] == b"\xff" and (behind[1:] == b"\xff" or _is_segment((behind + b"\0")[1]))


def _marks(data: Data, at: int) -> Iterator[tuple[int, int]]:
    """(marker, where it stands) of all from `at` on that are no part of a scan's pixels."""
    while at < len(data):
        piece = data[at : at + _PIECE]
        for found in _IN_PIXELS.finditer(piece):
            yield piece[found.start() + 1], at + found.start()
        # one may lie across the border of two pieces
        at += max(1, len(piece) - 1)
