"""Photos drawn at random from a collection, shrunk to what people look at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import ScanError, SourceMissing
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket, is_image_key

Photo = NDArray[np.uint8]


def drawn(photos: Bucket, seed: int) -> list[str]:
    """Return the keys of all photos in an order drawn by the seed; a key's lot does not depend on other keys.

    Raises:
        SourceMissing: there is no photo.
    """
    keys = [entry.key for entry in photos.list() if is_image_key(entry.key)]
    if not keys:
        raise SourceMissing(f"{photos.url} has no photo to draw; give a folder or URL of photos")
    return sorted(keys, key=lambda key: hashlib.sha256(f"{seed}/{key}".encode("utf-8", "surrogateescape")).digest())


def read_drawn(
    photos: Bucket, seed: int, count: int, side: int, on_unreadable: Callable[[str, str], None]
) -> Iterator[tuple[str, Photo]]:
    """Yield key and `image_HWC` of the first `count` drawn photos that can be read, shrunk to `side` pixels a side.

    `on_unreadable` is given key and reason of each that cannot; the next one takes its place.
    """
    left = count
    for key in drawn(photos, seed):
        if left == 0:
            return
        try:
            image = shrunk(to_rgb8(read_scan(photos.read(key)).pixels), side)
        except ScanError as error:
            on_unreadable(key, str(error))
            continue
        left -= 1
        yield key, image


def shrunk(photo: Photo, side: int) -> Photo:
    """Return `photo_HWC` with its longer side at most `side` pixels; smaller ones stay as they are."""
    scale = side / max(photo.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(photo)
    height, width = (max(1, round(length * scale)) for length in photo.shape[:2])
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
