"""A JPEG judged by its structure, and written anew where the decoder would stumble over it.

libjpeg shows the first warning about a file and no other. So a harmless error in front of the picture is corrected
before decoding: it could hide damage inside.
"""

from __future__ import annotations

import struct

import numpy as np

from oldphoto_core.errors import ScanError, TruncatedScan, UnsupportedScan
from oldphoto_core.scans.formats.reading import cut
from oldphoto_core.scans.jpeg.segments import (
    FRAMES,
    Segment,
    end_of_picture,
    first_scan,
    frame_of,
    has_all_scans,
    height_behind,
    segments_of,
)
from oldphoto_core.scans.views import AssembledView, Data
from oldphoto_core.scans.vips import open_image, slabs_of

_APP0, _APP14, _COMMENT = 0xE0, 0xEE, 0xFE
_SEQUENTIAL = (0xC0, 0xC1)
_DECODED = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
"""Frames that libjpeg decodes."""
_BASELINE = b"\0\x3f\0"
"""How the header of a scan ends in a sequential JPEG: all coefficients, all bits."""
_STRAY = "there are stray bytes between its segments"
Part = bytes | tuple[Data, int, int]
"""As `AssembledView` takes it."""


def check_whole(data: Data) -> None:
    """Raises TruncatedScan when the picture does not end, or a scan is missing: libjpeg goes on with grey.

    Where nothing but the mark of its end is missing, it is whole. Raises as `check_coding`.
    """
    check_coding(data)
    if end_of_picture(data) is not None:
        if not has_all_scans(data):
            raise TruncatedScan("scans are missing, and with them a part of every pixel: copy it again")
        return
    try:
        if _has_one_scan(data) and _needs_no_more(data):
            return
    except ScanError:
        pass
    raise cut(data)


def check_coding(data: Data) -> None:
    """Raises UnsupportedScan for a kind of JPEG that nothing here decodes."""
    frame = frame_of(data)
    if frame and frame[1] not in _DECODED:
        raise UnsupportedScan("a lossless or hierarchical JPEG: save it as TIFF or PNG")
    if frame and frame[4] != 8:
        raise UnsupportedScan(f"a JPEG of {frame[4]} bits a channel: save it as TIFF of 16 bits")


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
    frame = next((data[one.start : one.end] for one in segments if one.marker in FRAMES), bytes(10))
    for segment in segments:
        if segment.marker in FRAMES and frame[5:7] == b"\0\0" and (height := height_behind(data)):
            parts.append(frame[:5] + height + frame[7:])
            faults["its height stands behind its pixels"] = None
            at = segment.end
            continue
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
    frames = [data[one.start : one.end] for one in segments_of(data) if one.marker in FRAMES]
    scan = first_scan(data)
    if scan is None or len(frames) != 1 or frames[0][1] not in _SEQUENTIAL:
        return False
    return frames[0][9:10] == data[scan + 4 : scan + 5]
