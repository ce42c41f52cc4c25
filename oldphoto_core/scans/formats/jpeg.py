"""JPEG: the row; `scans/jpeg/` parses it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from oldphoto_core.scans.formats import samples
from oldphoto_core.scans.formats.file_format import FileFormat, Sample
from oldphoto_core.scans.formats.reading import Reader
from oldphoto_core.scans.formats.writing import Writer

if TYPE_CHECKING:
    from oldphoto_core.scans.scan import Scan, SpooledScan

_MARKER = re.compile(rb"\xff[\xc0-\xcf\xdb-\xfe]|\xff\xff")
"""What a JPEG begins with behind its start, or behind stray bytes there."""
_DEFAULT_QUALITY = 95


@cache
def _reader() -> Reader:
    from oldphoto_core.scans.jpeg import decoding, metadata, structure

    return Reader(
        check_whole=structure.check_whole,
        read_container_metadata=metadata.read_container_metadata,
        compression=lambda _data: "jpeg",
        loader="jpeg",
        check_coding=structure.check_coding,
        sound=lambda data: structure.sound(data)[0],
        sound_head=structure.sound_head,
        decode=decoding.decode,
        start_of_pixels=metadata.start_of_pixels,
    )


@cache
def _writer() -> Writer:
    from oldphoto_core.scans.jpeg import metadata

    return Writer(
        saver="jpeg",
        options=_options,
        insert=metadata.insert_container_metadata,
        quality=lambda encoding: encoding.jpeg_quality or _DEFAULT_QUALITY,
        fitted=metadata.in_segments,
        holds_16_bits=False,
        holds_alpha=False,
    )


def _options(scan: Scan | SpooledScan, _image: Any, quality: int) -> dict[str, Any]:
    return {
        "Q": quality,
        "subsample_mode": "on" if scan.encoding.chroma == "4:2:0" else "off",
        "interlace": scan.encoding.progressive,
        "optimize_coding": True,
    }


ROW = FileFormat(
    name="jpeg",
    title="JPEG",
    extensions=("jpg", "jpeg", "jpe"),
    media_type="image/jpeg",
    recognise=lambda head: head.startswith(b"\xff\xd8") and _MARKER.search(head, 2) is not None,
    reader=_reader,
    writer=_writer,
    is_lossy=True,
    end_mark=b"\xff\xd9",
    bytes_per_pixel=0.5,
    samples=(
        Sample(name="JPEG", encode=lambda: samples.by_opencv(".jpg"), exact=False),
        Sample(name="JPEG, CMYK", encode=lambda: samples.by_pillow("JPEG", cmyk=True), instead="converted into sRGB"),
    ),
)
