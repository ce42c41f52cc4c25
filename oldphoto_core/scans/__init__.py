"""One scanned photograph in and out: `read_scan`, `write_scan`, and masks. Only `ScanError`s leave this room."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.scans.formats import file_extension
    from oldphoto_core.scans.masks import read_mask, write_mask
    from oldphoto_core.scans.reader import read_header, read_scan
    from oldphoto_core.scans.scan import Encoding, Format, Resolution, Scan, ScanHeader
    from oldphoto_core.scans.writer import OutputFormat, write_scan

__all__ = [
    "Encoding",
    "Format",
    "OutputFormat",
    "Resolution",
    "Scan",
    "ScanHeader",
    "file_extension",
    "read_header",
    "read_mask",
    "read_scan",
    "write_mask",
    "write_scan",
]

_HOMES = {
    "formats": ("file_extension",),
    "masks": ("read_mask", "write_mask"),
    "reader": ("read_header", "read_scan"),
    "scan": ("Encoding", "Format", "Resolution", "Scan", "ScanHeader"),
    "writer": ("OutputFormat", "write_scan"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
