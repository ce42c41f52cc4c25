"""Decoding: a file to a Scan, in memory or on disk, at full depth, or a ScanError."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from oldphoto_core.errors import ScanError, ScanTooLarge, UnreadableScan, UnsupportedScan
from oldphoto_core.scans import jpeg, jpeg2000, kinds, png, tiff, webp
from oldphoto_core.scans.carried import Carried
from oldphoto_core.scans.formats import HEAD, recognise
from oldphoto_core.scans.raw import RawPixels, new_pixels
from oldphoto_core.scans.scan import Format, Pixels, Scan, ScanHeader, SpooledScan, fields_of
from oldphoto_core.scans.views import Data, FileView
from oldphoto_core.scans.vips import dtype_of, image_of, slabs_of, translated

T = TypeVar("T")

DEFAULT_MAX_PIXELS = 500_000_000
"""Bound on width x height when the caller states none: 3 GB of 16-bit RGB."""

_READ_CARRIED: dict[Format, Callable[[Data], Carried]] = {
    "jpeg": jpeg.read_carried,
    "png": png.read_carried,
    "tiff": tiff.read_carried,
    "webp": webp.read_carried,
    "jpeg2000": jpeg2000.read_carried,
}
_CHECK_WHOLE: dict[Format, Callable[[Data], None]] = {
    "jpeg": jpeg.check_whole,
    "png": png.check_whole,
    "tiff": tiff.check_whole,
    "webp": webp.check_whole,
    "jpeg2000": jpeg2000.check_whole,
}
_DEPTHS = {"uchar": 8, "char": 8, "ushort": 16, "short": 16, "uint": 32, "int": 32, "float": 32, "double": 64}
_KINDS = ("b-w", "grey16", "srgb", "rgb16", "rgb")
_JPEG = "vipsjpeg"
"""What the JPEG decoder's own messages hold."""
_HARMLESS = ("extraneous bytes before marker", "unknown adobe color transform")


def read_header(data: bytes) -> ScanHeader:
    """Format, size and depth of a file, without decoding a pixel.

    Raises:
        UnreadableScan, TruncatedScan, UnsupportedScan: as `read_scan`, as far as the header shows.
    """
    with translated("read"):
        return _judged_header(data)


def read_header_of(path: str | os.PathLike[str]) -> ScanHeader:
    """`read_header` of a file on this machine, of which only the beginning and the directory are read."""
    with translated("read"), FileView(path) as data:
        return _judged_header(data)


def judge_header(data: Data, *, max_pixels: int | None = None) -> ScanHeader:
    """The header of a file of which no more than that need be there. Errors as `read_scan`, as far as it shows."""
    with translated("read"):
        format_ = recognise(data[:HEAD])
        if format_ == "jpeg2000":
            header = jpeg2000.read_header(data)
            check_size(header, max_pixels)
            jpeg2000.check_kind(data)
            return header
        if format_ == "webp":
            # libvips goes on to the pixels at once
            header = webp.read_header(data)
            check_size(header, max_pixels)
            return header
        image = kinds.open_scan(data, format_)
        header = _header(format_, image)
        check_size(header, max_pixels)
        _check_kind(data, format_, kinds.as_grey_or_rgb(image))
    return header


def check_whole(data: Data, format: Format) -> None:  # noqa: A002
    """Raises TruncatedScan or UnreadableScan when a file's structure shows that something of it is missing."""
    _CHECK_WHOLE[format](data)


def read_scan(data: bytes, *, max_pixels: int | None = None) -> Scan:
    """Decodes a file completely, or not at all. The size is judged before a pixel is decoded.

    Args:
        data: The whole file. Its format is recognised by its content.
        max_pixels: Bound on width x height; None for DEFAULT_MAX_PIXELS.

    Raises:
        ScanTooLarge: over the bound.
        UnsupportedScan: an image of a kind that is not handled (64-bit float, several pages, ...).
        TruncatedScan, UnreadableScan: cut short, damaged, or no image.
    """
    with translated("read"):
        format_, (pixels, alpha), carried = _read(data, max_pixels, _in_memory)
    return Scan(pixels=pixels, alpha=alpha, format=format_, **fields_of(carried))


