"""What a file says of itself, as a provenance record states it, of masters and derivatives alike."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageCms

from oldphoto_core.scans.container_metadata import ContainerMetadata, Unit
from oldphoto_core.scans.formats import FORMATS, Format
from oldphoto_core.scans.headers import read_stored
from oldphoto_core.scans.scan import ScanHeader
from oldphoto_core.scans.tiff.pages import page_view
from oldphoto_core.scans.views import Data, FileView
from oldphoto_core.scans.vips import translated

_UNREADABLE = "(no name that can be read)"


@dataclass(frozen=True, kw_only=True, slots=True)
class TechnicalMetadata:
    """Of an image file, before anything is converted. Palettes count as RGB; 1, 2 and 4 bits as 8."""

    format: Format
    width: int
    """Pixels, in stored order."""
    height: int
    """Pixels, in stored order."""
    kind: str
    """"grey", "RGB", "CMYK" or "CIELab"."""
    channels: int
    """1, 3 or 4; alpha does not count."""
    bits: int
    """Of a channel: 8, 16 or 32."""
    sample: str
    """"integer" or "float"."""
    alpha: bool
    """Whether there is a channel that the file calls alpha: one of unknown meaning does not count."""
    profile: str | None
    """The name that the ICC profile gives itself; None without a profile."""
    compression: str
    """"jpeg", "deflate", "lzw", "none", ..."""
    lossless: bool
    pixels_per_mm: tuple[float, float] | None
    """Across and down, as the file states it, rounded to a millionth."""
    resolution_unit: Unit | None
    """"in", "cm", or "none", where `pixels_per_mm` only says how pixels are shaped."""
    orientation: int
    """EXIF/TIFF orientation, 1 to 8."""


def read_technical_metadata(file: bytes | Path, page: int | None = None) -> TechnicalMetadata:
    """Facts of a file, in memory or on this machine, without decoding a pixel. Raises ScanError as `read_header`.

    `page`: which one of a TIFF, from 1; None: the only one.
    """
    with translated("read"):
        if isinstance(file, bytes):
            return _facts(file, page)
        with FileView(file) as data:
            return _facts(data, page)


def _facts(data: Data, page: int | None) -> TechnicalMetadata:
    header, container = read_stored(data, page)
    return facts_of(header, container, profile_name(container.icc_profile), _compression(data, header.format, page))


def facts_of(
    header: ScanHeader, container: ContainerMetadata, profile: str | None, compression: str
) -> TechnicalMetadata:
    """Facts from what a file states of itself, nothing converted, and the names of its profile and compression."""
    colours = (
        container.converted if container.converted in ("CMYK", "CIELab") else "RGB" if header.bands > 2 else "grey"
    )
    channels = {"grey": 1, "CMYK": 4}.get(colours, 3)
    resolution = container.resolution
    return TechnicalMetadata(
        format=header.format,
        width=header.width,
        height=header.height,
        kind=colours,
        channels=channels,
        bits=header.bits,
        sample="float" if container.converted == "float" else "integer",
        alpha=header.bands > channels and not container.encoding.unspecified_channel,
        profile=profile,
        compression=compression,
        lossless=container.encoding.lossless,
        pixels_per_mm=(round(resolution.x_per_mm, 6), round(resolution.y_per_mm, 6)) if resolution else None,
        resolution_unit=resolution.unit if resolution else None,
        orientation=container.orientation,
    )


def _compression(data: Data, format_: Format, page: int | None) -> str:
    row = FORMATS[format_]
    return row.reader().compression(page_view(data, page)[0] if row.has_pages else data)


def profile_name(profile: bytes | None) -> str | None:
    """What an ICC profile calls itself, in one line; None for none."""
    if profile is None:
        return None
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return _UNREADABLE
    return "".join(letter for letter in " ".join(name.split()) if letter.isprintable()) or _UNREADABLE
