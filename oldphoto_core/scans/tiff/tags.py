"""TIFF files around their pixels: the tags that describe the photo, read and put back."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping

from oldphoto_core.errors import UnsupportedScan
from oldphoto_core.scans.container_metadata import CREDENTIALS, MM_PER_UNIT, ContainerMetadata, Encoding, Resolution
from oldphoto_core.scans.metadata import exif as exif_blocks
from oldphoto_core.scans.metadata.ifd import (
    ASCII,
    BYTE,
    EXIF_IFD,
    GPS_IFD,
    UNDEFINED,
    BrokenIfdError,
    Entry,
    Layout,
    as_exif,
    first_integer,
    longs,
    next_ifd,
    rational,
    read_ifd,
    shorts,
    tags_of,
    value_position,
    write_ifd,
)
from oldphoto_core.scans.views import Data, FileView, pieces_of

_WIDTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _CHANNELS = 256, 258, 259, 262, 277
_SUBFILE, _EXTRA = 254, 338
OF_CODING = (_COMPRESSION, _PHOTOMETRIC)
"""Tags by which `check_coding` judges."""
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3}
"""Channels of a picture, by its photometric interpretation."""
_ALPHA = (1, 2)
_UNSPECIFIED = (
    "its channel beside the colours does not say what it is (infrared, perhaps): it was carried through untouched, and"
    " not taken for alpha"
)
_XMP, _IPTC, _PHOTOSHOP, _ICC = 700, 33723, 34377, 34675
_LOSSLESS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits"}
_LOSSY = {6, 7, 34892}
_FAX = {2, 3, 4}
_COMPRESSIONS = {
    **_LOSSLESS,
    2: "ccitt",
    3: "ccitt group 3",
    4: "ccitt group 4",
    6: "jpeg",
    7: "jpeg",
    34712: "jpeg2000",
    34892: "jpeg",
    34925: "lzma",
    50000: "zstd",
    50001: "webp",
}
_OLD_JPEG, _JPEG, _YCBCR = 6, 7, 6
_ALSO_DECODED = (32766, 32771, 32809, 32909, 34676, 34677, 34887)
"""Further compressions that libtiff may decode."""
_DESCRIPTIONS = (297, EXIF_IFD, GPS_IFD, 18246, 40091, 40092, 40093, 40094, 40095)
"""Besides all text fields: the page's number, EXIF, GPS, rating; Windows' title, comment, author, keywords, subject."""
_UNIT_CODES = {"none": 1, "in": 2, "cm": 3}
_NOT_CARRIED = {37724: "the layers of Photoshop", 0xCD41: CREDENTIALS}
"""What the derivative does not have, by its tag."""
_OF_INKS = (333, 337)
"""Text that names the inks and the printer of a CMYK picture, whose derivative is none."""


def check_coding(entries: Mapping[int, Entry]) -> None:
    """Raises UnsupportedScan for a compression that nothing here decodes, or would decode as other colours."""
    code = compression_code(entries)
    if code == _OLD_JPEG or code not in (*_COMPRESSIONS, *_ALSO_DECODED):
        name = "old-style JPEG" if code == _OLD_JPEG else f"compression {code}"
        raise UnsupportedScan(f"a TIFF of {name}: save it again with another compression")
    if code != _JPEG and first_integer(entries, _PHOTOMETRIC, 1) == _YCBCR:
        # libvips gives its luma and chroma as if they were red, green and blue
        raise UnsupportedScan("a TIFF of YCbCr without JPEG compression: save it as RGB")


def is_fax(data: Data) -> bool:
    """Whether the pixels are compressed as CCITT does: Huffman, group 3 or group 4."""
    return compression_code(read_ifd(data)) in _FAX


def has_alpha(data: Data) -> bool:
    """Whether the channel behind the colours is said to be alpha, and not just one more."""
    return first_integer(read_ifd(data), _EXTRA, 0) in _ALPHA


def lab_as_rgb(data: Data) -> tuple[int, bytes] | None:
    """Where to put which two bytes, so that a TIFF of 8-bit CIELab calls its channels RGB; None for any other TIFF."""
    try:
        layout = Layout.of(data)
        entries = read_ifd(data, layout)
    except BrokenIfdError:
        return None  # whoever opens it says what is wrong with it
    kind = [first_integer(entries, tag, 0) for tag in (_PHOTOMETRIC, _BITS, _CHANNELS)]
    at = value_position(data, layout, _PHOTOMETRIC)
    return (at, struct.pack(layout.order + "H", 2)) if kind == [8, 8, 3] and at is not None else None


def read_container_metadata(data: Data) -> ContainerMetadata:
    """Everything but the pixels."""
    layout = Layout.of(data)
    entries, tags = read_ifd(data, layout), tags_of(data, layout, layout.first)
    blobs = {"xmp": _XMP, "iptc": _IPTC, "photoshop": _PHOTOSHOP}
    metadata = {name: entries[tag].data for name, tag in blobs.items() if tag in entries}
    described = {tag: entry for tag, entry in entries.items() if _describes(tag, entry)}
    if described:
        metadata["exif"] = as_exif(described)
    encoding = _encoding(entries, layout)
    return ContainerMetadata(
        encoding=encoding,
        left_out=tuple(f"{name} was left out" for tag, name in _NOT_CARRIED.items() if tag in tags),
        remarks=(_UNSPECIFIED,) if encoding.unspecified_channel else (),
        orientation=exif_blocks.orientation_of(entries),
        resolution=exif_blocks.resolution_of(entries),
        icc_profile=entries[_ICC].data if _ICC in entries else None,
        metadata=metadata,
    )


def compression_code(entries: Mapping[int, Entry]) -> int:
    """How the pixels are compressed, by TIFF's number."""
    return first_integer(entries, _COMPRESSION, 1)


