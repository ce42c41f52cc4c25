"""One scanned photograph in and out, and masks. Only `ScanError`s leave this room.

`read_scan` and `write_scan` go by memory; `spool_scan` and `write_spooled` do the same from file to file. `Decoders`
read in processes of their own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.scans.colour import WorkingSpace, working_space
    from oldphoto_core.scans.container_metadata import Encoding, Resolution
    from oldphoto_core.scans.derivative_facts import written_facts
    from oldphoto_core.scans.formats import Format, OutputFormat, file_extension
    from oldphoto_core.scans.header_probe import HeaderProbe, SparseCopy, TooScattered, probe_header
    from oldphoto_core.scans.headers import read_header, read_header_of, read_pages
    from oldphoto_core.scans.isolation.decoders import Decoders
    from oldphoto_core.scans.masks import (
        damage_of,
        read_mask,
        spool_damage,
        spool_mask,
        write_empty_mask,
        write_mask,
        write_mask_file,
    )
    from oldphoto_core.scans.metadata.icc import UnusableProfileError
    from oldphoto_core.scans.metadata.xmp import Label
    from oldphoto_core.scans.raw import RawPixels
    from oldphoto_core.scans.reader import read_scan, spool_scan
    from oldphoto_core.scans.scan import Scan, ScanHeader, SpooledScan
    from oldphoto_core.scans.selection import PageSelection
    from oldphoto_core.scans.technical_metadata import TechnicalMetadata, read_technical_metadata
    from oldphoto_core.scans.tiff.book import TiffBook, can_copy
    from oldphoto_core.scans.tiff.pages import photos_of
    from oldphoto_core.scans.views import FileView
    from oldphoto_core.scans.writer import write_scan, write_spooled

__all__ = [
    "Decoders",
    "Encoding",
    "FileView",
    "Format",
    "HeaderProbe",
    "Label",
    "OutputFormat",
    "PageSelection",
    "RawPixels",
    "Resolution",
    "Scan",
    "ScanHeader",
    "SparseCopy",
    "SpooledScan",
    "TechnicalMetadata",
    "TiffBook",
    "TooScattered",
    "UnusableProfileError",
    "WorkingSpace",
    "can_copy",
    "damage_of",
    "file_extension",
    "photos_of",
    "probe_header",
    "read_header",
    "read_header_of",
    "read_mask",
    "read_pages",
    "read_scan",
    "read_technical_metadata",
    "spool_damage",
    "spool_mask",
    "spool_scan",
    "working_space",
    "write_empty_mask",
    "write_mask",
    "write_mask_file",
    "write_scan",
    "write_spooled",
    "written_facts",
]

_HOMES = {
    "tiff.book": ("TiffBook", "can_copy"),
    "container_metadata": ("Encoding", "Resolution"),
    "header_probe": ("HeaderProbe", "SparseCopy", "TooScattered", "probe_header"),
    "colour": ("WorkingSpace", "working_space"),
    "technical_metadata": ("TechnicalMetadata", "read_technical_metadata"),
    "formats": ("Format", "OutputFormat", "file_extension"),
    "headers": ("read_header", "read_header_of", "read_pages"),
    "metadata.icc": ("UnusableProfileError",),
    "isolation.decoders": ("Decoders",),
    "masks": (
        "damage_of",
        "read_mask",
        "spool_damage",
        "spool_mask",
        "write_empty_mask",
        "write_mask",
        "write_mask_file",
    ),
    "tiff.pages": ("photos_of",),
    "raw": ("RawPixels",),
    "reader": ("read_scan", "spool_scan"),
    "scan": ("Scan", "ScanHeader", "SpooledScan"),
    "selection": ("PageSelection",),
    "views": ("FileView",),
    "writer": ("write_scan", "write_spooled"),
    "derivative_facts": ("written_facts",),
    "metadata.xmp": ("Label",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
