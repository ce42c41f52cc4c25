"""Finding damage on photos of any size: a detector at several scales, in tiles.

A detector knows damage of certain widths in pixels. On a scan of 3,000 pixels a hairline is as wide as those it was
trained on, and a torn corner is far wider than all it can see at once; on the scan shrunk to 750 pixels it is the other
way round. So the photo is looked at in its own size, where nothing thin is lost, then in half of it, and so on down to
`COARSEST`; a pixel is damaged if one of the looks says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.checkpoints import Detector
from oldphoto_core.devices import place
from oldphoto_core.nets.luminance import luminance
from oldphoto_core.restoration.canvas import ArrayCanvas, Canvas, Subject, highest_level
from oldphoto_core.restoration.tiling import Tiles, least_side, restore_tiles

COARSEST = 512
"""The photo is halved as long as its long side stays at least this, in pixels."""
SLAB = 512
"""Rows that are halved at once, an even number."""


class DamageFinder:
    """A detector at work on one device."""

    def __init__(self, detector: Detector, digest: str, device: str, memory: float) -> None:
        """`digest`: of the detector's weights. `memory`: bytes that one tile may take."""
        self.threshold = detector.threshold
        self.device = device
        self.digest = hashlib.sha256(f"{digest} {detector.threshold} {COARSEST}".encode()).hexdigest()
        self._network = cast(Any, place(detector.network, device))
        self._pixels = memory / self._network.bytes_per_pixel

    def take_less(self) -> bool:
        """Halves the tiles; False if they are the least already."""
        if self._pixels / 2 < least_side(self._network.halo, self._network.multiple) ** 2:
            return False
        self._pixels /= 2
        return True

    def find(self, photo: Canvas, result: Canvas, on_progress: Callable[[int, int], None]) -> None:
        """Marks what is damaged.

        Args:
            photo: HWC with 1 or 3 channels, uint8 or uint16, of any size.
            result: HW1 uint8 of the same height and width; every row is written, 1 = damaged.
            on_progress: Hears how many of how many looks at the whole photo are done.
        """
        self._joined(photo, result, on_progress)

    def probabilities(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """HWC uint8 or uint16 -> HW float32 in [0, 1], the highest of all looks, to within 1/255."""
        joined = self._joined(ArrayCanvas(pixels), None, lambda _done, _total: None)
        return joined[:, :, 0].astype(np.float32) / 255.0

    def _joined(
        self, photo: Canvas, result: Canvas | None, on_progress: Callable[[int, int], None]
    ) -> NDArray[np.uint8]:
        """All looks, the coarsest first; the probabilities, unless `result` takes the decisions instead."""
        pictures = [*reversed(_halvings(photo)), photo]
        coarse: NDArray[np.uint8] | None = None
        with torch.inference_mode():
            for number, picture in enumerate(pictures, start=1):
                marks = _Marks(picture, coarse, result if picture is photo else None, self.threshold)
                subject = Subject(picture, None, self._network.multiple, self._network.minimum)
                tiles = Tiles(subject, self._network.halo, self._pixels)
                restore_tiles(self._scaled_probability, tiles, marks, on_tile=lambda _done, _total: None)
                coarse = marks.probabilities
                on_progress(number, len(pictures))
        assert coarse is not None
        return coarse

    def _scaled_probability(self, image: Tensor, _mask: Tensor | None) -> Tensor:
        """N3HW in [-1, 1] -> N1HW in [-1, 1], which is what becomes levels."""
        return torch.sigmoid(self._network(luminance(image.to(self.device)))).mul_(2.0).sub_(1.0)


class _Marks:
    """A canvas that takes probabilities in rows, joins them with those of the coarser look, and keeps or decides them.

    With a `result` only decisions are kept, there: the probabilities of a whole large scan are never held.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, picture: Canvas, coarse: NDArray[np.uint8] | None, result: Canvas | None, threshold: float
    ) -> None:
        self.shape = (picture.shape[0], picture.shape[1], 1)
        self.probabilities = np.empty(self.shape if result is None else (0, 0, 1), np.uint8)
        self._coarse, self._result = coarse, result
        # a level of 255 is at least the threshold from here on
        self._least = int(np.ceil(threshold * 255.0))

    def read(self, top: int, bottom: int) -> NDArray[Any]:
        return self.probabilities[top:bottom]

    def write(self, top: int, rows: NDArray[Any]) -> None:
        if self._coarse is not None:
            rows = np.maximum(rows, self._enlarged(top, top + len(rows)))
        if self._result is None:
            self.probabilities[top : top + len(rows)] = rows
        else:
            self._result.write(top, (rows >= self._least).astype(np.uint8))

    def _enlarged(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows of the coarser look, each pixel twice along both sides."""
        assert self._coarse is not None
        height, width = self._coarse.shape[:2]
        rows = np.minimum(np.arange(top, bottom) // 2, height - 1)
        columns = np.minimum(np.arange(self.shape[1]) // 2, width - 1)
        enlarged: NDArray[np.uint8] = self._coarse[rows][:, columns]
        return enlarged


def _halvings(photo: Canvas) -> list[ArrayCanvas]:
    """The photo in half of its size, in a quarter and so on, in 8-bit grey: in all a third of a byte a pixel."""
    pictures: list[ArrayCanvas] = []
    picture: Canvas = photo
    while max(picture.shape[:2]) // 2 >= COARSEST and min(picture.shape[:2]) >= 2:
        picture = _halved(picture)
        pictures.append(picture)
    return pictures


def _halved(picture: Canvas) -> ArrayCanvas:
    """HW1 uint8: means of 2 x 2 pixels; a last odd row or column is left out."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    half = np.empty((height, width, 1), np.uint8)
    for top in range(0, 2 * height, SLAB):
        rows = picture.read(top, min(top + SLAB, 2 * height))[:, : 2 * width]
        grey = rows[..., 0] if rows.shape[2] == 1 else cv2.cvtColor(np.ascontiguousarray(rows), cv2.COLOR_RGB2GRAY)
        shrunk = cv2.resize(grey, (width, len(rows) // 2), interpolation=cv2.INTER_AREA)
        if picture.dtype == np.uint16:
            shrunk = np.rint(shrunk * (255.0 / highest_level(picture.dtype)))
        half[top // 2 : top // 2 + len(shrunk), :, 0] = shrunk
    return ArrayCanvas(half)
