"""How the files of one photo are read: by decoders, within its bounds of size and time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oldphoto_core.scans import Decoders, PageSelection, Scan, ScanHeader, SpooledScan, TechnicalMetadata


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

    def pages(self, file: bytes | Path, selection: PageSelection) -> tuple[ScanHeader, ...]:
        """The headers of all of its pages, those selected judged."""
        return self.decoders.read_pages(file, selection, max_pixels=self.max_pixels, seconds=self.seconds)

    def facts(self, file: bytes | Path, page: int | None = None) -> TechnicalMetadata:
        """What its record says of a file, or of one of its pages."""
        return self.decoders.read_technical_metadata(file, page=page, seconds=self.seconds)

    def master(self, file: bytes | Path, page: int | None = None) -> tuple[Scan, TechnicalMetadata]:
        """A master, or one of its pages, in memory, and what its record says of it."""
        return self.decoders.read_scan_and_facts(file, max_pixels=self.max_pixels, page=page, seconds=self.seconds)

    def spooled_master(
        self, path: Path, folder: Path, page: int | None = None
    ) -> tuple[SpooledScan, TechnicalMetadata]:
        """A master on disk, or one of its pages, its pixels in `folder`, and what its record says of it."""
        return self.decoders.spool_scan_and_facts(
            path, folder, max_pixels=self.max_pixels, page=page, seconds=self.seconds
        )

    def scan(self, file: bytes | Path, page: int | None = None) -> Scan:
        """A file, or one of its pages, in memory."""
        return self.decoders.read_scan(file, max_pixels=self.max_pixels, page=page, seconds=self.seconds)

    def spooled(self, path: Path, folder: Path, page: int | None = None) -> SpooledScan:
        """A file on disk, or one of its pages, its pixels in `folder`."""
        return self.decoders.spool_scan(path, folder, max_pixels=self.max_pixels, page=page, seconds=self.seconds)
