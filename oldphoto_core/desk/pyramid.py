"""A picture at every size in tiles on disk, so that a screen's worth of it is read at any zoom.

Level 0 is the picture itself; each further level is half as wide and half as high, rounded up, until one tile holds it
(the levels of Deep Zoom, numbered from the largest). Pixels are 8 bits and in the order in which the scan is stored.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import UsageError
from oldphoto_core.reports.page.thumbnails import eight_bits, in_srgb

if TYPE_CHECKING:
    from oldphoto_core.reports.page.thumbnails import Rows

TILE = 512
"""Pixels of a tile's side."""
QUALITY = 92
"""Of tiles as JPEG, with full resolution in all channels."""

Rgb = NDArray[np.uint8]


def level_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """(width, height) of every level, the picture first."""
    sizes = [(width, height)]
    while max(sizes[-1]) > TILE:
        width, height = -(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)
        sizes.append((width, height))
    return sizes


class Pyramid:
    """The levels of one picture as files in a folder; who removes the folder leaves tiles that are being read whole."""

    def __init__(self, folder: Path, rows: Rows, icc_profile: bytes | None = None) -> None:
        """Read the picture once, in bands of rows, and write every level.

        Args:
            folder: Where the files go; it must exist.
            rows: HWC uint8 or uint16 of 1 or 3 channels.
            icc_profile: Of its colours (`plain_profile`); None: they are sRGB.

        Raises:
            ScanError: the pixels cannot be read.
            OSError: the disk is full.
        """
        height, width, channels = rows.shape
        self.channels = channels
        self.levels = [
            _Level(folder / str(number), size, channels) for number, size in enumerate(level_sizes(width, height))
        ]
        for top in range(0, height, TILE):
            band = eight_bits(rows.read(top, min(top + TILE, height)))
            self._add(0, in_srgb(band, icc_profile) if channels == 3 else band)
        self._finish()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.levels[0].size

    def tile(self, level: int, column: int, row: int) -> Rgb:
        """HWC of a tile, TILE x TILE at most. Raises UsageError for one that the picture does not have."""
        if not 0 <= level < len(self.levels):
            raise UsageError(f"the picture has no level {level}; it has {len(self.levels)}")
        return self.levels[level].tile(column, row)

    def jpeg(self, level: int, column: int, row: int) -> bytes:
        """A tile as a JPEG. Raises UsageError for one that the picture does not have."""
        pixels = self.tile(level, column, row)
        shown = pixels if self.channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        _, data = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY, *sampling])
        return bytes(data)

    def region(self, left: int, top: int, width: int, height: int) -> Rgb:
        """HWC of a part of the picture, which must lie inside of it."""
        result = np.empty((height, width, self.channels), np.uint8)
        for row in range(top // TILE, -(-(top + height) // TILE)):
            for column in range(left // TILE, -(-(left + width) // TILE)):
                pixels, y, x = self.tile(0, column, row), row * TILE, column * TILE
                first, last = max(top, y), min(top + height, y + pixels.shape[0])
                begin, end = max(left, x), min(left + width, x + pixels.shape[1])
                result[first - top : last - top, begin - left : end - left] = pixels[
                    first - y : last - y, begin - x : end - x
                ]
        return result

    def _add(self, number: int, rows: Rgb) -> None:
        """Rows of a level, and with each full band the half of it to the next level."""
        level = self.levels[number]
        for band in level.take(rows):
            if number + 1 < len(self.levels):
                self._add(number + 1, _halved(band))

    def _finish(self) -> None:
        for number, level in enumerate(self.levels):
            band = level.rest()
            if band is not None and number + 1 < len(self.levels):
                self._add(number + 1, _halved(band))


class _Level:
    """Tiles of one size side by side in a file; those at the right and bottom edge hold room that is not used."""

    def __init__(self, path: Path, size: tuple[int, int], channels: int) -> None:
        self.size, self._channels = size, channels
        self._columns, self._rows = -(-size[0] // TILE), -(-size[1] // TILE)
        self._bytes = TILE * TILE * channels
        self._waiting: list[Rgb] = []
        self._written = 0
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        # not before the last thread that reads a tile is done
        weakref.finalize(self, os.close, self.file)

    def take(self, rows: Rgb) -> list[Rgb]:
        """Keep rows until there are enough for a row of tiles; returns the bands that were written."""
        self._waiting.append(rows)
        held = np.concatenate(self._waiting) if len(self._waiting) > 1 else rows
        bands = [held[top : top + TILE] for top in range(0, len(held) - TILE + 1, TILE)]
        for band in bands:
            self._write(band)
        left = held[len(bands) * TILE :]
        self._waiting = [left] if len(left) else []
        return bands

    def rest(self) -> Rgb | None:
        """The last band, where it is not a full one."""
        if not self._waiting:
            return None
        (band,) = self._waiting
        self._waiting = []
        self._write(band)
        return band

    def tile(self, column: int, row: int) -> Rgb:
        if not (0 <= column < self._columns and 0 <= row < self._rows):
            raise UsageError(f"the level has no tile {column}, {row}; it has {self._columns} x {self._rows}")
        width, height = (min(TILE, side - at * TILE) for side, at in zip(self.size, (column, row), strict=True))
        data = os.pread(self.file, self._bytes, (row * self._columns + column) * self._bytes)
        whole = np.frombuffer(data.ljust(self._bytes, b"\0"), np.uint8).reshape(TILE, TILE, self._channels)
        return whole[:height, :width]

    def _write(self, band: Rgb) -> None:
        height, _, channels = band.shape
        for column in range(self._columns):
            part = band[:, column * TILE : (column + 1) * TILE]
            whole = np.zeros((TILE, TILE, channels), np.uint8)
            whole[:height, : part.shape[1]] = part
            os.pwrite(self.file, whole.tobytes(), (self._written * self._columns + column) * self._bytes)
        self._written += 1


def _halved(band: Rgb) -> Rgb:
    """Half as wide and high, rounded up: the mean of 2 x 2 pixels."""
    height, width, channels = band.shape
    even = cv2.copyMakeBorder(band, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    size = (-(-width // 2), -(-height // 2))
    halved = cv2.resize(even, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], channels)
    return halved.astype(np.uint8, copy=False)
