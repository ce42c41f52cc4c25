"""Pixels too large for memory, on their way from a decoder to files of this process's."""

from __future__ import annotations

from pathlib import Path

from oldphoto_core.scans.isolation.answers import check_planes
from oldphoto_core.scans.isolation.memory import Plane, rows_of
from oldphoto_core.scans.isolation.messages import Slab
from oldphoto_core.scans.isolation.wire import BadMessage
from oldphoto_core.scans.raw import RawPixels, new_pixels_at


class Spooling:
    """Takes slabs from top to bottom into files that it makes in a folder."""

    def __init__(self, folder: Path, room: int, max_pixels: int | None) -> None:
        self._folder, self._room, self._max_pixels = folder, room, max_pixels
        self._files: list[RawPixels] = []
        self._planes: tuple[Plane, Plane | None] | None = None
        self._bottom = 0

    def take(self, slab: Slab) -> None:
        """Writes one. One at the top begins anew: another process reads the file then.

        Raises:
            BadMessage: it is not the next one of this picture.
            ScanTooLarge, ScanError: the files cannot be made or written.
        """
        if slab.top == 0:
            self.discard()
            self._begin(slab)
        planes, height = (slab.pixels, slab.alpha), slab.pixels.shape[0]
        if planes != self._planes or slab.top != self._bottom or not slab.top < slab.bottom <= height:
            raise BadMessage(f"rows {slab.top} to {slab.bottom} of {slab.pixels.shape} after row {self._bottom}")
        rows = [Plane(shape=(slab.bottom - slab.top, *file.shape[1:]), dtype=file.dtype.str) for file in self._files]
        for file, array in zip(self._files, rows_of(self._room, rows), strict=True):
            file.write(slab.top, array)
        self._bottom = slab.bottom

    def files(self, pixels: Plane, alpha: Plane | None) -> tuple[RawPixels, RawPixels | None]:
        """Pixels and alpha, when all has come. Raises BadMessage when it has not."""
        if (pixels, alpha) != self._planes or self._bottom != pixels.shape[0]:
            raise BadMessage(f"an end at row {self._bottom} of {pixels.shape}")
        return self._files[0], self._files[1] if alpha is not None else None

    def discard(self) -> None:
        """Removes what was written."""
        for file in self._files:
            file.discard()
        self._files, self._planes, self._bottom = [], None, 0

    def _begin(self, slab: Slab) -> None:
        check_planes(slab.pixels, slab.alpha, self._max_pixels)
        self._planes = (slab.pixels, slab.alpha)
        height, width, channels = slab.pixels.shape
        self._files.append(new_pixels_at(self._folder, "pixels", (height, width, channels), slab.pixels.dtype))
        if slab.alpha is not None:
            self._files.append(new_pixels_at(self._folder, "alpha", (height, width, 1), slab.alpha.dtype))