def spool_scan(
    path: str | os.PathLike[str], folder: str | os.PathLike[str], *, max_pixels: int | None = None
) -> SpooledScan:
    """`read_scan` from file to file: the pixels are decoded into `folder`, and neither they nor the file into memory.

    Args:
        path: The file. Its format is recognised by its content.
        folder: Where files of the pixels are made, height x width x channels x 1 or 2 bytes; the caller removes them.
        max_pixels: Bound on width x height; None for DEFAULT_MAX_PIXELS.

    Raises:
        ScanTooLarge, UnsupportedScan, TruncatedScan, UnreadableScan: as `read_scan`; nothing is left in the folder.
        ScanTooLarge: the folder has no room.
    """
    with translated("read"), FileView(path) as data:
        format_, (pixels, alpha), carried = _read(data, max_pixels, lambda image: _on_disk(image, folder))
    return SpooledScan(pixels=pixels, alpha=alpha, format=format_, **fields_of(carried))


def read_stored(data: Data) -> tuple[ScanHeader, Carried]:
    """Header and what is carried, both as the file has them: nothing converted, `converted` naming what would be.

    The file must be one that `read_scan` takes, else what is wrong with it may be told wrongly.
    """
    format_ = recognise(data[:HEAD])
    carried = _READ_CARRIED[format_](data)
    if format_ == "jpeg2000":
        return jpeg2000.read_header(data), carried
    image = kinds.open_scan(data, format_)
    header = ScanHeader(format_, image.width, image.height, image.bands, _DEPTHS.get(image.format, 0))
    return header, replace(carried, converted=kinds.kind_of(image))


def check_size(header: ScanHeader, max_pixels: int | None) -> None:
    """Raises ScanTooLarge when the picture has more pixels than the bound (None: DEFAULT_MAX_PIXELS)."""
    bound = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    if header.width * header.height > bound:
        raise ScanTooLarge(
            f"{header.width} x {header.height} pixels ({header.megapixels:.1f} megapixels) are more than "
            f"the bound of {bound / 1e6:.1f} megapixels: raise the bound, or scale the scan down"
        )


def _opened(data: Data) -> tuple[Format, Any]:
    format_ = recognise(data[:HEAD])
    return format_, kinds.open_scan(data, format_)


def _read(data: Data, max_pixels: int | None, take: Callable[[Any], T]) -> tuple[Format, T, Carried]:
    """A file's format, what `take` makes of its image (which decodes it), and what it carries; or a ScanError."""
    format_ = recognise(data[:HEAD])
    _CHECK_WHOLE[format_](data)
    if format_ == "jpeg2000":
        return format_, take(_jpeg2000_image(data, max_pixels)), jpeg2000.read_carried(data)
    image = kinds.open_scan(data, format_)
    check_size(_header(format_, image), max_pixels)
    _check_kind(data, format_, kinds.as_grey_or_rgb(image))
    kind = kinds.kind_of(image)
    carried = kinds.carried_by(_READ_CARRIED[format_](data), kind)
    if kind == "float":
        # opened anew, as an image gives its pixels only once
        kinds.check_values(kinds.open_scan(data, format_))
    return format_, _decoded(data, format_, image, lambda image: take(kinds.as_grey_or_rgb(image))), carried


def _judged_header(data: Data) -> ScanHeader:
    if recognise(data[:HEAD]) == "jpeg2000":
        return jpeg2000.read_header(data)
    try:
        return _header(*_opened(data))
    except ScanError:
        # of a file that was cut short, the decoder only says that it cannot make sense of it
        _CHECK_WHOLE[recognise(data[:HEAD])](data)
        raise


