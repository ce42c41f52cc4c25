"""WebP: the row, and its files around their pixels: RIFF chunks read, and put back byte for byte."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from oldphoto_core.errors import TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans.container_metadata import CREDENTIALS, ContainerMetadata, Encoding
from oldphoto_core.scans.formats import samples
from oldphoto_core.scans.formats.file_format import FileFormat, Sample
from oldphoto_core.scans.formats.reading import Reader
from oldphoto_core.scans.formats.writing import LOSSLESS, Writer
from oldphoto_core.scans.metadata import exif as exif_blocks
from oldphoto_core.scans.views import AssembledView, Data

if TYPE_CHECKING:
    from oldphoto_core.scans.scan import ScanHeader

_ICC_FLAG, _ALPHA_FLAG, _EXIF_FLAG, _XMP_FLAG, _ANIMATION_FLAG = 0x20, 0x10, 0x08, 0x04, 0x02
_KINDS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"EXIF", b"XMP ", b"C2PA")
_ANNOUNCED = ((_ICC_FLAG, b"ICCP"), (_EXIF_FLAG, b"EXIF"), (_XMP_FLAG, b"XMP "))
_LOSSY_QUALITY = 92
_WRONG_SIZE = "its header states another size than it has"


def check_whole(data: Data) -> None:
    """Raises TruncatedScan when the file is shorter than its header says, unless all of its chunks are there."""
    if _true_size(data) is not None:
        return
    size = int.from_bytes(data[4:8], "little") + 8
    # writers that forget the padding byte of the last chunk exist
    if len(data) < size - 1:
        raise TruncatedScan(f"the file has {len(data)} of {size} bytes: copy it again")


def sound(data: Data) -> Data:
    """The file with a header that states its true size."""
    size = _true_size(data)
    return data if size is None else AssembledView([b"RIFF" + struct.pack("<I", size - 8), (data, 8, size)])


def _true_size(data: Data) -> int | None:
    """The bytes of a file whose header states other ones, though its chunks are whole; None: it states its own."""
    at, end, stated, found = 12, 12, int.from_bytes(data[4:8], "little") + 8, []
    while at + 8 <= len(data) and ((kind := data[at : at + 4]) in _KINDS or at + 8 <= stated):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        found.append(kind)
        at = end + end % 2
    if at in (stated, stated + 1) or end > len(data) or not {b"VP8 ", b"VP8L"}.intersection(found):
        return None
    announced = data[20:21][0] if found[0] == b"VP8X" else 0
    lost = any(announced & flag and kind not in found for flag, kind in _ANNOUNCED)
    cut_in_next = stated > len(data) > at
    return None if lost or cut_in_next else min(at, len(data))


def read_header(data: Data) -> ScanHeader:
    """Size and channels, from the first chunk alone. Raises UnreadableScan, UnsupportedScan for an animation."""
    from oldphoto_core.scans.scan import ScanHeader

    kind, payload = data[12:16], data[20:30]
    if len(payload) < 10:
        raise UnreadableScan("a WebP without a picture: copy it again")
    alpha = False
    if kind == b"VP8X":
        if payload[0] & _ANIMATION_FLAG:
            raise UnsupportedScan("an animation: save the picture that matters by itself")
        alpha = bool(payload[0] & _ALPHA_FLAG)
        width, height = (int.from_bytes(payload[at : at + 3], "little") + 1 for at in (4, 7))
    elif kind == b"VP8L":
        sizes = int.from_bytes(payload[1:5], "little")
        width, height, alpha = (sizes & 0x3FFF) + 1, (sizes >> 14 & 0x3FFF) + 1, bool(sizes >> 28 & 1)
    elif kind == b"VP8 " and payload[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(payload[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    else:
        raise UnreadableScan(f"damaged: a WebP that begins with {kind!r}: copy it again")
    return ScanHeader("webp", width, height, 4 if alpha else 3, 8)


def read_container_metadata(data: Data) -> ContainerMetadata:
    """Everything but the pixels."""
    faults = () if _true_size(data) is None else (_WRONG_SIZE,)
    data = sound(data)
    chunks = dict(reversed(list(_chunks(data))))
    metadata = {}
    if b"EXIF" in chunks:
        metadata["exif"] = exif_blocks.without_thumbnail(chunks[b"EXIF"].removeprefix(b"Exif\0\0"))
    if b"XMP " in chunks:
        metadata["xmp"] = chunks[b"XMP "]
    remarks = faults + exif_blocks.settle(metadata)
    entries = exif_blocks.entries_of(metadata.get("exif", b""))
    end = int.from_bytes(data[4:8], "little") + 8
    behind = len(data) - end if data[end:].strip(b"\0") else 0
    names = [_name(kind) for kind in chunks if kind not in _KINDS or kind == b"C2PA"]
    if behind:
        names.append(f"data ({behind:,} bytes) behind the picture's end")
    return ContainerMetadata(
        left_out=tuple(f"{name} was left out" for name in names),
        remarks=remarks,
        encoding=Encoding(lossless=b"VP8L" in chunks),
        orientation=exif_blocks.orientation_of(entries),
        resolution=exif_blocks.resolution_of(entries),
        icc_profile=chunks.get(b"ICCP"),
        metadata=metadata,
    )


def insert_container_metadata(encoded: Data, container: ContainerMetadata, width: int, height: int) -> Iterator[bytes]:
    """The encoder's file with the profile, EXIF and XMP that are carried, in pieces; resolution can only be in EXIF."""
    picture = [(kind, payload) for kind, payload in _chunks(encoded) if kind in (b"ALPH", b"VP8 ", b"VP8L")]
    exif = exif_blocks.with_orientation(container.metadata.get("exif"), container.orientation)
    before = [(b"ICCP", container.icc_profile)] if container.icc_profile else []
    after = [(b"EXIF", exif)] if exif else []
    if "xmp" in container.metadata:
        after.append((b"XMP ", container.metadata["xmp"]))
    if not before and not after:
        yield encoded[:]
        return
    flags = _ICC_FLAG * bool(before) | _EXIF_FLAG * bool(exif) | _XMP_FLAG * ("xmp" in container.metadata)
    flags |= _ALPHA_FLAG * _has_alpha(picture)
    sizes = b"".join((value - 1).to_bytes(3, "little") for value in (width, height))
    chunks = [(b"VP8X", struct.pack("<I", flags) + sizes), *before, *picture, *after]
    body = [_chunk(kind, payload) for kind, payload in chunks]
    yield b"RIFF" + struct.pack("<I", 4 + sum(map(len, body))) + b"WEBP"
    yield from body


