"""What a method made of a photo, kept as PNG: an interrupted table goes on with the next photo, and people can look."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import ScanError
from oldphoto_core.evaluation.compare import Method, Photo
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket

SPEED = "speed.json"
TIMED = 3
"""Restorations of one photo of which the median is a row's time; slow methods are timed once."""
SLOW = 10.0
"""Seconds after which a method is slow."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A method whose results lie in a folder, by the digest of what it was given."""

    method: Method
    folder: Bucket
    is_timed: bool = True
    """Whether the first photo is restored some times more, for the method's time."""

    def __call__(self, image: Photo, mask: NDArray[np.bool_]) -> Photo:
        """Return what is kept, or make and keep it."""
        given = hashlib.sha256(repr(image.shape).encode() + image.tobytes() + np.packbits(mask).tobytes()).hexdigest()
        name = f"{given[:32]}.png"
        if self.folder.info(name) is not None:
            with suppress(ScanError):  # a damaged one is made again
                found = to_rgb8(read_scan(self.folder.read(name)).pixels)
                if found.shape == image.shape:
                    return found
        self._time(image, mask)
        made = self.method(image, mask)
        _, data = cv2.imencode(".png", made[..., ::-1])
        self.folder.write(name, data.tobytes())
        return made

    def _time(self, image: Photo, mask: NDArray[np.bool_]) -> None:
        """Measures the method on the first photo that it is given."""
        if not self.is_timed or self.folder.info(SPEED) is not None:
            return
        seconds: list[float] = []
        while len(seconds) <= TIMED and not (seconds and seconds[0] > SLOW):  # the first one warms everything up
            started = time.perf_counter()
            self.method(image, mask)
            seconds.append(time.perf_counter() - started)
        median = statistics.median(seconds[1:] or seconds)
        pixels = image.shape[0] * image.shape[1]
        record = {"milliseconds_per_megapixel": 1e9 * median / pixels, "pixels": pixels}
        self.folder.write(SPEED, json.dumps(record).encode())

    @property
    def milliseconds_per_megapixel(self) -> float:
        """Wall time on one crop; nan if nothing was made yet."""
        if self.folder.info(SPEED) is None:
            return float("nan")
        return float(json.loads(self.folder.read(SPEED))["milliseconds_per_megapixel"])
