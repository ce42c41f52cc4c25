"""PNG: the row, and its files around their pixels: chunks read, and put back byte for byte."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from oldphoto_core.errors import TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans.container_metadata import CREDENTIALS, ContainerMetadata, Encoding, Resolution
from oldphoto_core.scans.formats import samples
from oldphoto_core.scans.formats.file_format import FileFormat, Sample
from oldphoto_core.scans.formats.reading import Reader, cut
from oldphoto_core.scans.formats.writing import Writer
from oldphoto_core.scans.metadata import exif as exif_blocks
from oldphoto_core.scans.views import AssembledView, Data, pieces_of

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp\0"
_KEPT = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"tEXt", b"zTXt", b"iTXt", b"tIME")
_NO_PIXELS = (*_KEPT, b"eXIf", b"iCCP", b"pHYs", b"bKGD", b"hIST", b"sBIT", b"sPLT", b"oFFs", b"sTER", b"vpAg", b"orNT")
"""Chunks that no pixel depends on. (tRNS, which is as ancillary as they are, makes pixels transparent.)"""
_KNOWN = (*_NO_PIXELS, b"tRNS", b"acTL", b"fcTL", b"fdAT")
_SNIFFED = 2**20
_LONGEST = 64 * 2**20
"""Bytes that are inflated of a profile or a text: a few bytes can say a million zeros."""


def check_whole(data: Data) -> None:
    """Raises TruncatedScan when pixels are missing, UnreadableScan when what they need is damaged.

    Raises UnsupportedScan for a kind of PNG that only Apple's programs read.
    """
    if data[12:16] == b"CgBI":
        raise UnsupportedScan("a PNG in Apple's own kind (CgBI), from an app of an iPhone: save it as PNG again")
    _wrong_chunks(data)


def sound(data: Data) -> Data:
    """The file without chunks whose checksums are wrong, none of which the pixels need. Raises as `check_whole`."""
    wrong, end = _wrong_chunks(data)
    if not wrong:
        return data
    starts, ends = [8, *(stop for _, _, stop in wrong)], [*(start for _, start, _ in wrong), end]
    return AssembledView([_SIGNATURE, *((data, start, stop) for start, stop in zip(starts, ends, strict=True))])


def _wrong_chunks(data: Data) -> tuple[list[tuple[bytes, int, int]], int]:
    """(kind, start, end) of chunks with a wrong checksum that touch no pixel, and where the picture ends."""
    at, kind, wrong = 8, b"", []
    while kind != b"IEND":
        if at + 12 > len(data):
            raise cut(data)
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if end > len(data):
            raise TruncatedScan(f"the file ends at byte {len(data)}, inside its {_name(kind)} chunk: copy it again")
        if _checksum(data, at + 4, end - 4) != int.from_bytes(data[end - 4 : end], "big"):
            # another name than a known one may be that of a chunk that the picture needs
            if kind not in _NO_PIXELS or not data[end + 4 : end + 8].isalpha():
                raise UnreadableScan(
                    f"damaged: the checksum of the {_name(kind)} chunk at byte {at} is wrong: copy it again"
                )
            wrong.append((kind, at, end))
        at = end
    return wrong, at


def _about(data: Data, wrong: list[tuple[bytes, int, int]], end: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is wrong without touching a pixel, and what is in no derivative; for people."""
    remarks = [f"the checksum of its {_name(kind)} chunk is wrong, and it was left out" for kind, _, _ in wrong]
    left_out = []
    frames = next((data[start + 8 : start + 12] for kind, start, _ in _positions(data) if kind == b"acTL"), b"")
    if (count := int.from_bytes(frames, "big")) > 1:
        left_out.append(f"{count - 1} other pictures of an animation (APNG) were left out")
    for kind, start, stop in _positions(data):
        if kind[:1].islower() and kind not in _KNOWN and (kind, start, stop) not in wrong:
            name = (
                CREDENTIALS if kind == b"caBX" else f"a chunk of another kind ({_name(kind)}, {stop - start:,} bytes)"
            )
            left_out.append(f"{name} was left out")
    if data[end : end + _SNIFFED].strip(b"\0"):
        left_out.append(f"data ({len(data) - end:,} bytes) behind the picture's end was left out")
    return tuple(remarks), tuple(left_out)


