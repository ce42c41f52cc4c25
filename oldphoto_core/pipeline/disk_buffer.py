"""One photo too large for memory on its way: its file, pixels, mask and result lie in a temporary folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from oldphoto_core.errors import ScanTooLarge
from oldphoto_core.folders import temporary_folder
from oldphoto_core.inference import blending
from oldphoto_core.inference.contracts import JudgesColours, RestoresCanvases, RestoresPhotos
from oldphoto_core.inference.srgb_view import SrgbView
from oldphoto_core.pipeline.buffers import PageOf, PhotoBuffer
from oldphoto_core.scans import RawPixels, spool_damage, write_mask_file, write_spooled

if TYPE_CHECKING:
    from collections.abc import Callable

    from oldphoto_core.inference.canvas import Canvas, OnProgress
    from oldphoto_core.pipeline.photo_files import PhotoFiles
    from oldphoto_core.scans import Label, OutputFormat, ScanHeader, SpooledScan
    from oldphoto_core.scans.masks import MaskFormat
    from oldphoto_core.storage import Bucket, ObjectInfo


class DiskBuffer(PhotoBuffer):
    """A folder that goes with the photo, and what lies in it; `master` is the file to begin with."""

    scan: SpooledScan | None
    mask: RawPixels | None
    restored: RawPixels | None

    def __init__(self, of: PageOf | None = None) -> None:
        """`of`: the page that it is, of a file that stays; None: a file that is put into the folder."""
        self._folder = temporary_folder("photo")
        self.folder = Path(self._folder.name)
        self.of = of
        self.master = of.file if of else self.folder / "master"
        self._planes: list[RawPixels] = []

    def header(self, files: PhotoFiles) -> ScanHeader:
        """Of the master, which has been put in place."""
        return files.header(self.master)

    def decode(self, files: PhotoFiles) -> None:
        """The master's pixels, and room for those restored; the master itself is not needed any more."""
        self._check_room(self.of.header if self.of else self.header(files))
        self.scan = files.spooled(self.master, self.folder, self.page)
        self.facts = files.facts(self.master, self.page)
        if self.of is None:
            self.master.unlink()
        self._choose_space()
        self.restored = RawPixels.create(self.folder / "restored.tif", *self.scan.pixels.shape, self.scan.pixels.dtype)

    def take_mask(self, masks: Bucket, given: ObjectInfo, files: PhotoFiles) -> None:
        """Makes the given file the mask."""
        path = self.folder / "given-mask"
        masks.download(given.key, path, version=given.version)
        height, width, _ = self.photo.shape
        self.check_pages(path, files)
        self.mask = spool_damage(files.spooled(path, self.folder, self.page), self.folder, (height, width))
        path.unlink()

    def restore(self, restorer: RestoresPhotos, on_part: OnProgress) -> None:
        """The network, which must be one that restores canvases."""
        assert isinstance(restorer, RestoresCanvases)
        view = self._view
        photo = view or self.photo
        result = self._mixing(photo, view or self.result)
        if isinstance(restorer, JudgesColours):
            restorer.restore_canvas(photo, result, self.mask, on_part, self.colours)
        else:
            restorer.restore_canvas(photo, result, self.mask, on_part)

    def bring_back(self) -> None:
        """Nothing: rows are brought back as they are written."""

    def encode(
        self,
        format: OutputFormat,  # noqa: A002 - the name users give
        label: Label | None,
        max_bytes: int | None,
        warn: Callable[[str], None],
    ) -> Path:
        """The derivative's file."""
        assert self.scan is not None
        assert self.restored is not None
        path = self.folder / "derivative"
        write_spooled(self.scan, self.restored, path, format=format, label=label, max_bytes=max_bytes, warn=warn)
        return path

    def encode_mask(self, format: MaskFormat = "png") -> Path:  # noqa: A002 - the name users give
        """The mask's file. A soft edge is soft no more."""
        path = self.folder / f"mask.{format}"
        mask = self.mask if self.mask is not None else self._new_plane("no-mask")
        blending.add_damage(mask, None)
        write_mask_file(mask, path, format)
        return path

    def discard(self) -> None:
        """Close and remove everything."""
        for pixels in (self.scan, self.mask, self.restored, *self._planes):
            if pixels is not None:
                pixels.close()
        self._folder.cleanup()

    @property
    def photo(self) -> RawPixels:
        """The decoded master's pixels."""
        assert self.scan is not None
        return self.scan.pixels

    @property
    def shown(self) -> Canvas:
        """The same in sRGB."""
        return self._view or self.photo

    @property
    def _view(self) -> SrgbView | None:
        if self.space is None:
            return None
        return SrgbView(self.photo, self.result, self.mask, self.space, self.equal_channels)

    def _new_plane(self, name: str) -> RawPixels:
        height, width, _ = self.photo.shape
        plane = RawPixels.create(self.folder / f"{name}.tif", height, width, 1, "uint8")
        self._planes.append(plane)
        return plane

    def _let_go(self, canvas: Canvas | None) -> None:
        if isinstance(canvas, RawPixels):
            canvas.discard()

    def _check_room(self, header: ScanHeader) -> None:
        area = header.width * header.height
        # old and new pixels, and the new file, which is no larger than they are; damage as found and as widened; the
        # network's draft in 16 bits
        needed = 3 * area * header.bands * max(1, header.bits // 8) + 2 * area + 2 * area * min(3, header.bands)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise ScanTooLarge(
                f"{header.width} x {header.height} pixels need {needed / 1e9:.1f} GB in {self.folder.parent}, where"
                f" {free / 1e9:.1f} GB are free; make room, or name another folder by TMPDIR"
            )
