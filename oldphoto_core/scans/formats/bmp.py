"""BMP (Windows and OS/2 bitmaps): the row; headers read around the pixels, and these decoded by OpenCV.

libvips' wheel has no loader for it. Nothing is written.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oldphoto_core.errors import UnreadableScan, UnsupportedScan
from oldphoto_core.scans.container_metadata import ContainerMetadata, Encoding, Resolution
from oldphoto_core.scans.formats import samples
from oldphoto_core.scans.formats.file_format import FileFormat, Sample
from oldphoto_core.scans.formats.one_piece import TO_SAVE, one_piece_reader
from oldphoto_core.scans.formats.reading import cut
from oldphoto_core.scans.views import Data

if TYPE_CHECKING:
    from oldphoto_core.scans.scan import Pixels, ScanHeader

_OS2, _WINDOWS = 12, (40, 52, 56, 64, 108, 124)
"""Bytes of the headers that are read: OS/2 1.x, whose numbers have 16 bits, and the later ones."""
_V5 = 124
"""Bytes of the header that may name an ICC profile."""
_NONE, _RLE8, _RLE4, _BITFIELDS = 0, 1, 2, 3
_COMPRESSIONS = {_NONE: "none", _RLE8: "rle8", _RLE4: "rle4", _BITFIELDS: "none"}
_OTHER_COMPRESSIONS = {4: "JPEG or RLE24", 5: "PNG", 6: "bit fields with alpha"}
_DEPTHS = {_NONE: (1, 4, 8, 16, 24, 32), _RLE8: (8,), _RLE4: (4,), _BITFIELDS: (16, 32)}
"""Bits of a pixel, by compression."""
_565, _ALPHA = (0xF800, 0x7E0, 0x1F, 0), 0xFF000000
_MASKS = {
    16: {(0x7C00, 0x3E0, 0x1F, 0), _565},
    32: {(0xFF0000, 0xFF00, 0xFF, 0), (0xFF0000, 0xFF00, 0xFF, _ALPHA)},
}
"""Bits of red, green, blue and alpha in a pixel that are decoded, by its depth."""


@dataclass(frozen=True, slots=True)
class _Header:
    """The headers of a file."""

    size: int
    """Bytes of the second one."""
    pixels: int
    """Where the pixels begin."""
    width: int
    height: int
    """Pixels; below zero, rows are stored from top to bottom."""
    depth: int
    """Bits of a pixel."""
    compression: int = _NONE
    coded: int = 0
    """Bytes of the pixels, where they are compressed; 0: not stated."""
    per_metre: tuple[int, int] = (0, 0)
    """Pixels across and down."""
    colours: int = 0
    """Entries of the palette; 0: as many as there can be."""
    masks: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Bits of red, green, blue and alpha in a pixel, where bit fields state them."""

    @property
    def end(self) -> int:
        """Where the pixels end."""
        if self.compression in (_RLE8, _RLE4):
            return self.pixels + self.coded
        return self.pixels + -(-self.width * self.depth // 32) * 4 * abs(self.height)


def read_header(data: Data) -> ScanHeader:
    """Size and channels as decoded, without decoding a pixel. Raises ScanError."""
    from oldphoto_core.scans.scan import ScanHeader

    header = _header(data)
    bands = 4 if header.masks[3] else 1 if header.depth <= 8 and _has_greys_only(data, header) else 3
    return ScanHeader("bmp", header.width, abs(header.height), bands, 8)


def check_whole(data: Data) -> None:
    """Raises TruncatedScan when the pixels end behind the file's end; of RLE, as far as its header states that."""
    if _header(data).end > len(data):
        raise cut(data)


def check_kind(data: Data) -> None:
    """Raises UnsupportedScan for a coding that is not decoded."""
    header = _header(data)
    if header.compression not in _COMPRESSIONS:
        name = _OTHER_COMPRESSIONS.get(header.compression, f"kind {header.compression}")
        raise UnsupportedScan(f"a BMP with compression of {name}: {TO_SAVE}")
    if header.depth not in _DEPTHS[header.compression]:
        raise UnsupportedScan(f"a BMP of {header.depth} bits a pixel, {_COMPRESSIONS[header.compression]}: {TO_SAVE}")
    if header.compression == _BITFIELDS and header.masks not in _MASKS[header.depth]:
        raise UnsupportedScan(f"a BMP whose pixels have bits in an unusual order: {TO_SAVE}")


def decode(data: Data) -> Pixels:
    """HWC, uint8: grey, RGB, or RGB and alpha, from top to bottom.

    Raises:
        UnreadableScan: the decoder cannot make sense of it, or makes another picture of it than its header says.
    """
    import numpy as np

    from oldphoto_core.scans.opencv import decoded

    header, stated = _header(data), read_header(data)
    # left to itself, the decoder takes 24 bits of OS/2 for grey
    pixels = decoded(data, stated, "BMP", in_colour=stated.bands == 3)
    if header.depth == 16:
        # the decoder leaves the lower bits 0, so that white would not be white
        pixels = np.bitwise_or(pixels, pixels >> np.array([5, 6 if header.masks == _565 else 5, 5], np.uint8))
    return pixels


def read_container_metadata(data: Data) -> ContainerMetadata:
    """Everything but the pixels."""
    header = _header(data)
    across, down = header.per_metre
    start, end = _profile(data, header)
    behind = max(header.end, end) if header.end > header.pixels else len(data)
    return ContainerMetadata(
        encoding=Encoding(lossless=True),
        resolution=Resolution(across / 1000, down / 1000, "cm") if across > 0 and down > 0 else None,
        icc_profile=data[start:end] or None,
        left_out=(f"data ({len(data) - behind:,} bytes) behind the picture's end was left out",)
        if data[behind:].strip(b"\0")
        else (),
    )


def _header(data: Data) -> _Header:
    """Raises TruncatedScan, UnreadableScan or, of a header that is not known, UnsupportedScan."""
    size, pixels = (int.from_bytes(data[at : at + 4], "little") for at in (14, 10))
    if size not in (_OS2, *_WINDOWS):
        raise UnsupportedScan(f"a BMP with a header of {size} bytes: {TO_SAVE}")
    if len(data) < 14 + size or pixels > len(data):
        raise cut(data)
    if size == _OS2:
        found = _Header(size, pixels, *struct.unpack("<HHxxH", data[18:26]))
    else:
        width, height, depth, compression, coded, x, y, colours = struct.unpack("<iixxHIIiiI", data[18:50])
        masks = _masks(data, size) if compression == _BITFIELDS else (0, 0, 0, 0)
        found = _Header(size, pixels, width, height, depth, compression, coded, (x, y), colours, masks)
    if found.width <= 0 or not found.height or (found.depth <= 8 and found.colours > 256):
        raise UnreadableScan("damaged: the size in the header of a BMP makes no sense: copy it again")
    return found


def _masks(data: Data, size: int) -> tuple[int, int, int, int]:
    """Behind a header of 40 bytes, or within a larger one, which may have one for alpha."""
    red, green, blue, alpha = struct.unpack("<IIII", data[54:70].ljust(16, b"\0"))
    return red, green, blue, alpha if size in (56, 108, 124) else 0


def _has_greys_only(data: Data, header: _Header) -> bool:
    each = 3 if header.size == _OS2 else 4
    start = 14 + header.size
    palette = data[start : start + each * (header.colours or 2**header.depth)]
    return palette[0::each] == palette[1::each] == palette[2::each]


def _profile(data: Data, header: _Header) -> tuple[int, int]:
    """Where the ICC profile begins and ends; twice 0 where there is none, or it does not lie in the file."""
    if header.size != _V5 or data[14 + 56 : 14 + 60] != b"DEBM":
        return 0, 0
    start, length = struct.unpack("<II", data[14 + 112 : 14 + 120])
    return (14 + start, 14 + start + length) if 0 < 14 + start + length <= len(data) else (0, 0)


_READER = one_piece_reader(
    "BMP",
    check_whole=check_whole,
    read_header=read_header,
    check_kind=check_kind,
    decode=decode,
    read_container_metadata=read_container_metadata,
    compression=lambda data: _COMPRESSIONS.get(_header(data).compression, "unknown"),
)
ROW = FileFormat(
    name="bmp",
    title="BMP",
    extensions=("bmp", "dib"),
    media_type="image/bmp",
    recognise=lambda head: head.startswith(b"BM") and head[15:18] == b"\0\0\0" and head[14] >= _OS2,
    reader=lambda: _READER,
    states_length=True,
    samples=(Sample(name="BMP", encode=lambda: samples.by_opencv(".bmp"), instead=samples.ONLY_READ),),
)