def _name(kind: bytes) -> str:
    return CREDENTIALS if kind == b"C2PA" else f"a chunk of another kind ({kind.decode('ascii', 'replace')!r})"


def _has_alpha(picture: list[tuple[bytes, bytes]]) -> bool:
    kind, payload = picture[0]
    return kind == b"ALPH" or (kind == b"VP8L" and bool(payload[4] & 0x10))


def _chunks(data: Data) -> Iterator[tuple[bytes, bytes]]:
    at, all_end = 12, min(len(data), int.from_bytes(data[4:8], "little") + 8)
    while at + 8 <= all_end:
        kind, length = struct.unpack("<4sI", data[at : at + 8])
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


_READER = Reader(
    check_whole=check_whole,
    read_container_metadata=read_container_metadata,
    compression=lambda _data: "webp",
    loader="webp",
    read_header=read_header,
    sound=sound,
    sound_head=sound,
)
_WRITER = Writer(
    saver="webp",
    options=lambda _scan, _image, quality: (
        {"lossless": True, "exact": True} if quality == LOSSLESS else {"Q": quality, "alpha_q": 100}
    ),
    insert=lambda encoded, scan: insert_container_metadata(encoded, scan, scan.width, scan.height),
    quality=lambda encoding: LOSSLESS if encoding.lossless else _LOSSY_QUALITY,
)
ROW = FileFormat(
    name="webp",
    title="WebP",
    extensions=("webp",),
    media_type="image/webp",
    recognise=lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
    reader=lambda: _READER,
    writer=lambda: _WRITER,
    is_lossy=True,
    states_length=True,
    bytes_per_pixel=0.25,
    samples=(Sample(name="WebP", encode=lambda: samples.by_opencv(".webp"), exact=False),),
)