def compression_of(data: Data) -> str:
    """How the pixels are compressed, by the name that people use."""
    code = compression_code(read_ifd(data, Layout.of(data)))
    return _COMPRESSIONS.get(code, f"TIFF compression {code}")


def insert_container_metadata(encoded: Data, container: ContainerMetadata) -> Iterator[bytes]:
    """The encoder's file with a new directory at its end, which has the encoder's tags and those carried, in pieces."""
    at, pointer, end = _new_directory(encoded, container)
    yield encoded[:at]
    yield pointer
    yield from pieces_of(encoded, at + len(pointer), len(encoded))
    yield end


def insert_carried_in_place(path: str, container: ContainerMetadata) -> None:
    """The same to the encoder's file itself, without moving what is in it."""
    with FileView(path) as encoded:
        at, pointer, end = _new_directory(encoded, container)
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(pointer)
        file.seek(0, os.SEEK_END)
        file.write(end)


def _new_directory(encoded: Data, container: ContainerMetadata) -> tuple[int, bytes, bytes]:
    """(where the header says where the directory is, what it must say there, what comes behind the file's end)."""
    layout = Layout.of(encoded)
    structural = {tag: entry for tag, entry in read_ifd(encoded, layout).items() if tag not in _resolution_tags(None)}
    exif = exif_blocks.entries_of(container.metadata.get("exif", b""))
    described = {tag: entry for tag, entry in exif.items() if _describes(tag, entry)}
    entries = {**described, **structural, **_own_tags(container)}
    padding = b"\0" * (len(encoded) % 2)
    start = len(encoded) + len(padding)
    at, word = (8, "<Q") if layout.big else (4, "<I")
    # the levels of a pyramid come behind the picture
    following = next_ifd(encoded, layout, layout.first)
    return at, struct.pack(word, start), padding + write_ifd(entries, start, big=layout.big, following=following)


def _describes(tag: int, entry: Entry) -> bool:
    return (entry.type == ASCII and tag not in _OF_INKS) or tag in _DESCRIPTIONS


def _own_tags(container: ContainerMetadata) -> dict[int, Entry]:
    metadata = container.metadata
    tags = {exif_blocks.ORIENTATION: shorts(container.orientation)}
    if container.encoding.subfile:
        tags[_SUBFILE] = longs(container.encoding.subfile)
    if container.encoding.unspecified_channel:
        tags[_EXTRA] = shorts(0)
    tags |= {tag: entry for tag, entry in _resolution_tags(container.resolution).items() if entry is not None}
    if container.icc_profile:
        tags[_ICC] = Entry(UNDEFINED, container.icc_profile)
    if "xmp" in metadata:
        tags[_XMP] = Entry(BYTE, metadata["xmp"])
    if "iptc" in metadata:
        tags[_IPTC] = Entry(UNDEFINED, metadata["iptc"])
    if "photoshop" in metadata:
        tags[_PHOTOSHOP] = Entry(BYTE, metadata["photoshop"])
    return tags


def _resolution_tags(resolution: Resolution | None) -> dict[int, Entry | None]:
    tags = (exif_blocks.X_RESOLUTION, exif_blocks.Y_RESOLUTION, exif_blocks.RESOLUTION_UNIT)
    if resolution is None:
        return dict.fromkeys(tags)
    scale = MM_PER_UNIT[resolution.unit]
    x, y = rational(resolution.x_per_mm * scale), rational(resolution.y_per_mm * scale)
    return dict(zip(tags, (x, y, shorts(_UNIT_CODES[resolution.unit])), strict=True))


def _encoding(entries: Mapping[int, Entry], layout: Layout) -> Encoding:
    code = compression_code(entries)
    return Encoding(
        lossless=code not in _LOSSY,
        tiff_compression=_LOSSLESS.get(code, "deflate"),
        bigtiff=layout.big,
        white_is_zero=first_integer(entries, _PHOTOMETRIC, 1) == 0,
        # that it is a smaller copy is not true of what is read as a page
        subfile=first_integer(entries, _SUBFILE, 0) & ~1,
        unspecified_channel=_has_unspecified(entries),
    )


def _has_unspecified(entries: Mapping[int, Entry]) -> bool:
    """Whether there is one channel beside the colours, and it is not said to be alpha."""
    colours = _COLOURS.get(first_integer(entries, _PHOTOMETRIC, -1), 0)
    beside = first_integer(entries, _CHANNELS, 1) - colours
    return bool(colours) and beside == 1 and first_integer(entries, _EXTRA, 0) not in _ALPHA