def _jpeg2000_image(data: Data, max_pixels: int | None) -> Any:
    """A pyvips image of pixels that are decoded already."""
    check_size(jpeg2000.read_header(data), max_pixels)
    jpeg2000.check_kind(data)
    return image_of(jpeg2000.decode(data))


def _header(format_: Format, image: Any) -> ScanHeader:
    image = kinds.as_grey_or_rgb(image)
    return ScanHeader(format_, image.width, image.height, image.bands, _DEPTHS.get(image.format, 0))


def _check_kind(data: Data, format_: Format, image: Any) -> None:
    depth, kind = _DEPTHS.get(image.format, 0), image.interpretation
    if image.format not in ("uchar", "ushort"):
        raise UnsupportedScan(f"{depth} bits a channel ({image.format}): convert it to 8 or 16 bits")
    if kind not in _KINDS or image.bands - image.hasalpha() not in (1, 3) or image.bands > 4:
        raise UnsupportedScan(f"{image.bands} channels of kind {kind}: convert it to grey or RGB")
    if format_ == "tiff":
        tiff.check_single_page(data)
    elif "n-pages" in image.get_fields() and image.get("n-pages") > 1:
        raise UnsupportedScan(f"an animation of {image.get('n-pages')} pictures: save the one that matters by itself")


def _decoded(data: Data, format_: Format, image: Any, take: Callable[[Any], T]) -> T:
    if format_ == "tiff" and tiff.is_fax(data):
        return _fax_decoded(data, take)
    if format_ != "jpeg":
        return take(image)
    try:
        # of damage inside the picture libjpeg only warns, and goes on with grey
        return take(kinds.open_scan(data, format_, strict=True))
    except ScanError as error:
        if not _is_harmless(str(error)):
            raise
    return take(image)


def _fax_decoded(data: Data, take: Callable[[Any], T]) -> T:
    # of a strip that ends before its rows do libtiff only warns, and leaves the rest white
    image = kinds.open_scan(data, "tiff", strict=True)
    try:
        return take(image)
    except ScanTooLarge:
        raise
    except ScanError as error:
        raise UnreadableScan(f"damaged data inside its CCITT (fax) compression: copy it again ({error})") from error


def _is_harmless(message: str) -> bool:
    # libvips has one list of messages for all images and threads: a line of another photo excuses nothing in this one
    lines = [line for line in message.lower().split("; ") if _JPEG in line]
    return bool(lines) and all(any(phrase in line for phrase in _HARMLESS) for line in lines)


def _in_memory(image: Any) -> tuple[Pixels, Pixels | None]:
    """All pixels of an image: HWC, and HW of its alpha."""
    with translated("decoded"):
        raw = image.write_to_memory()
    array = np.frombuffer(raw, dtype=dtype_of(image))
    if array.size != image.height * image.width * image.bands:
        raise UnreadableScan("the decoder gave another number of pixels than the header promised: copy it again")
    array = array.reshape(image.height, image.width, image.bands)
    if array.shape[2] in (1, 3):
        return array, None
    return np.ascontiguousarray(array[..., :-1]), np.ascontiguousarray(array[..., -1])


def _on_disk(image: Any, folder: str | os.PathLike[str]) -> tuple[RawPixels, RawPixels | None]:
    """The same in files; when decoding fails they are removed again."""
    colours = image.bands if image.bands in (1, 3) else image.bands - 1
    shape = (image.height, image.width)
    with ExitStack() as files:
        pixels = files.enter_context(new_pixels(folder, "pixels", (*shape, colours), dtype_of(image)))
        alpha = None
        if colours < image.bands:
            alpha = files.enter_context(new_pixels(folder, "alpha", (*shape, 1), dtype_of(image)))
        for top, rows in slabs_of(image):
            pixels.write(top, rows[..., :colours])
            if alpha is not None:
                alpha.write(top, rows[..., colours:])
    return pixels, alpha
