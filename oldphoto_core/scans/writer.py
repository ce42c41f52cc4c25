"""Encoding: new pixels in a file that keeps everything else of the scan."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyvips

from oldphoto_core.errors import ScanError, UnsupportedScan
from oldphoto_core.scans import jpeg, png, tiff, webp
from oldphoto_core.scans.carried import Carried
from oldphoto_core.scans.scan import Format, Pixels, Scan, as_file_pixels
from oldphoto_core.scans.vips import translated

OutputFormat = Literal["keep", "tiff", "png", "jpeg"]

_DEFAULT_QUALITY = 95
_WEBP_QUALITY = 92
_BIGTIFF_FROM = 3_900_000_000
"""Bytes of pixels from which offsets may not fit into 32 bits."""
_NONE = 0
"""libvips writes no metadata: what the source carried is put in byte for byte afterwards."""


def write_scan(scan: Scan, pixels: Pixels, *, format: OutputFormat = "keep") -> bytes:  # noqa: A002
    """A file with these pixels and everything else from the scan: alpha, profile, resolution, orientation, metadata.

    The same input gives the same bytes. What was lossless stays so; a JPEG is no coarser than its source.

    Args:
        scan: What the file is derived from.
        pixels: HWC (or HW for grey) of the scan's own size, channels and dtype.
        format: "keep" for the scan's format. JPEG holds 8 bits a channel, so 16 are rounded to 8.

    Raises:
        UnsupportedScan: pixels that do not fit the scan, transparency in a JPEG, a side too long for the format.
    """
    target: Format = scan.format if format == "keep" else format
    pixels = _checked(scan, pixels)
    carried = Carried(
        encoding=scan.encoding,
        orientation=scan.orientation,
        resolution=scan.resolution,
        icc_profile=scan.icc_profile,
        metadata=scan.metadata,
    )
    try:
        with translated("written"):
            return _encoded(scan, pixels, target, carried)
    except UnsupportedScan:
        raise
    except ScanError as error:
        raise UnsupportedScan(f"as {target} it {error}: choose another format") from error


def _checked(scan: Scan, pixels: Pixels) -> Pixels:
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.shape != scan.pixels.shape or pixels.dtype != scan.pixels.dtype:
        raise UnsupportedScan(
            f"pixels {pixels.shape} {pixels.dtype} do not fit their scan {scan.pixels.shape} {scan.pixels.dtype}: "
            "restore to the same size, channels and depth"
        )
    return pixels


def _encoded(scan: Scan, pixels: Pixels, target: Format, carried: Carried) -> bytes:
    if target == "jpeg":
        return jpeg.insert_carried(_as_jpeg(scan, pixels), carried)
    image = _as_image(as_file_pixels(scan, pixels))
    if target == "png":
        return png.insert_carried(_as_png(image), carried)
    if target == "webp":
        return webp.insert_carried(_as_webp(scan, image), carried, scan.width, scan.height)
    return tiff.insert_carried(_as_tiff(scan, image), carried)


def _as_jpeg(scan: Scan, pixels: Pixels) -> bytes:
    if scan.alpha is not None and int(scan.alpha.min()) < np.iinfo(scan.alpha.dtype).max:
        raise UnsupportedScan("a JPEG cannot hold this scan's transparency: choose png or tiff")
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    encoding = scan.encoding
    return bytes(
        _as_image(pixels).jpegsave_buffer(
            Q=encoding.jpeg_quality or _DEFAULT_QUALITY,
            subsample_mode="on" if encoding.chroma == "4:2:0" else "off",
            interlace=encoding.progressive,
            optimize_coding=True,
            keep=_NONE,
        )
    )


def _as_png(image: Any) -> bytes:
    return bytes(image.pngsave_buffer(compression=6, filter="all", keep=_NONE))


def _as_webp(scan: Scan, image: Any) -> bytes:
    quality = {"lossless": True, "exact": True} if scan.encoding.lossless else {"Q": _WEBP_QUALITY, "alpha_q": 100}
    return bytes(image.webpsave_buffer(keep=_NONE, **quality))


def _as_tiff(scan: Scan, image: Any) -> bytes:
    compression = scan.encoding.tiff_compression or "deflate"
    size = image.width * image.height * image.bands * (2 if image.format == "ushort" else 1)
    return bytes(
        image.tiffsave_buffer(
            compression=compression,
            predictor="horizontal",
            bigtiff=scan.encoding.bigtiff or size > _BIGTIFF_FROM,
            keep=_NONE,
        )
    )


def _as_image(pixels: Pixels) -> Any:
    height, width, bands = pixels.shape
    wide = pixels.dtype == np.uint16
    kind = ("grey16" if wide else "b-w") if bands < 3 else ("rgb16" if wide else "srgb")
    data = np.ascontiguousarray(pixels)
    image = pyvips.Image.new_from_memory(data.data, width, height, bands, "ushort" if wide else "uchar")
    return image.copy(interpretation=kind)
