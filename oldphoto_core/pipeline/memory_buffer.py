"""One photo whose file, pixels, mask and result are arrays, as most are; larger ones are in `disk_buffer`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import ArrayCanvas, Canvas
from oldphoto_core.inference.canvas import OnProgress
from oldphoto_core.inference.contracts import RestoresCanvases
from oldphoto_core.inference.srgb_view import equalised
from oldphoto_core.inference.strength import mixed
from oldphoto_core.pipeline.buffers import PageOf, PhotoBuffer
from oldphoto_core.scans import damage_of, write_mask, write_scan

if TYPE_CHECKING:
    from pathlib import Path

    from oldphoto_core.inference.contracts import RestoresPhotos
    from oldphoto_core.pipeline.photo_files import PhotoFiles
    from oldphoto_core.scans import Label, OutputFormat, Scan
    from oldphoto_core.scans.masks import MaskFormat
    from oldphoto_core.storage import Bucket, ObjectInfo


class MemoryBuffer(PhotoBuffer):
    """A photo whose file, pixels and planes are arrays."""

    scan: Scan | None

    def __init__(self, file: bytes | PageOf) -> None:
        self._data = file.file if isinstance(file, PageOf) else file
        self.of = file if isinstance(file, PageOf) else None
        self._photo: ArrayCanvas | None = None
        self._shown: ArrayCanvas | None = None
        self._made: NDArray[Any] | None = None

    @property
    def file(self) -> bytes | Path:
        """The master's bytes, or where the file lies that it is a page of."""
        return self._data

    def decode(self, files: PhotoFiles) -> None:
        """The master's pixels, and what networks see of them."""
        self.scan, self.facts = files.master(self._data, self.page)
        self._photo = self._shown = ArrayCanvas(self.scan.pixels)
        self._choose_space()
        if self.space is not None:
            self._shown = ArrayCanvas(self.space.shown(self.scan.pixels))
        self._data = b""

    def take_mask(self, masks: Bucket, given: ObjectInfo, files: PhotoFiles) -> None:
        """Makes the given file the mask."""
        height, width, _ = self.photo.shape
        data = masks.read(given.key, version=given.version)
        self.check_pages(data, files)
        damaged = damage_of(files.scan(data, self.page), (height, width))
        self.mask = ArrayCanvas(damaged.view(np.uint8)[..., np.newaxis])

    def restore(self, restorer: RestoresPhotos, on_part: OnProgress) -> None:
        """The network; one that restores canvases says between its parts how far it is."""
        assert self.scan is not None
        pixels = self.shown.read(0, self.scan.height)
        if isinstance(restorer, RestoresCanvases):
            restored = np.empty_like(pixels)
            self._restore_canvas(restorer, self.shown, ArrayCanvas(restored), on_part)
        else:
            restored = restorer.restore(pixels, self._damaged())
        if restored.shape != pixels.shape or restored.dtype != pixels.dtype:
            raise ValueError(f"the network made {restored.shape} {restored.dtype} of {pixels.shape} {pixels.dtype}")
        if self.strength < 1 and not isinstance(restorer, RestoresCanvases):
            restored = mixed(restored, pixels, self.strength, self._damaged())
        if self.space is not None:
            self._made = restored
            return
        # what a network hands out may be its own, or the photo itself
        ours = restored.flags.writeable and not np.may_share_memory(restored, pixels)
        self.restored = ArrayCanvas(restored if ours else restored.copy())

    def bring_back(self) -> None:
        """The network's result into the master's profile; what the network saw is not needed any more."""
        if self._made is not None:
            assert self.scan is not None
            assert self.space is not None
            seen, made = self.shown.read(0, self.scan.height), self._made
            back = self.space.brought_back(self.scan.pixels, seen, made, self._damaged())
            self.restored = ArrayCanvas(equalised(back) if self.equal_channels else back)
        self._shown = self._made = None

    def encode(
        self,
        format: OutputFormat,  # noqa: A002 - the name users give
        label: Label | None,
        max_bytes: int | None,
        warn: Callable[[str], None],
    ) -> bytes:
        """The derivative's file."""
        assert self.scan is not None
        pixels = self.result.read(0, self.scan.height)
        return write_scan(self.scan, pixels, format=format, label=label, max_bytes=max_bytes, warn=warn)

    def encode_mask(self, format: MaskFormat = "png") -> bytes:  # noqa: A002 - the name users give
        """The mask's file."""
        height, width, _ = self.photo.shape
        nothing = np.zeros((height, width), bool)
        return write_mask(nothing if self.mask is None else self.mask.read(0, height)[..., 0] != 0, format)

    def discard(self) -> None:
        """Lets go of everything."""
        self._data = b""
        self._photo = self._shown = self._made = None
        self.scan = self.mask = self.restored = None

    @property
    def photo(self) -> Canvas:
        """The decoded master's pixels."""
        assert self._photo is not None
        return self._photo

    @property
    def shown(self) -> Canvas:
        """The same in sRGB."""
        assert self._shown is not None
        return self._shown

    def _damaged(self) -> NDArray[np.bool_] | None:
        return None if self.mask is None else self.mask.read(0, self.mask.shape[0])[..., 0] != 0

    def _new_plane(self, name: str) -> Canvas:
        height, width, _ = self.photo.shape
        return ArrayCanvas(np.zeros((height, width, 1), np.uint8))

    def _let_go(self, canvas: Canvas | None) -> None:
        """Arrays go with their last name."""
