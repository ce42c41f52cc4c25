"""What a JPEG has besides its picture and no derivative gets: named, so that its record can say so."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from oldphoto_core.scans.container_metadata import CREDENTIALS
from oldphoto_core.scans.jpeg.segments import end_of_picture, segments_of
from oldphoto_core.scans.metadata.ifd import BrokenIfdError, Layout, read_ifd
from oldphoto_core.scans.views import Data

_MPF = b"MPF\0"
_MP_ENTRIES = 0xB002
_MOST_PICTURES = 100
_WERE = "was left out"
_SNIFFED = 2**20
"""Bytes of what lies behind the picture by which it is named."""
_TYPES = {
    0x010001: "a preview",
    0x010002: "a preview",
    0x020001: "another picture of a panorama",
    0x020002: "another picture of a stereo pair",
    0x020003: "a picture from another angle",
    0x050000: "a gain map (HDR)",
}
"""Of pictures in an MPO, by the type that its index states."""
_SIGNS = (
    (b"hdrgainmap", "a gain map (HDR)"),
    (b"hdrgm:", "a gain map (HDR)"),
    (b"urn:iso:std:iso:ts:21496", "a gain map (HDR)"),
    (b"epthmap", "a depth map"),
    (b"epthMap", "a depth map"),
)
_VIDEO = (b"ftyp", b"MotionPhoto_Data", b"moov", b"mdat")
_SEGMENTS = (
    (0xEB, b"JP", CREDENTIALS),
    (0xE1, b"FLIR\0", "thermal data (FLIR)"),
    (0xE3, b"_JPSJPS_", "the description of a stereo pair (JPS)"),
)
"""Segments that would say something untrue of a restored picture, or that belong to what is left out."""


@dataclass(frozen=True, slots=True)
class _Picture:
    kind: int
    start: int
    end: int


def left_out_of(data: Data) -> tuple[str, ...]:
    """What is in the file besides its picture, for people."""
    found = [f"{name} {_WERE}" for name in _named_segments(data)]
    end = end_of_picture(data)
    if end is None or not data[end : end + _SNIFFED].strip(b"\0\xff \r\n"):
        return tuple(found)
    pictures = [one for one in _index_of(data) if end <= one.start < one.end <= len(data)]
    names = [f"{_name_of(data, one)} ({one.end - one.start:,} bytes)" for one in pictures]
    rest = max((one.end for one in pictures), default=end)
    if data[rest : rest + _SNIFFED].strip(b"\0\xff \r\n"):
        name = "a Samsung trailer" if data[len(data) - 4 :] == b"SEFT" else "data of no known kind"
        names.append(f"{_sniffed(data[rest : rest + _SNIFFED]) or name} ({len(data) - rest:,} bytes)")
    return (*found, *(f"{name} behind the picture's end {_WERE}" for name in names))


def missing_of(data: Data) -> tuple[str, ...]:
    """What the file should have besides its picture, and has not, for people."""
    count = sum(one.end > max(len(data), one.start) for one in _index_of(data))
    return (f"{count} of the other pictures that its index names are cut or missing",) if count else ()


def _named_segments(data: Data) -> Iterator[str]:
    payloads = [(one.marker, data[one.start + 4 : one.start + 16]) for one in segments_of(data)]
    for marker, sign, name in _SEGMENTS:
        if any(found == marker and payload.startswith(sign) for found, payload in payloads):
            yield name


def _index_of(data: Data) -> Iterator[_Picture]:
    """The pictures behind the first one, as the index of an MPO (CIPA DC-007) states them."""
    for segment in segments_of(data):
        payload = data[segment.start + 4 : segment.end]
        if segment.marker != 0xE2 or not payload.startswith(_MPF):
            continue
        index, origin = payload[len(_MPF) :], segment.start + 4 + len(_MPF)
        try:
            order, entry = Layout.of(index).order, read_ifd(index).get(_MP_ENTRIES)
        except BrokenIfdError:
            return
        table = entry.data[: 16 * _MOST_PICTURES] if entry is not None else b""
        for at in range(16, len(table) - 15, 16):
            kind, size, place = struct.unpack_from(f"{order}III", table, at)
            yield _Picture(kind & 0xFFFFFF, origin + place, origin + place + size)
        return


def _name_of(data: Data, picture: _Picture) -> str:
    content = data[picture.start : min(picture.end, picture.start + _SNIFFED)]
    return _TYPES.get(picture.kind) or _sniffed(content) or "data of no known kind"


def _sniffed(content: bytes) -> str:
    """What some bytes are by what stands in them; "" where that is not known."""
    if any(sign in content for sign in _VIDEO) and not content.startswith(b"\xff\xd8\xff"):
        return "a video (of a motion photo)"
    if content.startswith(b"\xff\xd8\xff"):
        return next((name for sign, name in _SIGNS if sign in content[:65_536]), "another picture (JPEG)")
    return ""
