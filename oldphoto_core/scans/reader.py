"""Decoding: a file to a Scan, in memory or on disk, at full depth, or a ScanError."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from oldphoto_core.errors import ScanError, TruncatedScan, UnreadableScan
from oldphoto_core.scans import colour_conversion
from oldphoto_core.scans.container_metadata import ContainerMetadata
from oldphoto_core.scans.formats import FORMATS, HEAD, Format, recognise
from oldphoto_core.scans.formats.reading import WholeDecoder
from oldphoto_core.scans.headers import check_kind, check_size, check_whole, header_of, reader_of, seen
from oldphoto_core.scans.raw import RawPixels, new_pixels
from oldphoto_core.scans.scan import Pixels, Scan, SpooledScan, fields_of
from oldphoto_core.scans.tiff import pages
from oldphoto_core.scans.views import Data, FileView
from oldphoto_core.scans.vips import dtype_of, image_of, slabs_of, translated

T = TypeVar("T")
Taken = tuple[T, colour_conversion.Kind | None, tuple[str, ...]]


def read_scan(file: bytes | str | os.PathLike[str], *, max_pixels: int | None = None, page: int | None = None) -> Scan:
    """Decodes a file completely, or not at all. The size is judged before a pixel is decoded.

    Args:
        file: The whole file, or its path. Its format is recognised by its content.
        max_pixels: Bound on width x height; None for DEFAULT_MAX_PIXELS.
        page: Which page of a TIFF, from 1; None: the only one.

    Raises:
        ScanTooLarge: over the bound.
        UnsupportedScan: an image of a kind that is not handled (64-bit float, several pages, ...).
        TruncatedScan, UnreadableScan: cut short, damaged, or no image.
    """
    with translated("read"), seen(file) as data:
        format_, (pixels, alpha), container = _read(data, max_pixels, _in_memory, page)
    return Scan(pixels=pixels, alpha=alpha, format=format_, **fields_of(container))


def spool_scan(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    max_pixels: int | None = None,
    page: int | None = None,
) -> SpooledScan:
    """`read_scan` from file to file: the pixels are decoded into `folder`, and neither they nor the file into memory.

    Args:
        path: The file. Its format is recognised by its content.
        folder: Where files of the pixels are made, height x width x channels x 1 or 2 bytes; the caller removes them.
        max_pixels: Bound on width x height; None for DEFAULT_MAX_PIXELS.
        page: Which page of a TIFF, from 1; None: the only one.

    Raises:
        ScanTooLarge, UnsupportedScan, TruncatedScan, UnreadableScan: as `read_scan`; nothing is left in the folder.
        ScanTooLarge: the folder has no room.
    """
    take = partial(_on_disk, folder=folder)
    format_, (pixels, alpha), container = read_image(path, take, max_pixels=max_pixels, page=page)
    return SpooledScan(pixels=pixels, alpha=alpha, format=format_, **fields_of(container))


def read_image(
    path: str | os.PathLike[str], take: Callable[[Any], T], *, max_pixels: int | None = None, page: int | None = None
) -> tuple[Format, T, ContainerMetadata]:
    """`read_scan` for whoever takes the pixels as they are decoded: `take` is given a pyvips image of them.

    Returns the format, what `take` returned, and everything but the pixels.

    Raises: as `spool_scan`.
    """
    with translated("read"), FileView(path) as data:
        return _read(data, max_pixels, take, page)


def split(bands: int) -> int:
    """How many of so many channels are colours: the others are alpha."""
    return bands if bands in (1, 3) else bands - 1


def _read(
    data: Data, max_pixels: int | None, take: Callable[[Any], T], number: int | None
) -> tuple[Format, T, ContainerMetadata]:
    """A file's format, what `take` makes of its image (which decodes it), and what it carries; or a ScanError."""
    format_ = recognise(data[:HEAD])
    if FORMATS[format_].has_pages:
        return _read_page(data, max_pixels, take, number, format_)
    check_whole(data, format_)
    return _read_image(data, max_pixels, take, format_)


def _read_page(
    data: Data, max_pixels: int | None, take: Callable[[Any], T], number: int | None, format_: Format
) -> tuple[Format, T, ContainerMetadata]:
    """The same of one page, which must be whole."""
    view, page, _ = pages.page_view(data, number)
    format_, taken, container = _read_image(view, max_pixels, take, format_)
    return format_, taken, pages.with_pages(container, page)


def _read_image(
    data: Data, max_pixels: int | None, take: Callable[[Any], T], format_: Format
) -> tuple[Format, T, ContainerMetadata]:
    reader = reader_of(format_)
    if (decoder := reader.whole_decoder(data)) is not None:
        return format_, take(_image_in_one_piece(decoder, data, max_pixels)), decoder.read_container_metadata(data)
    container = reader.read_container_metadata(data)
    data = reader.sound(data)
    try:
        taken, kind, remarks = _taken(data, max_pixels, take, format_)
    except (UnreadableScan, TruncatedScan) as error:
        if reader.bare is None:
            raise
        taken, kind, _ = _taken_bare(reader.bare, data, max_pixels, take, format_, error)
        remarks = (f"some of its tags make no sense ({error})",)
    return (
        format_,
        taken,
        colour_conversion.container_of(replace(container, remarks=(*container.remarks, *remarks)), kind),
    )


def _taken(data: Data, max_pixels: int | None, take: Callable[[Any], T], format_: Format) -> Taken[T]:
    """What `take` makes of an image, what its pixels were converted from, and what is wrong without touching one."""
    reader = reader_of(format_)
    image = reader.opened(data)
    check_size(header_of(format_, image), max_pixels)
    check_kind(format_, colour_conversion.as_grey_or_rgb(image))
    kind = colour_conversion.kind_of(image)
    if kind == "float":
        # opened anew, as an image gives its pixels only once
        colour_conversion.check_values(reader.opened(data))
    taken, remarks = reader.decode(data, image, lambda image: take(colour_conversion.as_grey_or_rgb(image)))
    return taken, kind, remarks


def _taken_bare(
    bare: Callable[[Data], Data],
    data: Data,
    max_pixels: int | None,
    take: Callable[[Any], T],
    format_: Format,
    why: ScanError,
) -> Taken[T]:
    """The same without the tags that the pixels do not need, as the decoder may have stumbled over one of those."""
    try:
        return _taken(bare(data), max_pixels, take, format_)
    except (UnreadableScan, TruncatedScan):
        raise why from None


def _image_in_one_piece(decoder: WholeDecoder, data: Data, max_pixels: int | None) -> Any:
    """A pyvips image of pixels that are decoded already."""
    check_size(decoder.read_header(data), max_pixels)
    decoder.check_kind(data)
    return image_of(decoder.decode(data))


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
    colours = split(image.bands)
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
