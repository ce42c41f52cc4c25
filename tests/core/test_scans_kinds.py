"""Kinds of files beyond grey and RGB of 8 and 16 bits: what of them is read, and what their derivative is."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scan_files import encoded, photo

from oldphoto_core.errors import UnreadableScan
from oldphoto_core.scans import read_scan, write_scan
from oldphoto_core.scans.ifd import read_ifd


def saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    """A file made by Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


GREY, RGB = Image.fromarray(photo(1, 8)[..., 0]), Image.fromarray(photo(3, 8))
DRAWING = GREY.convert("1")
FAX = {name: saved(DRAWING, "TIFF", compression=name) for name in ("tiff_ccitt", "group3", "group4")}


@pytest.mark.parametrize(
    ("format_", "colours", "bits"), [("PNG", 200, 8), ("PNG", 12, 4), ("PNG", 2, 1), ("TIFF", 200, 8)]
)
def test_a_palette_becomes_the_colours_that_it_names(format_: str, colours: int, bits: int) -> None:
    image = RGB.quantize(colours)
    master = read_scan(saved(image, format_, **({"bits": bits} if format_ == "PNG" else {})))
    assert np.array_equal(master.pixels, np.asarray(image.convert("RGB")))
    derivative = read_scan(write_scan(master, master.pixels))
    assert (derivative.format, derivative.bits, derivative.channels) == (format_.lower(), 8, 3)
    assert np.array_equal(derivative.pixels, master.pixels)


def test_a_transparent_colour_of_a_palette_becomes_alpha() -> None:
    image = RGB.quantize(50)
    master = read_scan(saved(image, "PNG", transparency=3))
    assert master.alpha is not None
    assert np.array_equal(master.alpha == 0, np.asarray(image) == 3)


def test_a_palette_of_greys_is_grey_in_a_tiff_and_colour_in_a_png() -> None:
    image = GREY.convert("P")
    tiff, png = (read_scan(saved(image, format_)).pixels for format_ in ("TIFF", "PNG"))
    assert np.array_equal(tiff, photo(1, 8))
    assert np.array_equal(png, np.repeat(photo(1, 8), 3, axis=2))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize(("format_", "options"), [("png", {}), ("tiff", {}), ("tiff", {"compression": "packbits"})])
def test_few_bits_are_spread_over_eight(bits: int, format_: str, options: dict[str, Any]) -> None:
    spread = (photo(1, 8) >> (8 - bits)) * np.uint8(255 // (2**bits - 1))
    data = encoded(spread, format_, bitdepth=bits, **options)
    assert len(data) < spread.size * bits // 8 + 1000
    master = read_scan(data)
    assert np.array_equal(master.pixels, spread)
    derivative = read_scan(write_scan(master, master.pixels))
    assert np.array_equal(derivative.pixels, master.pixels)
    assert derivative.encoding == master.encoding


@pytest.mark.parametrize("compression", FAX)
def test_a_fax_tiff_becomes_a_grey_one_of_eight_bits(compression: str) -> None:
    master = read_scan(FAX[compression])
    assert np.array_equal(master.pixels[..., 0], np.asarray(DRAWING.convert("L")))
    derivative = write_scan(master, master.pixels)
    assert np.array_equal(read_scan(derivative).pixels, master.pixels)
    assert read_ifd(derivative)[258].integers() == (8,)


@pytest.mark.parametrize("white", [0, 1])
def test_black_is_black_whichever_way_a_tiff_counts(white: int) -> None:
    master = read_scan(encoded(photo(1, 8), "tiff", miniswhite=bool(white)))
    assert np.array_equal(master.pixels, photo(1, 8))


@pytest.mark.parametrize("compression", FAX)
def test_a_fax_tiff_damaged_inside_is_not_restored_with_a_white_rest(compression: str) -> None:
    data = bytearray(FAX[compression])
    entries = read_ifd(bytes(data))
    start, length = entries[273].integers()[0], entries[279].integers()[0]
    data[start + length // 2 : start + length] = bytes(length - length // 2)
    with pytest.raises(UnreadableScan, match="CCITT"):
        read_scan(bytes(data))
