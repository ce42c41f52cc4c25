"""Decoding: bytes of a file to a Scan, at full depth, or a ScanError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oldphoto_core.errors import ScanError, ScanTooLarge, UnreadableScan, UnsupportedScan
from oldphoto_core.scans import jpeg, png, tiff, webp
from oldphoto_core.scans.carried import Carried
from oldphoto_core.scans.formats import recognise
from oldphoto_core.scans.scan import Format, Pixels, Scan, ScanHeader
from oldphoto_core.scans.vips import open_image, translated

DEFAULT_MAX_PIXELS = 500_000_000
"""Bound on width x height when the caller states none: 3 GB of 16-bit RGB."""

_READ_CARRIED: dict[Format, Callable[[bytes], Carried]] = {
    "jpeg": jpeg.read_carried,
    "png": png.read_carried,
    "tiff": tiff.read_carried,
    "webp": webp.read_carried,
}
_CHECK_WHOLE: dict[Format, Callable[[bytes], None]] = {
    "jpeg": jpeg.check_whole,
    "png": png.check_whole,
    "tiff": tiff.check_whole,
    "webp": webp.check_whole,
}
_DEPTHS = {"uchar": 8, "char": 8, "ushort": 16, "short": 16, "uint": 32, "int": 32, "float": 32, "double": 64}
_KINDS = ("b-w", "grey16", "srgb", "rgb16", "rgb")
_HARMLESS = ("extraneous bytes before marker", "unknown adobe color transform")


def read_header(data: bytes) -> ScanHeader:
    """Format, size and depth of a file, without decoding a pixel.

    Raises:
        UnreadableScan, TruncatedScan, UnsupportedScan: as `read_scan`, as far as the header shows.
    """
    with translated("read"):
        return _header(recognise(data), open_image(data, recognise(data)))


def read_scan(data: bytes, *, max_pixels: int | None = None) -> Scan:
    """Decodes a file completely, or not at all. The size is judged before a pixel is decoded.

    Args:
        data: The whole file. Its format is recognised by its content.
        max_pixels: Bound on width x height; None for DEFAULT_MAX_PIXELS.

    Raises:
        ScanTooLarge: over the bound.
        UnsupportedScan: an image of a kind that is not handled (CMYK, float, several pages, ...).
        TruncatedScan, UnreadableScan: cut short, damaged, or no image.
    """
    with translated("read"):
        format_ = recognise(data)
        _CHECK_WHOLE[format_](data)
        image = open_image(data, format_)
        check_size(_header(format_, image), max_pixels)
        _check_kind(data, format_, image)
        pixels, alpha = _split(_decoded(data, format_, image))
        carried = _READ_CARRIED[format_](data)
    return Scan(
        pixels=pixels,
        alpha=alpha,
        format=format_,
        encoding=carried.encoding,
        orientation=carried.orientation,
        resolution=carried.resolution,
        icc_profile=carried.icc_profile,
        metadata=carried.metadata,
    )


def check_size(header: ScanHeader, max_pixels: int | None) -> None:
    """Raises ScanTooLarge when the picture has more pixels than the bound (None: DEFAULT_MAX_PIXELS)."""
    bound = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    if header.width * header.height > bound:
        raise ScanTooLarge(
            f"{header.width} x {header.height} pixels ({header.megapixels:.1f} megapixels) are more than "
            f"the bound of {bound / 1e6:.1f} megapixels: raise the bound, or scale the scan down"
        )


def _header(format_: Format, image: Any) -> ScanHeader:
    return ScanHeader(format_, image.width, image.height, image.bands, _DEPTHS.get(image.format, 0))


def _check_kind(data: bytes, format_: Format, image: Any) -> None:
    depth, kind = _DEPTHS.get(image.format, 0), image.interpretation
    if image.format not in ("uchar", "ushort"):
        raise UnsupportedScan(f"{depth} bits a channel ({image.format}): convert it to 8 or 16 bits")
    if kind not in _KINDS or image.bands - image.hasalpha() not in (1, 3) or image.bands > 4:
        raise UnsupportedScan(f"{image.bands} channels of kind {kind}: convert it to grey or RGB")
    if format_ == "tiff":
        tiff.check_single_page(data)
    elif "n-pages" in image.get_fields() and image.get("n-pages") > 1:
        raise UnsupportedScan(f"an animation of {image.get('n-pages')} pictures: save the one that matters by itself")


def _decoded(data: bytes, format_: Format, image: Any) -> Pixels:
    if format_ != "jpeg":
        return _as_array(image)
    try:
        # of damage inside the picture libjpeg only warns, and goes on with grey
        return _as_array(open_image(data, format_, strict=True))
    except ScanError as error:
        if not any(phrase in str(error).lower() for phrase in _HARMLESS):
            raise
    return _as_array(image)


def _split(array: Pixels) -> tuple[Pixels, Pixels | None]:
    if array.shape[2] in (1, 3):
        return array, None
    return np.ascontiguousarray(array[..., :-1]), np.ascontiguousarray(array[..., -1])


def _as_array(image: Any) -> Pixels:
    with translated("decoded"):
        raw = image.write_to_memory()
    dtype = np.uint8 if image.format == "uchar" else np.uint16
    array = np.frombuffer(raw, dtype=dtype)
    if array.size != image.height * image.width * image.bands:
        raise UnreadableScan("the decoder gave another number of pixels than the header promised: copy it again")
    return array.reshape(image.height, image.width, image.bands)
