"""One scanned photograph in memory, with everything about its file that a derivative must keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Format = Literal["jpeg", "png", "tiff", "webp"]
Unit = Literal["in", "cm", "none"]
Pixels = npt.NDArray[Any]
"""uint8 or uint16."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """How densely the original was scanned."""

    x_per_mm: float
    """Pixels per mm; for unit "none" the bare number of the file, which only says how pixels are shaped."""
    y_per_mm: float
    unit: Unit
    """The unit in which the file states it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """What the source's coder did, so that the derivative's does no less."""

    lossless: bool
    jpeg_quality: int | None = None
    """1 to 100: the quality whose quantisation tables are no coarser than the source's."""
    chroma: str | None = None
    """JPEG chroma sampling: "4:4:4", "4:2:2", "4:2:0" or "other"; None for grey and for other formats."""
    progressive: bool = False
    tiff_compression: str | None = None
    """As libvips names it; what libvips cannot write losslessly is "deflate" here."""
    bigtiff: bool = False


@dataclass(frozen=True, slots=True)
class ScanHeader:
    """What a file says of itself before any pixel is decoded."""

    format: Format
    width: int
    height: int
    bands: int
    """Channels, alpha included."""
    bits: int
    """Of a channel, as decoded: 8 or 16; other depths are named for the message that refuses them."""

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.width * self.height / 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A decoded scan. Pixels are in the file's stored order: the orientation tag is kept, not applied."""

    pixels: Pixels
    """HWC, uint8 or uint16, C = 1 (grey) or 3 (RGB)."""
    alpha: Pixels | None
    """HW, same dtype, or None; pixels that a TIFF stores multiplied by it were divided again on reading."""
    format: Format
    encoding: Encoding
    orientation: int = 1
    """EXIF/TIFF orientation, 1 to 8."""
    resolution: Resolution | None = None
    icc_profile: bytes | None = None
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    """"exif" (a TIFF structure), "xmp" (a packet), "iptc" (IIM), "photoshop" (8BIM resources), byte for byte,
    and pieces that only this format knows, named "<format>:<number>:<piece>"."""

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB); alpha does not count."""
        return int(self.pixels.shape[2])

    @property
    def bits(self) -> int:
        """8 or 16."""
        return int(self.pixels.dtype.itemsize) * 8

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.width * self.height / 1e6

    @property
    def is_grey(self) -> bool:
        """Whether the file holds one channel. (A grey photo stored as RGB, as in every WebP, is not grey here.)"""
        return self.channels == 1


def as_file_pixels(scan: Scan, pixels: Pixels) -> Pixels:
    """HWC of all bands a file holds: the pixels, and the scan's alpha behind them."""
    if scan.alpha is None:
        return np.ascontiguousarray(pixels)
    return np.concatenate([pixels, scan.alpha[..., np.newaxis]], axis=2)
