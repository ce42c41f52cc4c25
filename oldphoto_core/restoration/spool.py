"""One photo too large for memory on its way: its file, pixels, mask and result lie in a temporary folder."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from oldphoto_core.errors import ScanTooLarge
from oldphoto_core.scans import RawPixels, read_header_of, spool_mask, spool_scan, write_mask_file, write_spooled

if TYPE_CHECKING:
    from collections.abc import Callable

    from oldphoto_core.restoration.photo import RestoresCanvases
    from oldphoto_core.scans import OutputFormat, ScanHeader, SpooledScan


class Spool:
    """A folder that goes with the photo, and what lies in it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="oldphoto-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.master = self.folder / "master"
        self.scan: SpooledScan | None = None
        self.mask: RawPixels | None = None
        self.restored: RawPixels | None = None

    def header(self) -> ScanHeader:
        """Of the master, which has been put in place."""
        return read_header_of(self.master)

    def decode(self) -> None:
        """The master's pixels, and room for those restored; the master itself is not needed any more."""
        self._check_room()
        self.scan = spool_scan(self.master, self.folder)
        self.master.unlink()
        self.restored = RawPixels.create(self.folder / "restored.tif", *self.scan.pixels.shape, self.scan.pixels.dtype)

    def decode_mask(self, given: Path) -> float:
        """The mask from its file, which is removed; returns the share of damaged pixels."""
        scan, _ = self._decoded()
        self.mask = spool_mask(given, self.folder, (scan.height, scan.width))
        given.unlink()
        damaged = sum(int((self.mask.read(*slab) != 0).sum()) for slab in self.mask.slabs())
        if not damaged:
            self.mask.discard()
            self.mask = None
        return damaged / (scan.height * scan.width)

    def restore(self, restorer: RestoresCanvases, on_part: Callable[[int, int], None]) -> None:
        """The network."""
        scan, restored = self._decoded()
        restorer.restore_canvas(scan.pixels, restored, self.mask, on_part)

    def changed_share(self) -> float:
        """Of the pixels, how many the network changed in any channel."""
        scan, restored = self._decoded()
        pairs = ((scan.pixels.read(*slab), restored.read(*slab)) for slab in restored.slabs())
        changed = sum(int((old != new).any(axis=2).sum()) for old, new in pairs)
        return changed / (scan.height * scan.width)

    def encode(self, format: OutputFormat) -> Path:  # noqa: A002 - the name users give
        """The derivative's file; pixels are let go."""
        scan, restored = self._decoded()
        path = self.folder / "derivative"
        write_spooled(scan, restored, path, format=format)
        return path

    def encode_mask(self) -> Path:
        """The mask's file, all black where nothing is damaged."""
        scan, _ = self._decoded()
        path = self.folder / "mask.png"
        mask = self.mask or RawPixels.create(self.folder / "no-mask.tif", scan.height, scan.width, 1, "uint8")
        write_mask_file(mask, path)
        return path

    def discard(self) -> None:
        """Close and remove everything."""
        for pixels in (self.scan, self.mask, self.restored):
            if pixels is not None:
                pixels.close()
        self._folder.cleanup()

    def _decoded(self) -> tuple[SpooledScan, RawPixels]:
        assert self.scan is not None
        assert self.restored is not None
        return self.scan, self.restored

    def _check_room(self) -> None:
        header = self.header()
        pixels = header.width * header.height * header.bands * max(1, header.bits // 8)
        # old and new pixels; the new file beside them is no larger than they are
        needed, free = 3 * pixels, shutil.disk_usage(self.folder).free
        if needed > free:
            raise ScanTooLarge(
                f"{header.width} x {header.height} pixels need {needed / 1e9:.1f} GB in {self.folder.parent}, where"
                f" {free / 1e9:.1f} GB are free; make room, or name another folder by TMPDIR"
            )
