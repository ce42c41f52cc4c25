"""Which format a file is, by its first bytes; names lie."""

from __future__ import annotations

from oldphoto_core.errors import UnreadableScan, UnsupportedScan
from oldphoto_core.scans.formats.file_format import Format
from oldphoto_core.scans.formats.registry import FORMATS, UNREAD, WRITTEN

HEAD = 1024
"""Bytes at the beginning of a file by which it is judged."""


def recognise(data: bytes) -> Format:
    """The format of a file that begins with these bytes, of which HEAD are enough.

    Raises:
        UnsupportedScan: an image, but of a format that is not read here.
        UnreadableScan: no image at all.
    """
    head = data[:HEAD]
    for name, row in FORMATS.items():
        if row.recognise(head):
            return name
    for magic, title in UNREAD:
        if head.startswith(magic):
            raise UnsupportedScan(f"a {title} file: convert it to {' or '.join(WRITTEN.rsplit(', ', 1))}")
    if head[4:8] == b"ftyp":
        raise UnsupportedScan(f"a {head[8:12].decode('ascii', 'replace')} (video or like it) file: convert it to TIFF")
    raise UnreadableScan(f"no image: {_described(head)}")


def _described(head: bytes) -> str:
    if not head:
        return "the file is empty"
    if not any(head):
        return "the file begins with zeros only"
    if head[:256].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "this is an HTML page, as a web server answers with an error"
    return f"the file begins with {head[:8]!r}"
