"""JPEG 2000: the row; boxes and codestream read around the pixels, and these decoded by OpenCV's OpenJPEG.

libvips' wheel has no decoder for it, and Pillow's keeps 8 of 16 bits in colour. Nothing is written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from oldphoto_core.errors import TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans.container_metadata import ContainerMetadata, Encoding, Resolution
from oldphoto_core.scans.formats import samples
from oldphoto_core.scans.formats.file_format import FileFormat, Sample
from oldphoto_core.scans.formats.one_piece import TO_SAVE, one_piece_reader
from oldphoto_core.scans.formats.reading import cut
from oldphoto_core.scans.metadata import exif as exif_blocks
from oldphoto_core.scans.views import Data

if TYPE_CHECKING:
    from oldphoto_core.scans.scan import Pixels, ScanHeader

CODESTREAM, BOXES = b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "
"""How a bare codestream and a file of boxes begin."""
_SIZE, _CODING, _TILE_PART, _END = 0xFF51, 0xFF52, 0xFF90, 0xFFD9
_UUIDS = {
    bytes.fromhex("4a706754696666457869662d3e4a5032"): "exif",
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "xmp",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "iptc",
}
_LARGEST = 2**31 - 1
"""Pixels of a side; the format could state twice as many, which no decoder takes."""
_COLOURS = {12: "CMYK", 14: "CIELab", 18: "YCC"}
_PROFILES = {1: b"GRAY", 3: b"RGB ", 4: b"RGB "}
"""Colour space that a profile must have been made for, by number of channels."""


@dataclass(frozen=True, slots=True)
class _Size:
    """The SIZ segment."""

    width: int
    height: int
    tiles: int
    depths: tuple[tuple[int, int, int], ...]
    """(bits - 1, and 128 where signed; horizontal and vertical step) of each channel."""


def read_header(data: Data) -> ScanHeader:
    """Size, channels and depth, as decoded, without decoding a pixel. Errors as `check_whole`."""
    header = stored_header(data)
    return replace(header, bits=16) if 8 < header.bits < 16 else header


def stored_header(data: Data) -> ScanHeader:
    """The same with the depth that the file has: 9 to 15 bits become 16."""
    from oldphoto_core.scans.scan import ScanHeader

    size = _size(data, _codestream(data)[0])
    bits = max(depth[0] & 127 for depth in size.depths) + 1
    return ScanHeader("jpeg2000", size.width, size.height, len(size.depths), bits)


def check_whole(data: Data) -> None:
    """Raises TruncatedScan when a box, a tile or the end of the picture is missing, UnreadableScan when none begins."""
    start, end = _codestream(data)
    size = _size(data, start)
    at, tiles = next(position for kind, position in _segments(data, start, end) if kind == _TILE_PART), set()
    while (marker := _word(data, at)) == _TILE_PART:
        _, number, length, _, _ = struct.unpack(">HHIBB", _exactly(data, at + 2, 10))
        tiles.add(number)
        # 0: the last part, which goes to the end
        at = at + length if length else end - 2
        if length and length < 14:
            raise UnreadableScan(f"damaged: tile {number} has a part of {length} bytes: copy it again")
        if at + 2 > end:
            raise TruncatedScan(f"the file ends at byte {len(data)}, inside tile {number}: copy it again")
    if marker != _END:
        raise UnreadableScan(f"damaged: at byte {at} neither a tile begins nor the picture ends: copy it again")
    if len(tiles) < size.tiles:
        raise TruncatedScan(f"{size.tiles - len(tiles)} of {size.tiles} tiles are missing: copy it again")


def check_kind(data: Data) -> None:
    """Raises UnsupportedScan for what is not grey or RGB of 8 to 16 bits."""
    header, size = stored_header(data), _size(data, _codestream(data)[0])
    if len(set(size.depths)) > 1 or size.depths[0][1:] != (1, 1):
        raise UnsupportedScan(f"a JPEG 2000 whose channels have different sizes or depths: {TO_SAVE}")
    if size.depths[0][0] not in range(7, 16):
        signed = " with sign" if size.depths[0][0] & 128 else ""
        raise UnsupportedScan(f"{header.bits} bits a channel{signed} in a JPEG 2000: {TO_SAVE} of 8 or 16 bits")
    _check_colour(dict(_header_boxes(data)), header.bands)


def decode(data: Data) -> Pixels:
    """HWC, uint8 or uint16: grey, RGB, or RGB and alpha; samples of 9 to 15 bits are spread over 16.

    Raises:
        UnreadableScan: the decoder cannot make sense of it, or makes another picture of it than its header says.
    """
    from oldphoto_core.scans.depths import spread
    from oldphoto_core.scans.opencv import decoded

    pixels = decoded(data, read_header(data), "JPEG 2000")
    return spread(pixels, bits) if 8 < (bits := stored_header(data).bits) < 16 else pixels


def read_container_metadata(data: Data) -> ContainerMetadata:
    """Everything but the pixels."""
    from oldphoto_core.scans.depths import bits_as_kind

    start, end = _codestream(data)
    metadata = {}
    for kind, at, stop in _boxes(data, 0, len(data)):
        if kind == b"uuid" and (name := _UUIDS.get(data[at : at + 16])):
            metadata[name] = data[at + 16 : stop]
    if "exif" in metadata:
        metadata["exif"] = exif_blocks.without_thumbnail(metadata["exif"].removeprefix(b"Exif\0\0"))
    entries = exif_blocks.entries_of(metadata.get("exif", b""))
    boxes = dict(_header_boxes(data))
    return ContainerMetadata(
        encoding=Encoding(lossless=_is_reversible(data, start, end)),
        converted=bits_as_kind(stored_header(data).bits),
        orientation=exif_blocks.orientation_of(entries),
        resolution=_resolution(boxes.get(b"res ", b"")) or exif_blocks.resolution_of(entries),
        icc_profile=_profile(boxes),
        metadata=metadata,
    )


def _check_colour(boxes: dict[bytes, bytes], bands: int) -> None:
    colour, profile = boxes.get(b"colr", b""), _profile(boxes)
    if b"pclr" in boxes:
        raise UnsupportedScan(f"a palette in a JPEG 2000: {TO_SAVE}")
    if colour[:1] == b"\x01" and (code := int.from_bytes(colour[3:7], "big")) not in (16, 17):
        raise UnsupportedScan(f"colours of kind {_COLOURS.get(code, code)} in a JPEG 2000: {TO_SAVE} in grey or RGB")
    if bands not in (1, 3) and not (bands == 4 and _has_alpha(boxes.get(b"cdef", b""))):
        raise UnsupportedScan(f"{bands} channels in a JPEG 2000: {TO_SAVE} in grey or RGB")
    if profile and profile[16:20] != _PROFILES[bands]:
        space = profile[16:20].decode("ascii", "replace").strip()
        raise UnsupportedScan(f"{bands} channels with a profile for {space} in a JPEG 2000: {TO_SAVE} in grey or RGB")


def _has_alpha(definitions: bytes) -> bool:
    """Whether the fourth channel, and no other, is straight opacity of the whole picture."""
    return {definitions[at : at + 6] for at in range(2, len(definitions), 6)} == {
        *(struct.pack(">HHH", channel, 0, channel + 1) for channel in range(3)),
        struct.pack(">HHH", 3, 1, 0),
    }


def _profile(boxes: dict[bytes, bytes]) -> bytes | None:
    colour = boxes.get(b"colr", b"")
    return colour[3:] or None if colour[:1] in (b"\x02", b"\x03") else None


def _resolution(box: bytes) -> Resolution | None:
    """As scanned, or else as it should be shown; both are numbers of pixels in a metre."""
    found = {kind: box[at:stop] for kind, at, stop in _boxes(box, 0, len(box))}
    numbers = found.get(b"resc") or found.get(b"resd") or b""
    if len(numbers) != 10:
        return None
    y, y_under, x, x_under, y_power, x_power = struct.unpack(">HHHHbb", numbers)
    if 0 in (x, x_under, y, y_under):
        return None
    return Resolution(x / x_under * 10.0 ** (x_power - 3), y / y_under * 10.0 ** (y_power - 3), "cm")


def _is_reversible(data: Data, start: int, end: int) -> bool:
    """Whether the wavelet is the one that loses nothing."""
    at = next((at for kind, at in _segments(data, start, end) if kind == _CODING), None)
    return at is not None and _exactly(data, at + 13, 1) == b"\x01"


def _header_boxes(data: Data) -> Iterator[tuple[bytes, bytes]]:
    """What describes the picture; of boxes of one kind the first is the last, so that a dict keeps it."""
    for kind, at, stop in _boxes(data, 0, len(data)):
        if kind == b"jp2h":
            yield from reversed([(inner, data[a:b]) for inner, a, b in _boxes(data, at, stop)])


def _codestream(data: Data) -> tuple[int, int]:
    """Where the picture begins and ends."""
    if data[:4] == CODESTREAM:
        return 0, len(data)
    for kind, at, stop in _boxes(data, 0, len(data)):
        if kind == b"jp2c":
            return at, stop
    raise cut(data)


def _boxes(data: Data, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start and end of what is in it) of every box; of a bare codestream none."""
    while at + 8 <= end and data[:4] != CODESTREAM:
        length, kind = struct.unpack(">I4s", _exactly(data, at, 8))
        head = 8
        if length == 1:
            length, head = int.from_bytes(_exactly(data, at + 8, 8), "big"), 16
        stop = at + length if length else end
        if length and length < head:
            raise UnreadableScan(f"damaged: the box at byte {at} has {length} bytes: copy it again")
        if stop > end:
            raise TruncatedScan(f"the file ends at byte {len(data)}, inside its {kind!r} box: copy it again")
        yield kind, at + head, stop
        at = stop


