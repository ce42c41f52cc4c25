"""How the files of one photo are read: by decoders, within its bounds of size and time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oldphoto_core.scans import Decoders, FileFacts, Scan, ScanHeader, SpooledScan


@dataclass(frozen=True, slots=True)
class PhotoFiles:
    """Reads what belongs to one photo. Errors are those of `Decoders`."""

    decoders: Decoders
    max_pixels: int
    seconds: float
    """That reading a file may take."""

    def header(self, file: bytes | Path) -> ScanHeader:
        """What a file says of itself."""
        return self.decoders.read_header(file, seconds=self.seconds)

    def facts(self, file: bytes | Path) -> FileFacts:
        """What its record says of a file."""
        return self.decoders.read_facts(file, seconds=self.seconds)

    def scan(self, data: bytes) -> Scan:
        """A file in memory."""
        return self.decoders.read_scan(data, max_pixels=self.max_pixels, seconds=self.seconds)

    def spooled(self, path: Path, folder: Path) -> SpooledScan:
        """A file on disk, its pixels in `folder`."""
        return self.decoders.spool_scan(path, folder, max_pixels=self.max_pixels, seconds=self.seconds)
