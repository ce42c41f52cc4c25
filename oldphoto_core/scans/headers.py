"""What files say of themselves before a pixel is decoded, and whether it can be read at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from oldphoto_core.errors import ScanError, ScanTooLarge, TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans import colour_conversion
from oldphoto_core.scans.container_metadata import ContainerMetadata
from oldphoto_core.scans.formats import FORMATS, HEAD, Format, recognise
from oldphoto_core.scans.formats.reading import Reader
from oldphoto_core.scans.scan import ScanHeader
from oldphoto_core.scans.selection import ALL_PAGES, PageSelection
from oldphoto_core.scans.tiff import pages
from oldphoto_core.scans.views import Data, FileView
from oldphoto_core.scans.vips import translated

DEFAULT_MAX_PIXELS = 500_000_000
"""Bound on width x height when the caller states none: 3 GB of 16-bit RGB."""

_DEPTHS = {"uchar": 8, "char": 8, "ushort": 16, "short": 16, "uint": 32, "int": 32, "float": 32, "double": 64}
_KINDS = ("b-w", "grey16", "srgb", "rgb16", "rgb")


def reader_of(format: Format) -> Reader:  # noqa: A002
    """How files of a format are read."""
    return FORMATS[format].reader()


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


def read_pages(
    file: bytes | str | os.PathLike[str], selection: PageSelection = ALL_PAGES, *, max_pixels: int | None = None
) -> tuple[ScanHeader, ...]:
    """The headers of all pages of a file, the only one's of most.

    Those that are selected are judged as `read_scan` would; the others stand as their directories state them, and only
    their size is judged.

    Raises:
        UnsupportedScan: of the pages, there are several and none of them is selected.
        ScanError: as `read_scan`, as far as headers show.
    """
    with translated("read"), seen(file) as data:
        check_whole(data, recognise(data[:HEAD]))
        return judge_pages(data, selection, max_pixels=max_pixels)


def judge_pages(
    data: Data, selection: PageSelection = ALL_PAGES, *, max_pixels: int | None = None
) -> tuple[ScanHeader, ...]:
    """`read_pages` of a file of which no more than its headers need be there; whether it is whole is not judged."""
    if not FORMATS[recognise(data[:HEAD])].has_pages:
        return (judge_header(data, max_pixels=max_pixels),)
    found = pages.pages_of(data)
    if len(found) == 1:
        return (judge_header(pages.viewed(data, found[0]), max_pixels=max_pixels),)
    chosen = pages.photos_of(found, selection)
    if not chosen:
        named = "masks alone" if selection.of(len(found)) else "none of them"
        raise UnsupportedScan(f"a TIFF of {len(found)} pages, and --pages {selection} names {named}")
    headers = []
    for number, page in enumerate(found, start=1):
        header = pages.stated_header(page, len(found))
        with _of_page(number):
            check_size(header, max_pixels)
            if number in chosen:
                header = replace(judge_header(pages.viewed(data, page), max_pixels=max_pixels), pages=len(found))
        headers.append(header)
    return tuple(headers)


def judge_header(data: Data, *, max_pixels: int | None = None) -> ScanHeader:
    """The header of a file of which no more than that need be there. Errors as `read_scan`, as far as it shows.

    Of a page, where it was made to come first.
    """
    with translated("read"):
        format_ = recognise(data[:HEAD])
        reader = reader_of(format_)
        if (decoder := reader.whole_decoder(data)) is not None:
            header = decoder.read_header(data)
            check_size(header, max_pixels)
            decoder.check_kind(data)
            return header
        if reader.read_header is not None:
            header = reader.read_header(data)
            check_size(header, max_pixels)
            return header
        reader.check_coding(data)
        image = opened(data, reader)
        header = header_of(format_, image)
        check_size(header, max_pixels)
        check_kind(format_, colour_conversion.as_grey_or_rgb(image))
    return header


def check_whole(data: Data, format: Format) -> None:  # noqa: A002
    """Raises TruncatedScan or UnreadableScan when a file's structure shows that something of it is missing."""
    reader_of(format).check_whole(data)


