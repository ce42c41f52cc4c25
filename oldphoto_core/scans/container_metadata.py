"""What a file carries besides pixels, in a form that any container can take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["in", "cm", "none"]
CREDENTIALS = "Content Credentials or other JUMBF boxes"
"""What C2PA states of a file: not true of a restored picture, so that no derivative has it."""
MM_PER_UNIT: dict[Unit, float] = {"in": 25.4, "cm": 10.0, "none": 1.0}
"""Between pixels per unit and pixels per mm; a bare number stays as it is."""
Pyramid = Literal["pages", "subifds"]
"""Smaller copies as directories behind that of the picture, or below it."""


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
    white_is_zero: bool = False
    """Of a grey TIFF: its file stores the negative (`pixels` never do)."""
    pyramid: Pyramid | None = None
    """Of a tiled TIFF with smaller copies of its picture: where they lie."""
    tile: tuple[int, int] | None = None
    """Of a pyramid: width and height of a tile."""
    subfile: int = 0
    """What a TIFF page says of its purpose (NewSubfileType): 2 for a page of several, 4 for a mask; 0: nothing."""
    unspecified_channel: bool = False
    """Of a TIFF: its channel beside the colours does not say that it is alpha. It may be infrared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerMetadata:
    """Everything but the pixels."""

    encoding: Encoding
    orientation: int = 1
    """EXIF/TIFF orientation, 1 to 8."""
    resolution: Resolution | None = None
    icc_profile: bytes | None = None
    converted: str | None = None
    """What the pixels were stored as, where they were converted on reading: "CMYK" or "CIELab" (into sRGB, whose
    profile is `icc_profile` then) "float" or "9 bits" to "15 bits" (into 16 bits)."""
    left_out: tuple[str, ...] = ()
    """What else is in the file and in no derivative: other pictures, videos, data behind the end; for people."""
    remarks: tuple[str, ...] = ()
    """Errors of the file's structure that touch no pixel, and channels of unknown meaning; for people."""
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    """"exif" (a TIFF structure), "xmp" (a packet), "iptc" (IIM), "photoshop" (8BIM resources), byte for byte,
    and pieces that only this format knows, named "<format>:<number>:<piece>"."""
