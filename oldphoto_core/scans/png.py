"""PNG files around their pixels: chunks read, and put back byte for byte."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from oldphoto_core.errors import TruncatedScan, UnreadableScan
from oldphoto_core.scans import exif as exif_blocks
from oldphoto_core.scans.carried import Carried
from oldphoto_core.scans.scan import Encoding, Resolution

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp\0\0\0\0\0"
_KEPT = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"tEXt", b"zTXt", b"iTXt", b"tIME")
_LONGEST_PROFILE = 64 * 2**20


def check_whole(data: bytes) -> None:
    """Raises TruncatedScan when the last chunk is missing, UnreadableScan when a chunk's checksum is wrong."""
    view, at, kind = memoryview(data), 8, b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise TruncatedScan(f"the file ends at byte {len(data)}, before the picture does: copy it again")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise TruncatedScan(f"the file ends at byte {len(data)}, inside its {_name(kind)} chunk: copy it again")
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise UnreadableScan(
                f"damaged: the checksum of the {_name(kind)} chunk at byte {at} is wrong: copy it again"
            )
        at = end


def read_carried(data: bytes) -> Carried:
    """Everything but the pixels."""
    metadata: dict[str, bytes] = {}
    profile, resolution = None, None
    for number, (kind, payload) in enumerate(_chunks(data)):
        if kind == b"eXIf":
            metadata["exif"] = exif_blocks.without_thumbnail(payload.removeprefix(b"Exif\0\0"))
        elif kind == b"iTXt" and payload.startswith(_XMP):
            metadata["xmp"] = payload[len(_XMP) :]
        elif kind == b"iCCP":
            profile = _inflated(payload)
        elif kind == b"pHYs" and len(payload) == 9:
            resolution = _resolution(payload)
        elif kind in _KEPT:
            metadata[f"png:{number:04d}:{kind.decode()}"] = payload
    entries = exif_blocks.entries_of(metadata.get("exif", b""))
    return Carried(
        encoding=Encoding(lossless=True),
        orientation=exif_blocks.orientation_of(entries),
        resolution=resolution or exif_blocks.resolution_of(entries),
        icc_profile=profile,
        metadata=metadata,
    )


def insert_carried(encoded: bytes, carried: Carried) -> bytes:
    """The encoder's file with its own ancillary chunks replaced by those carried."""
    critical = [(kind, payload) for kind, payload in _chunks(encoded) if kind[:1].isupper()]
    pixels_at = next(number for number, (kind, _) in enumerate(critical) if kind == b"IDAT")
    # all of it before the pixels, where every reader looks
    chunks = [*critical[:pixels_at], *_outgoing(carried), *critical[pixels_at:]]
    return _SIGNATURE + b"".join(_chunk(kind, payload) for kind, payload in chunks)


def _outgoing(carried: Carried) -> Iterator[tuple[bytes, bytes]]:
    for name, payload in sorted(carried.metadata.items()):
        if name.startswith("png:"):
            yield name[-4:].encode(), payload
    if carried.icc_profile:
        yield b"iCCP", b"ICC Profile\0\0" + zlib.compress(carried.icc_profile)
    if carried.resolution:
        scale = 1.0 if carried.resolution.unit == "none" else 1000.0
        x, y = (round(value * scale) for value in (carried.resolution.x_per_mm, carried.resolution.y_per_mm))
        yield b"pHYs", struct.pack(">IIB", x, y, carried.resolution.unit != "none")
    if exif := exif_blocks.with_orientation(carried.metadata.get("exif"), carried.orientation):
        yield b"eXIf", exif
    if "xmp" in carried.metadata:
        yield b"iTXt", _XMP + carried.metadata["xmp"]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(payload, zlib.crc32(kind)))


def _inflated(payload: bytes) -> bytes | None:
    try:
        # bounded: a few bytes can say a million zeros
        return zlib.decompressobj().decompress(payload[payload.index(b"\0") + 2 :], _LONGEST_PROFILE) or None
    except (ValueError, zlib.error):
        return None


def _resolution(payload: bytes) -> Resolution | None:
    x, y, metre = struct.unpack(">IIB", payload)
    if not x or not y:
        return None
    return Resolution(x / 1000, y / 1000, "cm") if metre == 1 else Resolution(float(x), float(y), "none")


def _name(kind: bytes) -> str:
    return repr(kind.decode("ascii", "replace"))
