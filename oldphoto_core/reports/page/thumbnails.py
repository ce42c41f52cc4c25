"""Small pictures of a photo for the report, made from rows of it while its pixels are at hand.

    thumbs/<2 hex>/<32 hex>-small.jpg    before and after side by side, each at most 256 pixels long
                           -before.jpg, -after.jpg   each at most 1024 pixels long
                           -mask.png     red where damage was found, transparent elsewhere

The 32 digits are of the key's sha256: a key may hold anything, and no part of it becomes a part of a path or a URL.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from oldphoto_core.reports.overlays import RED
from oldphoto_core.storage import Bucket

REPORT = "report"
"""A run's folder of what people look at."""
FOLDER = "thumbs"
SMALL, MEDIUM = 256, 1024
"""Longest sides."""
QUALITY = 78
"""Of the JPEGs. WebP takes half of the bytes and up to 60 times the time (`cv2.imencode`, 1024 x 700 pixels)."""
STRIP_BYTES = 16 * 2**20

Rgb = NDArray[np.uint8]


class Rows(Protocol):
    """Pixels that can be read in rows, in memory or on disk: HWC uint8 or uint16 of 1 or 3 channels."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16."""

    def read(self, top: int, bottom: int) -> NDArray[Any]:
        """HWC of the rows from `top` to before `bottom`."""


def thumbnail_stem(key: str) -> str:
    """Where the thumbnails of this photo lie below the report's folder, without the ending that says which."""
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{FOLDER}/{name[:2]}/{name}"


def write_thumbnails(
    report: Bucket,
    key: str,
    before: Rows,
    after: Rows | None,
    mask: Rows | None,
    *,
    orientation: int = 1,
    icc_profile: bytes | None = None,
) -> None:
    """Put the thumbnails of one photo into the report's folder, upright and in sRGB.

    `after` is None for a photo that was not restored, `mask` (not 0 = damaged) where nothing is. Canvases are read in
    strips of some MiB. Raises StorageError.
    """
    stem = thumbnail_stem(key)
    medium = {"before": before} if after is None else {"before": before, "after": after}
    shown = {name: _upright(in_srgb(_shrunk(rows), icc_profile), orientation) for name, rows in medium.items()}
    small = Image.fromarray(np.concatenate([_fitted(picture, SMALL) for picture in shown.values()], axis=1))
    report.write(f"{stem}-small.jpg", _jpeg(small))
    for name, picture in shown.items():
        report.write(f"{stem}-{name}.jpg", _jpeg(Image.fromarray(picture)))
    if mask is not None:
        report.write(f"{stem}-mask.png", _overlay(_upright(_spread(mask), orientation)))


def _shrunk(rows: Rows) -> Rgb:
    """HW3, its long side MEDIUM at most."""
    parts = [_averaged(eight_bits(strip), factor) for strip, factor in _strips(rows)]
    picture = _fitted(np.concatenate(parts), MEDIUM)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def _spread(mask: Rows) -> Rgb:
    """HW1, 255 where anything in the pixel's place is damaged: the thinnest scratch stays in sight."""
    parts = [_averaged((strip != 0).astype(np.float32), factor) for strip, factor in _strips(mask)]
    damaged = _fitted(np.concatenate(parts).astype(np.float32), MEDIUM) > 0
    return (damaged * np.uint8(255)).astype(np.uint8)


def _strips(rows: Rows) -> Iterator[tuple[NDArray[Any], int]]:
    """Some rows at a time, with the whole number by which they are to be shrunk at once."""
    height, width, channels = rows.shape
    factor = max(1, max(height, width) // (2 * MEDIUM))
    step = max(1, STRIP_BYTES // (width * channels * rows.dtype.itemsize * factor)) * factor
    return ((rows.read(top, min(top + step, height)), factor) for top in range(0, height, step))


def _averaged(strip: NDArray[Any], factor: int) -> NDArray[Any]:
    height, width, channels = strip.shape
    if factor == 1:
        return strip
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return cv2.resize(strip, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], channels)


def _fitted(picture: NDArray[Any], side: int) -> NDArray[Any]:
    """Shrunk until its long side is `side`; smaller ones stay as they are."""
    height, width, channels = picture.shape
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], channels)


def eight_bits(strip: NDArray[Any]) -> Rgb:
    """Levels of 8 bits, as screens show them."""
    return (strip >> 8).astype(np.uint8) if strip.dtype == np.uint16 else strip


def in_srgb(picture: Rgb, icc_profile: bytes | None) -> Rgb:
    """HW3 in sRGB by the master's profile, where it has a usable one for RGB; browsers need no profile then."""
    if icc_profile is None:
        return picture
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        if profile.profile.xcolor_space.strip() != "RGB":
            return picture
        shown = ImageCms.profileToProfile(Image.fromarray(picture), profile, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return picture if shown is None else np.asarray(shown)


def _upright(picture: Rgb, orientation: int) -> Rgb:
    """As EXIF orientation 1 to 8 wants it shown."""
    if orientation in (2, 3, 4, 5, 6, 7, 8):
        if orientation >= 5:
            picture = picture.transpose(1, 0, 2)
        if orientation in (2, 3, 6, 7):
            picture = picture[:, ::-1]
        if orientation in (3, 4, 7, 8):
            picture = picture[::-1]
    return np.ascontiguousarray(picture)


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _overlay(damaged: Rgb) -> bytes:
    overlay = Image.fromarray((damaged[..., 0] != 0).astype(np.uint8), "P")
    overlay.putpalette((0, 0, 0, *RED))
    out = io.BytesIO()
    overlay.save(out, "PNG", transparency=0, bits=1, optimize=True)
    return out.getvalue()
