"""AVIF: the row; its files are HEIFs, and `heif` reads both."""

from __future__ import annotations

from oldphoto_core.scans.formats import heif, samples
from oldphoto_core.scans.formats.file_format import FileFormat, Sample

ROW = FileFormat(
    name="avif",
    title="AVIF",
    extensions=("avif",),
    media_type="image/avif",
    recognise=lambda head: heif.format_of(head) == "avif",
    reader=heif.reader,
    states_length=True,
    samples=(Sample(name="AVIF", encode=lambda: samples.by_pillow("AVIF"), instead=samples.ONLY_READ),),
)