def read_container_metadata(data: Data) -> ContainerMetadata:
    """Everything but the pixels."""
    metadata: dict[str, bytes] = {}
    profile, resolution = None, None
    wrong, picture_end = _wrong_chunks(data)
    remarks, left_out = _about(data, wrong, picture_end)
    damaged = {start for _, start, _ in wrong}
    for number, (kind, start, end) in enumerate(_positions(data)):
        if kind == b"IDAT" or start in damaged:
            continue
        payload = data[start + 8 : end - 4]
        if kind == b"eXIf":
            metadata["exif"] = exif_blocks.without_thumbnail(payload.removeprefix(b"Exif\0\0"))
        elif kind == b"iTXt" and (xmp := _xmp(payload)) is not None:
            metadata["xmp"] = xmp
        elif kind == b"iCCP":
            profile = _inflated(payload.partition(b"\0")[2][1:])
            if profile is None:
                remarks += ("its ICC profile cannot be unpacked, and was left out",)
        elif kind == b"pHYs" and len(payload) == 9:
            resolution = _resolution(payload)
        elif kind in _KEPT:
            metadata[f"png:{number:04d}:{kind.decode()}"] = payload
    remarks += exif_blocks.settle(metadata)
    entries = exif_blocks.entries_of(metadata.get("exif", b""))
    return ContainerMetadata(
        encoding=Encoding(lossless=True),
        remarks=remarks,
        left_out=left_out,
        orientation=exif_blocks.orientation_of(entries),
        resolution=resolution or exif_blocks.resolution_of(entries),
        icc_profile=profile,
        metadata=metadata,
    )


def insert_container_metadata(encoded: Data, container: ContainerMetadata) -> Iterator[bytes]:
    """The encoder's file with its own ancillary chunks replaced by those carried, in pieces."""
    critical = [(kind, start, end) for kind, start, end in _positions(encoded) if kind[:1].isupper()]
    first_pixels = next(start for kind, start, _ in critical if kind == b"IDAT")
    yield _SIGNATURE
    for _, start, end in critical:
        # all of it before the pixels, where every reader looks
        if start == first_pixels:
            yield from (_chunk(kind, payload) for kind, payload in _outgoing(container))
        yield from pieces_of(encoded, start, end)


def _outgoing(container: ContainerMetadata) -> Iterator[tuple[bytes, bytes]]:
    for name, payload in sorted(container.metadata.items()):
        if name.startswith("png:"):
            yield name[-4:].encode(), payload
    if container.icc_profile:
        yield b"iCCP", b"ICC Profile\0\0" + zlib.compress(container.icc_profile)
    if container.resolution:
        scale = 1.0 if container.resolution.unit == "none" else 1000.0
        x, y = (round(value * scale) for value in (container.resolution.x_per_mm, container.resolution.y_per_mm))
        yield b"pHYs", struct.pack(">IIB", x, y, container.resolution.unit != "none")
    if exif := exif_blocks.with_orientation(container.metadata.get("exif"), container.orientation):
        yield b"eXIf", exif
    if "xmp" in container.metadata:
        yield b"iTXt", _XMP + b"\0\0\0\0" + container.metadata["xmp"]


def _positions(data: Data) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of every chunk; none behind the picture's end counts."""
    at, kind = 8, b""
    while at + 12 <= len(data) and kind != b"IEND":
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        yield kind, at, at + 12 + length
        at += 12 + length


def _checksum(data: Data, start: int, end: int) -> int:
    checksum = 0
    for piece in pieces_of(data, start, end):
        checksum = zlib.crc32(piece, checksum)
    return checksum


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(payload, zlib.crc32(kind)))


def _xmp(payload: bytes) -> bytes | None:
    """The packet in an iTXt chunk; None where it holds another text."""
    if not payload.startswith(_XMP):
        return None
    compressed, rest = payload[len(_XMP) : len(_XMP) + 1], payload[len(_XMP) + 2 :]
    packet = rest.split(b"\0", 2)[-1]
    return _inflated(packet) if compressed == b"\1" else packet


def _inflated(data: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(data, _LONGEST) or None
    except zlib.error:
        return None


def _resolution(payload: bytes) -> Resolution | None:
    x, y, metre = struct.unpack(">IIB", payload)
    if not x or not y:
        return None
    return Resolution(x / 1000, y / 1000, "cm") if metre == 1 else Resolution(float(x), float(y), "none")


def _name(kind: bytes) -> str:
    return repr(kind.decode("ascii", "replace"))


_READER = Reader(
    check_whole=check_whole,
    read_container_metadata=read_container_metadata,
    compression=lambda _data: "deflate",
    loader="png",
    sound=sound,
    sound_head=sound,
)
_WRITER = Writer(
    saver="png",
    options=lambda _scan, _image, _quality: {"compression": 6, "filter": "all"},
    insert=insert_container_metadata,
    mask_options={"compression": 6},
)
ROW = FileFormat(
    name="png",
    title="PNG",
    extensions=("png",),
    media_type="image/png",
    recognise=lambda head: head.startswith(_SIGNATURE),
    reader=lambda: _READER,
    writer=lambda: _WRITER,
    end_mark=b"IEND\xaeB`\x82",
    bytes_per_pixel=2.0,
    samples=(
        Sample(name="PNG, 8 bits", encode=lambda: samples.by_opencv(".png")),
        Sample(name="PNG, 16 bits", encode=lambda: samples.by_opencv(".png", bits=16)),
    ),
)
