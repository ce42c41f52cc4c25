"""JPEG files around their pixels: segments read, and put back byte for byte."""

from __future__ import annotations

import contextlib
import hashlib
import io
import struct
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from oldphoto_core.scans.container_metadata import MM_PER_UNIT, ContainerMetadata, Encoding, Resolution, Unit
from oldphoto_core.scans.jpeg.segments import segments_of
from oldphoto_core.scans.jpeg.structure import sound, sound_head
from oldphoto_core.scans.jpeg.trailers import left_out_of, missing_of
from oldphoto_core.scans.metadata import exif as exif_blocks
from oldphoto_core.scans.metadata import xmp
from oldphoto_core.scans.views import Data, pieces_of

_EXIF, _XMP, _ICC, _PHOTOSHOP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"Photoshop 3.0\0"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_APP0, _APP1, _APP2, _APP13, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xFE
_LONGEST = 65_533
"""Bytes that one segment can hold."""
_PART = 65_000
"""Bytes of what takes several segments that one of them gets."""
_START_OF_SCAN = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
_CHROMA = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
_UNIT_CODES = {"none": 0, "in": 1, "cm": 2}


def read_container_metadata(data: Data) -> ContainerMetadata:
    """Everything but the pixels."""
    segments = list(_segments(data))
    metadata = _metadata(segments)
    remarks = (*sound(data)[1], *exif_blocks.settle(metadata), *missing_of(data))
    entries = exif_blocks.entries_of(metadata.get("exif", b""))
    return ContainerMetadata(
        encoding=_encoding(sound_head(data)),
        left_out=left_out_of(data),
        remarks=remarks,
        orientation=exif_blocks.orientation_of(entries),
        resolution=_density(segments) or exif_blocks.resolution_of(entries),
        icc_profile=_profile(segments),
        metadata=metadata,
    )


def insert_container_metadata(encoded: Data, container: ContainerMetadata) -> Iterator[bytes]:
    """The encoder's file with its own application segments replaced by those carried, in pieces."""
    yield b"\xff\xd8" + _segment(_APP0, _jfif(container.resolution))
    yield from (_segment(marker, payload) for marker, payload in _outgoing(container))
    at = 2
    for marker, start, end in _positions(encoded):
        if not _is_application(marker):
            yield encoded[start:end]
        at = end
    yield from pieces_of(encoded, at, len(encoded))


def in_segments(metadata: Mapping[str, bytes], warn: Callable[[str], None]) -> dict[str, bytes]:
    """The same metadata so that each piece fits into a segment; `warn` hears of what does not."""
    fitting = dict(metadata)
    if len(_EXIF) + len(metadata.get("exif", b"")) > _LONGEST:
        warn(f"EXIF of {len(fitting.pop('exif')):,} bytes is left out, as a JPEG cannot hold it")
    if len(_XMP) + len(metadata.get("xmp", b"")) <= _LONGEST:
        return fitting
    packet = fitting.pop("xmp")
    if [fitting.pop(name) for name, piece in metadata.items() if piece.startswith(_XMP_EXTENSION)]:
        warn("the extension of the master's XMP is left out, as its first part alone needs the place")
    try:
        fitting["xmp"], extension, digest = xmp.split(packet)
    except xmp.BrokenXmpError as error:
        warn(f"the XMP packet {error}, and is left out, as a JPEG cannot hold it in one piece")
        return fitting
    for at in range(0, len(extension), _PART):
        place = digest.encode() + struct.pack(">II", len(extension), at)
        fitting[f"jpeg:x{at:09d}:E1"] = _XMP_EXTENSION + place + extension[at : at + _PART]
    return fitting


def start_of_pixels(data: Data) -> int:
    """Where the segments before the first scan end."""
    return max((end for _, _, end in _positions(data)), default=2)


def _is_application(marker: int) -> bool:
    return _APP0 <= marker <= 0xEF or marker == _COMMENT


