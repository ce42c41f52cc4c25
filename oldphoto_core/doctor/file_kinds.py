"""Which files can be read and written here: one of each kind is made in memory, read, written and read again."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oldphoto_core.doctor.finding import Finding
from oldphoto_core.scans import read_scan, write_scan


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file, and how a small one is made."""

    name: str
    encode: Callable[[], bytes]
    exact: bool = True
    """Whether the pixels come back as they were."""
    written: bool = True
    """Whether derivatives of this format are made."""
    big: bool = False
    """Whether they are written as BigTIFF."""


def formats() -> Iterator[Finding]:
    """One finding for each kind of file."""
    for kind in KINDS:
        try:
            done = _tried(kind)
        except Exception as error:  # whatever a broken build of a decoder answers is what is asked for here
            problem = " ".join(str(error).split()) or type(error).__name__
            yield Finding("formats", kind.name, "bad", f"{problem}; install pyvips-binary, opencv and pillow again")
        else:
            yield Finding("formats", kind.name, "ok", done)


def _tried(kind: Kind) -> str:
    scan = read_scan(kind.encode())
    if not kind.written:
        return "read; derivatives are TIFF" if kind.exact else "read; converted into sRGB"
    back = read_scan(written(kind))
    if back.pixels.shape != scan.pixels.shape or back.pixels.dtype != scan.pixels.dtype:
        raise ValueError(f"written as {scan.pixels.shape}, read as {back.pixels.shape}")
    if kind.exact and not np.array_equal(back.pixels, scan.pixels):
        raise ValueError("other pixels come back than were written")
    return "read and written"


def written(kind: Kind) -> bytes:
    """A file of this kind as derivatives are written."""
    scan = read_scan(kind.encode())
    if kind.big:
        scan = replace(scan, encoding=replace(scan.encoding, bigtiff=True))
    return write_scan(scan, scan.pixels)


def _picture(depth: type[np.uint8] | type[np.uint16], channels: int = 3) -> NDArray[np.uint8 | np.uint16]:
    most = np.iinfo(depth).max
    ramp = np.linspace(0, most, 96 * 64 * channels).reshape(64, 96, channels)
    return ramp.astype(depth)


def _encoded(extension: str, depth: type[np.uint8] | type[np.uint16] = np.uint8, channels: int = 3) -> bytes:
    done, data = cv2.imencode(extension, _picture(depth, channels))
    if not done:
        raise ValueError(f"OpenCV makes no {extension}")
    return bytes(data)


def _cmyk() -> bytes:
    buffer = io.BytesIO()
    Image.new("CMYK", (32, 24), (10, 20, 30, 40)).save(buffer, "JPEG")
    return buffer.getvalue()


KINDS: tuple[Kind, ...] = (
    Kind("TIFF, 8 bits", lambda: _encoded(".tif")),
    Kind("TIFF, 16 bits", lambda: _encoded(".tif", np.uint16)),
    Kind("TIFF, grey", lambda: _encoded(".tif", channels=1)),
    Kind("BigTIFF", lambda: _encoded(".tif"), big=True),
    Kind("PNG, 8 bits", lambda: _encoded(".png")),
    Kind("PNG, 16 bits", lambda: _encoded(".png", np.uint16)),
    Kind("JPEG", lambda: _encoded(".jpg"), exact=False),
    Kind("JPEG, CMYK", _cmyk, exact=False, written=False),
    Kind("WebP", lambda: _encoded(".webp"), exact=False),
    Kind("JPEG 2000, 8 bits", lambda: _encoded(".jp2"), written=False),
    Kind("JPEG 2000, 16 bits", lambda: _encoded(".jp2", np.uint16), written=False),
)