def read_stored(data: Data, page: int | None = None) -> tuple[ScanHeader, ContainerMetadata]:
    """Header and what is carried, both as the file has them: nothing converted, `converted` naming what would be.

    The file must be one that `read_scan` takes, else what is wrong with it may be told wrongly.
    """
    format_ = recognise(data[:HEAD])
    reader = reader_of(format_)
    if FORMATS[format_].has_pages:
        data, _, _ = pages.page_view(data, page)
    container = reader.read_container_metadata(data)
    if (decoder := reader.whole_decoder(data)) is not None:
        return decoder.stored_header(data), container
    image = opened(data, reader)
    header = ScanHeader(format_, image.width, image.height, image.bands, _DEPTHS.get(image.format, 0))
    return header, replace(container, converted=colour_conversion.kind_of(image))


def check_size(header: ScanHeader, max_pixels: int | None) -> None:
    """Raises ScanTooLarge when the picture has more pixels than the bound (None: DEFAULT_MAX_PIXELS)."""
    bound = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    if header.width * header.height > bound:
        raise ScanTooLarge(
            f"{header.width} x {header.height} pixels ({header.megapixels:.1f} megapixels) are more than "
            f"the bound of {bound / 1e6:.1f} megapixels: raise the bound, or scale the scan down"
        )


@contextlib.contextmanager
def seen(file: bytes | str | os.PathLike[str]) -> Iterator[Data]:
    """A file's bytes, or a view of the file at a path."""
    if isinstance(file, bytes):
        yield file
        return
    with FileView(file) as data:
        yield data


@contextlib.contextmanager
def _of_page(number: int) -> Iterator[None]:
    """Says of an error which page it is about."""
    try:
        yield
    except ScanError as error:
        raise type(error)(f"page {number}: {error}") from error


def _judged_header(data: Data) -> ScanHeader:
    format_ = recognise(data[:HEAD])
    try:
        if FORMATS[format_].has_pages:
            found = pages.pages_of(data)
            if len(found) > 1:
                return pages.stated_header(found[0], len(found))
            data = pages.viewed(data, found[0])
        reader = reader_of(format_)
        if (decoder := reader.whole_decoder(data)) is not None:
            return decoder.read_header(data)
        return header_of(format_, opened(data, reader))
    except ScanError:
        # of a file that was cut short, the decoder only says that it cannot make sense of it
        check_whole(data, recognise(data[:HEAD]))
        raise


def opened(data: Data, reader: Reader) -> Any:
    """A pyvips image; of a file over whose structure the decoder stumbles, as it should have been written."""
    try:
        return reader.opened(data)
    except (UnreadableScan, TruncatedScan, UnsupportedScan):
        if reader.sound_head is None:
            raise
        return reader.opened(reader.sound_head(data))


def header_of(format_: Format, image: Any) -> ScanHeader:
    """Of a pyvips image, as it will be when it is grey or RGB."""
    image = colour_conversion.as_grey_or_rgb(image)
    return ScanHeader(format_, image.width, image.height, image.bands, _DEPTHS.get(image.format, 0))


def check_kind(format_: Format, image: Any) -> None:
    """Raises UnsupportedScan for a pyvips image that is not grey or RGB of 8 or 16 bits, or is one of several."""
    depth, kind = _DEPTHS.get(image.format, 0), image.interpretation
    if image.format not in ("uchar", "ushort"):
        raise UnsupportedScan(f"{depth} bits a channel ({image.format}): convert it to 8 or 16 bits")
    if kind not in _KINDS or image.bands - image.hasalpha() not in (1, 3) or image.bands > 4:
        raise UnsupportedScan(f"{image.bands} channels of kind {kind}: convert it to grey or RGB")
    if not FORMATS[format_].has_pages and "n-pages" in image.get_fields() and image.get("n-pages") > 1:
        raise UnsupportedScan(f"an animation of {image.get('n-pages')} pictures: save the one that matters by itself")
