"""Finding damage on photos of any size: a detector at several scales, in tiles.

A detector knows damage of certain widths in pixels. On a scan of 3,000 pixels a hairline is as wide as those it was
trained on, and a torn corner is far wider than all it can see at once; on the scan shrunk to 750 pixels it is the other
way round. So the photo is looked at in its own size, where nothing thin is lost, then in half of it, and so on down to
`COARSEST`; the highest probability of all looks counts.

What becomes of the probabilities is decided in `oldphoto_core.detection`: nothing outside the picture's frame is
damaged, and inside it each pixel is decided by itself, or connected components are judged as wholes.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.canvas import ArrayCanvas, Canvas, highest_level
from oldphoto_core.checkpoints import Detector
from oldphoto_core.detection.decision import Decision, Decisions
from oldphoto_core.detection.finding import Finding
from oldphoto_core.detection.frame import Frame, frame_of
from oldphoto_core.detection.options import DetectionOptions
from oldphoto_core.detection.search import Candidates, mark, mark_by_threshold
from oldphoto_core.detection.surroundings import range_of
from oldphoto_core.devices import place
from oldphoto_core.inference.canvas import Subject
from oldphoto_core.inference.tiling import Tiles, least_side, restore_tiles
from oldphoto_core.nets.luminance import luminance
from oldphoto_core.nets.standardised import for_inference

COARSEST = 512
"""The photo is halved as long as its long side stays at least this, in pixels."""
SLAB = 512
"""Rows that are halved at once, an even number."""
DECISION = 1
"""Version of how masks follow from probabilities; part of the digest, as other masks make other derivatives."""


class DamageFinder:
    """A detector at work on one device."""

    def __init__(self, detector: Detector, digest: str, device: str, memory: float) -> None:
        """`digest`: of the detector's weights. `memory`: bytes that one tile may take."""
        self.threshold = detector.threshold
        self.decisions = Decisions.of(detector.threshold, detector.decision)
        self.device = device
        decided = json.dumps(detector.decision, sort_keys=True)
        self.digest = hashlib.sha256(
            f"{digest} {detector.threshold} {COARSEST} {DECISION} {decided}".encode()
        ).hexdigest()
        self._network = cast(Any, place(for_inference(detector.network), device))
        self._pixels = memory / self._network.bytes_per_pixel

    def take_less(self) -> bool:
        """Halves the tiles; False if they are the least already."""
        if self._pixels / 2 < least_side(self._network.halo, self._network.multiple) ** 2:
            return False
        self._pixels /= 2
        return True

    def find(
        self,
        photo: Canvas,
        result: Canvas,
        on_progress: Callable[[int, int], None],
        options: DetectionOptions | None = None,
    ) -> Finding:
        """Marks what is damaged.

        Args:
            photo: HWC with 1 or 3 channels, uint8 or uint16, of any size.
            result: HW1 uint8 of the same height and width; every row is written, 1 = damaged.
            on_progress: Called with how many of how many looks at the whole photo are done.
            options: Sensitivity and frame.
        """
        options = options or DetectionOptions()
        decision = self.decisions.at(options.sensitivity)
        pictures = _halvings(photo)
        smallest = pictures[-1] if pictures else photo
        whole = Frame(0, 0, *photo.shape[:2])
        frame = frame_of(smallest, *photo.shape[:2]) if options.frame == "auto" else whole
        marks = _Marks(photo, result, decision, frame)
        self._look([*reversed(pictures), photo], marks, on_progress)
        if not decision.is_threshold:
            own = range_of(smallest, frame, photo.shape)
            found = Candidates(photo, result, decision.weak_level, decision.strong_level, frame, own)
            marks.marked, marks.total = mark(found, decision)
        doubt = 1.0 - marks.total / (255.0 * marks.marked) if marks.marked else 0.0
        return Finding(options.sensitivity, None if frame == whole else frame, marks.marked, doubt)

    def probabilities(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """HWC uint8 or uint16 -> HW float32 in [0, 1], the highest of all looks, to within 1/255."""
        photo = ArrayCanvas(pixels)
        levels = _Levels(photo)
        self._look([*reversed(_halvings(photo)), photo], levels, lambda _done, _total: None)
        return levels.pixels[..., 0].astype(np.float32) / 255.0

    def _look(self, pictures: list[Canvas], last: _Joined, on_progress: Callable[[int, int], None]) -> None:
        """All looks, the coarsest first; `last` takes the probabilities of the largest, joined with the others."""
        coarse: NDArray[np.uint8] | None = None
        with torch.inference_mode():
            for number, picture in enumerate(pictures, start=1):
                joined = last if number == len(pictures) else _Levels(picture)
                joined.coarse = coarse
                subject = Subject(picture, None, self._network.multiple, self._network.minimum)
                tiles = Tiles(subject, self._network.halo, self._pixels)
                restore_tiles(self._scaled_probability, tiles, joined, on_tile=lambda _done, _total: None)
                coarse = joined.pixels if isinstance(joined, _Levels) else None
                on_progress(number, len(pictures))

    def _scaled_probability(self, image: Tensor, _mask: Tensor | None) -> Tensor:
        """N3HW in [-1, 1] -> N1HW in [-1, 1], which is what becomes levels."""
        return torch.sigmoid(self._network(luminance(image.to(self.device)))).mul_(2.0).sub_(1.0)


class _Joined(ABC):
    """A canvas that takes probabilities in rows and joins them with those of the coarser look."""

    dtype = np.dtype(np.uint8)

    def __init__(self, picture: Canvas) -> None:
        self.shape = (picture.shape[0], picture.shape[1], 1)
        self.coarse: NDArray[np.uint8] | None = None

    def read(self, top: int, bottom: int) -> NDArray[Any]:
        """Not possible: networks only write here."""
        raise TypeError("probabilities are only written")

    def write(self, top: int, rows: NDArray[Any]) -> None:
        """Rows HW1 of levels."""
        self.take(top, rows if self.coarse is None else np.maximum(rows, self._enlarged(top, top + len(rows))))

    @abstractmethod
    def take(self, top: int, rows: NDArray[Any]) -> None:
        """Keeps joined rows."""

    def _enlarged(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Rows of the coarser look, each pixel twice along both sides."""
        assert self.coarse is not None
        height, width = self.coarse.shape[:2]
        rows = np.minimum(np.arange(top, bottom) // 2, height - 1)
        columns = np.minimum(np.arange(self.shape[1]) // 2, width - 1)
        enlarged: NDArray[np.uint8] = self.coarse[rows][:, columns]
        return enlarged


class _Levels(_Joined):
    """Keeps all probabilities, in 255ths."""

    def __init__(self, picture: Canvas) -> None:
        super().__init__(picture)
        self.pixels = np.empty(self.shape, np.uint8)

    def take(self, top: int, rows: NDArray[Any]) -> None:
        """In an array."""
        self.pixels[top : top + len(rows)] = rows


class _Marks(_Joined):
    """Decides each pixel where its threshold is all there is; else leaves probabilities in the mask's place.

    Neither needs more than that mask: the probabilities of a large scan are never held in memory.
    """

    def __init__(self, picture: Canvas, result: Canvas, decision: Decision, frame: Frame) -> None:
        super().__init__(picture)
        self._result, self._decision, self._frame = result, decision, frame
        self.marked = self.total = 0

    def take(self, top: int, rows: NDArray[Any]) -> None:
        """In the mask's canvas."""
        if self._decision.is_threshold:
            inside = self._frame.inside(top, top + len(rows), self.shape[1])
            rows, marked, total = mark_by_threshold(rows, self._decision.weak_level, inside)
            self.marked, self.total = self.marked + marked, self.total + total
        self._result.write(top, rows)


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
