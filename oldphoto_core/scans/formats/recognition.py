"""Which format a file is, by its first bytes; names lie."""

from __future__ import annotations

import re

from oldphoto_core.errors import UnreadableScan, UnsupportedScan
from oldphoto_core.scans.formats import heif, jpeg2000
from oldphoto_core.scans.scan import Format

_OTHERS = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"AT&TFORM", "DjVu"),
)
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xdb-\xfe]|\xff\xff")
"""What a JPEG begins with behind its start, or behind stray bytes there."""
HEAD = 1024
"""Bytes at the beginning of a file by which it is judged."""
_EXTENSIONS: dict[Format, str] = {
    "jpeg": "jpg",
    "png": "png",
    "tiff": "tif",
    "webp": "webp",
    "jpeg2000": "jp2",
    "heif": "heic",
    "avif": "avif",
}


def recognise(data: bytes) -> Format:
    """The format of a file that begins with these bytes, of which HEAD are enough.

    Raises:
        UnsupportedScan: an image, but of a format that is not read here.
        UnreadableScan: no image at all.
    """
    if data.startswith(b"\xff\xd8") and _MARKER.search(data[:HEAD], 2):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((jpeg2000.BOXES, jpeg2000.CODESTREAM)):
        return "jpeg2000"
    if found := heif.format_of(data[:HEAD]):
        return found
    for magic, name in _OTHERS:
        if data.startswith(magic):
            raise UnsupportedScan(f"a {name} file: convert it to TIFF, PNG, JPEG or WebP")
    if data[4:8] == b"ftyp":
        raise UnsupportedScan(f"a {data[8:12].decode('ascii', 'replace')} (video or like it) file: convert it to TIFF")
    raise UnreadableScan(f"no image: {_described(data)}")


def file_extension(format: Format) -> str:  # noqa: A002 - the word of the field, and of every caller
    """The usual extension, without the dot."""
    return _EXTENSIONS[format]


def _described(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if not any(data[:HEAD]):
        return "the file begins with zeros only"
    head = data[:256].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "this is an HTML page, as a web server answers with an error"
    return f"the file begins with {data[:8]!r}"