def _positions(data: Data) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of every segment before the first scan."""
    return ((segment.marker, segment.start, segment.end) for segment in segments_of(data))


def _segments(data: Data) -> Iterator[tuple[int, bytes]]:
    return ((marker, data[start + 4 : end]) for marker, start, end in _positions(data))


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _metadata(segments: list[tuple[int, bytes]]) -> dict[str, bytes]:
    metadata: dict[str, bytes] = {}
    for number, (marker, payload) in enumerate(segments):
        if marker == _APP1 and payload.startswith(_EXIF):
            metadata.setdefault("exif", exif_blocks.without_thumbnail(payload[len(_EXIF) :]))
        elif marker == _APP1 and payload.startswith(_XMP):
            metadata.setdefault("xmp", payload[len(_XMP) :])
        elif marker == _APP1 and payload.startswith(_XMP_EXTENSION):
            metadata[f"jpeg:{number:04d}:E1"] = payload
        elif marker == _APP13 and payload.startswith(_PHOTOSHOP):
            metadata["photoshop"] = metadata.get("photoshop", b"") + payload[len(_PHOTOSHOP) :]
        elif marker == _COMMENT:
            metadata[f"jpeg:{number:04d}:FE"] = payload
    return _joined(metadata)


def _joined(metadata: dict[str, bytes]) -> dict[str, bytes]:
    """The same with an XMP extension in the packet that it belongs to; as it was where that cannot be done."""
    pieces = {name: piece for name, piece in metadata.items() if piece.startswith(_XMP_EXTENSION)}
    start = len(_XMP_EXTENSION) + 40  # behind digest, length and offset
    extension = b"".join(piece[start:] for piece in sorted(pieces.values(), key=lambda piece: piece[start - 4 : start]))
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode()
    if not pieces or digest not in metadata.get("xmp", b""):
        return metadata
    with contextlib.suppress(xmp.BrokenXmpError):
        whole = xmp.joined(metadata["xmp"], extension)
        return {**{name: piece for name, piece in metadata.items() if name not in pieces}, "xmp": whole}
    return metadata


def _outgoing(container: ContainerMetadata) -> Iterator[tuple[int, bytes]]:
    metadata = container.metadata
    exif = exif_blocks.with_orientation(metadata.get("exif"), container.orientation)
    if exif:
        yield _APP1, _EXIF + exif
    if "xmp" in metadata:
        yield _APP1, _XMP + metadata["xmp"]
    yield from ((_APP2, payload) for payload in _profile_segments(container.icc_profile))
    for at in range(0, len(photoshop := _photoshop(metadata)), _PART):
        yield _APP13, _PHOTOSHOP + photoshop[at : at + _PART]
    for name, payload in sorted(metadata.items()):
        if name.startswith("jpeg:"):
            yield int(name[-2:], 16), payload


def _photoshop(metadata: Mapping[str, bytes]) -> bytes:
    if "photoshop" in metadata or "iptc" not in metadata:
        return metadata.get("photoshop", b"")
    # IPTC from a TIFF: in a JPEG it is Photoshop's resource 0x0404
    iptc = metadata["iptc"]
    return b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)


def _profile(segments: list[tuple[int, bytes]]) -> bytes | None:
    parts = {p[len(_ICC)]: p[len(_ICC) + 2 :] for m, p in segments if m == _APP2 and p.startswith(_ICC) and len(p) > 14}
    return b"".join(part for _, part in sorted(parts.items())) or None


def _profile_segments(profile: bytes | None) -> list[bytes]:
    parts = [profile[at : at + _PART] for at in range(0, len(profile), _PART)] if profile else []
    if len(parts) > 255:
        return []
    return [_ICC + bytes([number, len(parts)]) + part for number, part in enumerate(parts, start=1)]


def _density(segments: list[tuple[int, bytes]]) -> Resolution | None:
    for marker, payload in segments:
        if marker == _APP0 and payload.startswith(b"JFIF\0") and len(payload) >= 12:
            unit, x, y = struct.unpack_from(">BHH", payload, 7)
            if unit in (1, 2) and x and y:
                named: Unit = "in" if unit == 1 else "cm"
                return Resolution(x / MM_PER_UNIT[named], y / MM_PER_UNIT[named], named)
            if unit == 0 and x != y and x and y:
                return Resolution(float(x), float(y), "none")
    return None


def _jfif(resolution: Resolution | None) -> bytes:
    known = resolution or Resolution(1.0, 1.0, "none")
    scale = MM_PER_UNIT[known.unit]
    x, y = (min(max(round(value * scale), 1), 65_535) for value in (known.x_per_mm, known.y_per_mm))
    return b"JFIF\0\x01\x01" + struct.pack(">BHHBB", _UNIT_CODES[known.unit], x, y, 0, 0)


def _encoding(data: Data) -> Encoding:
    from PIL import JpegImagePlugin

    # the class itself, on the coder's segments alone: Image.open refuses large scans as bombs and warns of odd EXIF
    coder = [data[start:end] for marker, start, end in _positions(data) if not _is_application(marker)]
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(b"\xff\xd8" + b"".join(coder) + _START_OF_SCAN))
    sampling = JpegImagePlugin.get_sampling(image) if image.mode != "L" else None
    return Encoding(
        lossless=False,
        jpeg_quality=quality_of(image.quantization),
        chroma=None if sampling is None else _CHROMA.get(sampling, "other"),
        progressive=bool(image.info.get("progressive")),
    )


def quality_of(tables: Mapping[int, list[int]]) -> int:
    """The lowest quality, 1 to 100, at which libjpeg's own tables quantise no coarser than these, in sum."""
    luma = sum(tables.get(0, [1]))
    chroma = sum(tables[1]) if 1 in tables else None
    for quality in range(1, 101):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        ours = [int(np.clip((table * scale + 50) // 100, 1, 255).sum()) for table in (_LUMA, _CHROMA_TABLE)]
        if ours[0] <= luma and (chroma is None or ours[1] <= chroma):
            return quality
    return 100


# ITU-T T.81, annex K.1, for quality 50; as only sums matter, the order does not
_LUMA = np.fromstring(
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99",
    dtype=int,
    sep=" ",
)
_CHROMA_TABLE = np.array([17, 18, 24, 47, 18, 21, 26, 66, 24, 26, 56, 99, 47, 66, 99, 99, *[99] * 48])