def _segments(data: Data, start: int, end: int) -> Iterator[tuple[int, int]]:
    """(marker, where it stands) of what comes before the first tile, and of that tile."""
    at = start + 2
    while at < end:
        marker = _word(data, at)
        yield marker, at
        if marker == _TILE_PART:
            return
        if marker < 0xFF00:
            raise UnreadableScan(f"damaged: no marker at byte {at} of a JPEG 2000: copy it again")
        at += 2 + _word(data, at + 2)
    raise cut(data)


def _size(data: Data, start: int) -> _Size:
    if _exactly(data, start, 4) != CODESTREAM:
        raise UnreadableScan(f"damaged: no JPEG 2000 begins at byte {start}: copy it again")
    numbers = struct.unpack(">HH8IH", _exactly(data, start + 4, 38))
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, channels = numbers[2:]
    if not (0 < right - left <= _LARGEST and 0 < bottom - top <= _LARGEST and tile_width and tile_height and channels):
        raise UnreadableScan("damaged: the size in its header makes no sense: copy it again")
    across, down = -(-(right - tile_left) // tile_width), -(-(bottom - tile_top) // tile_height)
    depths = _exactly(data, start + 42, 3 * channels)
    triples = tuple((depths[i], depths[i + 1], depths[i + 2]) for i in range(0, len(depths), 3))
    return _Size(right - left, bottom - top, across * down, triples)


def _word(data: Data, at: int) -> int:
    return int.from_bytes(_exactly(data, at, 2), "big")


def _exactly(data: Data, at: int, count: int) -> bytes:
    found = data[at : at + count]
    if len(found) < count:
        raise cut(data)
    return found


_READER = one_piece_reader(
    "JPEG 2000",
    check_whole=check_whole,
    read_header=read_header,
    stored_header=stored_header,
    check_kind=check_kind,
    decode=decode,
    read_container_metadata=read_container_metadata,
    compression=lambda _data: "jpeg2000",
)
ROW = FileFormat(
    name="jpeg2000",
    title="JPEG 2000",
    extensions=("jp2", "j2k", "j2c", "jpf", "jpx"),
    media_type="image/jp2",
    recognise=lambda head: head.startswith((BOXES, CODESTREAM)),
    reader=lambda: _READER,
    end_mark=b"\xff\xd9",
    bytes_per_pixel=1.0,
    samples=(
        Sample(name="JPEG 2000, 8 bits", encode=lambda: samples.by_opencv(".jp2"), instead=samples.ONLY_READ),
        Sample(name="JPEG 2000, 16 bits", encode=lambda: samples.by_opencv(".jp2", bits=16), instead=samples.ONLY_READ),
    ),
)
