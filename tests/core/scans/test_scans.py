"""Scans in and out: what a master has, its derivative has."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image
from scan_files import encoded, exif_block, photo

from oldphoto_core.errors import MaskMismatch, UnsupportedScan
from oldphoto_core.scans import (
    Resolution,
    file_extension,
    read_header,
    read_mask,
    read_scan,
    write_mask,
    write_scan,
)

LOSSLESS = [
    *[("png", bands, bits, {}) for bands in (1, 2, 3, 4) for bits in (8, 16)],
    *[
        ("tiff", bands, bits, {"compression": compression})
        for bands in (1, 2, 3, 4)
        for bits in (8, 16)
        for compression in ("none", "lzw", "deflate", "packbits")
    ],
    ("webp", 3, 8, {"lossless": True}),
    ("webp", 4, 8, {"lossless": True, "exact": True}),
    ("png", 3, 8, {"interlace": True}),
    ("tiff", 3, 16, {"bigtiff": True, "tile": True, "compression": "deflate"}),
]


@pytest.mark.parametrize(("format_", "bands", "bits", "options"), LOSSLESS)
def test_untouched_pixels_come_back_bit_for_bit(format_: str, bands: int, bits: int, options: dict[str, Any]) -> None:
    original = photo(bands, bits)
    master = read_scan(encoded(original, format_, **options))
    derivative = read_scan(write_scan(master, master.pixels))
    colours = bands - (bands in (2, 4))
    for scan in (master, derivative):
        assert scan.pixels.dtype == original.dtype
        assert np.array_equal(scan.pixels, original[..., :colours])
        assert (scan.alpha is None) == (bands in (1, 3))
        assert scan.alpha is None or np.array_equal(scan.alpha, original[..., -1])
    assert derivative.encoding == master.encoding
    assert derivative.format == master.format == format_


@pytest.mark.parametrize("options", [{}, {"interlace": True, "Q": 92}, {"Q": 40}, {"subsample_mode": "off"}])
@pytest.mark.parametrize("bands", [1, 3])
def test_a_jpeg_keeps_quality_sampling_and_greyness(bands: int, options: dict[str, Any]) -> None:
    master = read_scan(encoded(photo(bands, 8), "jpeg", **options))
    derivative = read_scan(write_scan(master, master.pixels))
    assert derivative.encoding == master.encoding
    assert derivative.channels == master.channels == bands
    assert derivative.is_grey == (bands == 1)
    assert np.abs(derivative.pixels.astype(int) - master.pixels).mean() < 3


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 75, 90, 96, 100])
def test_the_quality_of_a_jpeg_is_found(quality: int) -> None:
    assert read_scan(encoded(photo(3, 8), "jpeg", Q=quality)).encoding.jpeg_quality == quality


def test_a_jpeg_of_odd_tables_is_written_no_coarser() -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo(3, 8)).save(buffer, "JPEG", qtables=[[7] * 64, [9] * 64])
    master = read_scan(buffer.getvalue())
    with Image.open(io.BytesIO(write_scan(master, master.pixels))) as derivative:
        assert sum(derivative.quantization[0]) <= 7 * 64  # type: ignore[attr-defined]
        assert sum(derivative.quantization[1]) <= 9 * 64  # type: ignore[attr-defined]


def test_a_tiff_with_jpeg_inside_becomes_a_lossless_one() -> None:
    master = read_scan(encoded(photo(3, 8), "tiff", compression="jpeg"))
    derivative = read_scan(write_scan(master, master.pixels))
    assert np.array_equal(derivative.pixels, master.pixels)
    assert derivative.encoding.tiff_compression == "deflate"


def test_a_lossy_webp_stays_close() -> None:
    master = read_scan(encoded(photo(3, 8), "webp"))
    derivative = read_scan(write_scan(master, master.pixels))
    assert not derivative.encoding.lossless
    assert np.abs(derivative.pixels.astype(int) - master.pixels).mean() < 3


@pytest.mark.parametrize(
    ("format_", "unit"), [("jpeg", "in"), ("png", "cm"), ("tiff", "in"), ("tiff", "cm"), ("webp", "in")]
)
def test_profile_resolution_orientation_and_metadata_survive(format_: str, unit: str) -> None:
    master = read_scan(described(format_, unit))
    derivative = read_scan(write_scan(master, master.pixels))
    assert derivative.icc_profile == master.icc_profile == b"profile " * 20_000
    assert derivative.orientation == master.orientation == 6
    assert derivative.resolution == master.resolution
    assert master.resolution is not None
    assert master.resolution.unit == unit
    assert master.resolution.x_per_mm == pytest.approx(300 / 25.4, rel=1e-3)
    assert dict(derivative.metadata) == dict(master.metadata)
    assert {"exif", "xmp"} <= set(master.metadata)


@pytest.mark.parametrize("format_", ["jpeg", "png", "tiff", "webp"])
def test_another_program_sees_the_metadata_of_the_derivative(format_: str) -> None:
    master = read_scan(described(format_, "in"))
    with Image.open(io.BytesIO(write_scan(master, master.pixels))) as derivative:
        exif = derivative.getexif()
        assert exif[274] == 6
        assert exif[315] == "A. Photographer"
        assert exif.get_ifd(0x8769)[36867] == "1901:02:03 04:05:06"
        assert derivative.info["icc_profile"] == b"profile " * 20_000


@pytest.mark.parametrize("format_", ["tiff", "png", "jpeg"])
@pytest.mark.parametrize("source", ["jpeg", "png", "tiff"])
def test_metadata_goes_along_into_another_format(source: str, format_: str) -> None:
    master = read_scan(described(source, "in"))
    derivative = read_scan(write_scan(master, master.pixels, format=format_))  # type: ignore[arg-type]
    assert derivative.format == format_
    assert derivative.icc_profile == master.icc_profile
    assert derivative.orientation == 6
    assert derivative.metadata["xmp"] == master.metadata["xmp"]
    assert b"A. Photographer" in derivative.metadata["exif"]
    assert derivative.resolution is not None
    assert master.resolution is not None
    assert derivative.resolution.x_per_mm == pytest.approx(master.resolution.x_per_mm, rel=1e-2)


@pytest.mark.parametrize("format_", ["jpeg", "png", "tiff", "webp"])
def test_nothing_is_claimed_that_the_master_does_not_say(format_: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo(3, 8)).save(buffer, format_.upper())
    master = read_scan(buffer.getvalue())
    derivative = read_scan(write_scan(master, master.pixels))
    for scan in (master, derivative):
        assert (scan.resolution, scan.icc_profile, dict(scan.metadata), scan.orientation) == (None, None, {}, 1)


def test_iptc_of_a_jpeg_and_text_of_a_png_survive() -> None:
    jpeg = encoded(photo(3, 8), "jpeg")
    resources = b"8BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x78\0\x03abc"
    segment = b"\xff\xed" + (len(resources) + 16).to_bytes(2, "big") + b"Photoshop 3.0\0" + resources
    master = read_scan(jpeg[:2] + segment + jpeg[2:])
    assert read_scan(write_scan(master, master.pixels)).metadata["photoshop"] == resources
    image = pyvips.Image.new_from_array(photo(3, 8)).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gstr_type, "png-comment-0-Title", "Grandmother, 1912")
    master = read_scan(image.pngsave_buffer())
    derivative = pyvips.Image.pngload_buffer(write_scan(master, master.pixels))
    assert derivative.get("png-comment-0-Title") == "Grandmother, 1912"


def test_iptc_of_a_tiff_survives() -> None:
    image = pyvips.Image.new_from_array(photo(1, 16)).copy(interpretation="grey16")
    image.set_type(pyvips.GValue.blob_type, "iptc-data", b"\x1c\x02\x78\0\x03abc.")
    master = read_scan(image.tiffsave_buffer())
    assert read_scan(write_scan(master, master.pixels)).metadata["iptc"] == master.metadata["iptc"]


def test_the_stale_thumbnail_is_unlinked() -> None:
    exif = exif_block()
    at = 10 + 12 * int.from_bytes(exif[8:10], "little")
    with_thumbnail = exif[:at] + b"\x08\0\0\0" + exif[at + 4 :]
    buffer = io.BytesIO()
    Image.fromarray(photo(3, 8)).save(buffer, "PNG", exif=with_thumbnail)
    assert read_scan(buffer.getvalue()).metadata["exif"][at : at + 4] == b"\0\0\0\0"


def test_big_endian_tiffs_are_read() -> None:
    pixels, artist = photo(1, 16), b"A. Photographer\0"
    body = pixels.astype(">u2").tobytes()
    behind = 8 + len(body)
    shorts = {256: 96, 257: 64, 258: 16, 259: 1, 262: 1, 274: 8, 277: 1, 278: 64, 296: 2}
    tags = {tag: struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()}
    tags |= {tag: struct.pack(">HHII", tag, 4, 1, value) for tag, value in ((273, 8), (279, len(body)))}
    tags |= {tag: struct.pack(">HHII", tag, 5, 1, behind) for tag in (282, 283)}
    tags[315] = struct.pack(">HHII", 315, 2, len(artist), behind + 8)
    table = struct.pack(">H", len(tags)) + b"".join(entry for _, entry in sorted(tags.items())) + b"\0\0\0\0"
    extra = struct.pack(">II", 600, 1) + artist
    master = read_scan(b"MM\0*" + struct.pack(">I", behind + len(extra)) + body + extra + table)
    assert np.array_equal(master.pixels, pixels)
    assert master.resolution == Resolution(600 / 25.4, 600 / 25.4, "in")
    assert master.orientation == 8
    assert artist in read_scan(write_scan(master, master.pixels)).metadata["exif"]


def test_premultiplied_alpha_is_read_as_straight_and_labelled_so() -> None:
    data = encoded(photo(4, 8), "tiff")
    at = data.index(b"\x52\x01\x03\0\x01\0\0\0\x02\0")
    master = read_scan(data[: at + 8] + b"\x01" + data[at + 9 :])
    assert master.alpha is not None
    assert master.pixels[0, 0, 0] >= photo(4, 8)[0, 0, 0]
    derivative = read_scan(write_scan(master, master.pixels))
    assert derivative.alpha is not None
    assert np.array_equal(derivative.pixels, master.pixels)
    assert np.array_equal(derivative.alpha, master.alpha)


@pytest.mark.parametrize("make", [lambda: encoded(photo(3, 16), "tiff"), lambda: described("jpeg", "in")])
def test_the_same_input_gives_the_same_bytes(make: Callable[[], bytes]) -> None:
    outputs = {write_scan(scan, scan.pixels) for scan in (read_scan(make()), read_scan(make()))}
    assert len(outputs) == 1


def test_new_pixels_are_what_is_written() -> None:
    master = read_scan(encoded(photo(3, 16), "png"))
    changed = np.uint16(65_535) - master.pixels
    assert np.array_equal(read_scan(write_scan(master, changed)).pixels, changed)
    grey = read_scan(encoded(photo(1, 8), "png"))
    assert np.array_equal(read_scan(write_scan(grey, grey.pixels[..., 0])).pixels, grey.pixels)


@pytest.mark.parametrize("change", [lambda p: p[1:], lambda p: p.astype(np.uint16), lambda p: p[..., :1]])
def test_pixels_of_another_shape_or_depth_are_refused(change: Callable[[np.ndarray], np.ndarray]) -> None:
    master = read_scan(encoded(photo(3, 8), "png"))
    with pytest.raises(UnsupportedScan, match="do not fit their scan"):
        write_scan(master, change(master.pixels))


def test_sixteen_bits_are_rounded_into_a_jpeg() -> None:
    master = read_scan(encoded(np.full((16, 16, 1), 40_000, np.uint16), "png"))
    assert read_scan(write_scan(master, master.pixels, format="jpeg")).pixels[8, 8, 0] == round(40_000 / 257)


def test_transparency_does_not_vanish_into_a_jpeg() -> None:
    master = read_scan(encoded(photo(4, 8), "png"))
    with pytest.raises(UnsupportedScan, match="transparency"):
        write_scan(master, master.pixels, format="jpeg")
    opaque = photo(4, 8)
    opaque[..., 3] = 255
    master = read_scan(encoded(opaque, "png"))
    assert read_scan(write_scan(master, master.pixels, format="jpeg")).channels == 3


def test_a_side_too_long_for_the_format_is_explained() -> None:
    master = read_scan(encoded(np.zeros((2, 70_000, 1), np.uint8), "png"))
    with pytest.raises(UnsupportedScan, match="as jpeg it cannot be written"):
        write_scan(master, master.pixels, format="jpeg")


def test_the_header_tells_size_and_depth() -> None:
    header = read_header(encoded(photo(4, 16), "png"))
    assert (header.format, header.width, header.height, header.bands, header.bits) == ("png", 96, 64, 4, 16)
    assert header.megapixels == pytest.approx(0.006144)


def test_extensions_are_the_usual_ones() -> None:
    formats = ("jpeg", "png", "tiff", "webp")
    assert [file_extension(format_) for format_ in formats] == ["jpg", "png", "tif", "webp"]  # type: ignore[arg-type]


def test_a_mask_comes_back_as_it_was_written() -> None:
    mask = np.random.default_rng(0).random((40, 30)) > 0.5
    assert np.array_equal(read_mask(write_mask(mask), (40, 30)), mask)
    with Image.open(io.BytesIO(write_mask(mask))) as image:
        assert (image.mode, image.getextrema()) == ("L", (0, 255))


@pytest.mark.parametrize(("value", "damaged"), [(127, False), (128, True), (255, True)])
def test_a_mask_is_damaged_from_half_brightness(value: int, damaged: bool) -> None:
    picture = np.full((4, 5, 3), value, np.uint8)
    assert read_mask(encoded(picture, "png"), (4, 5)).all() == damaged
    assert read_mask(encoded(picture.astype(np.uint16) * 257, "tiff"), (4, 5)).all() == damaged


def test_what_is_transparent_in_a_mask_is_not_damaged() -> None:
    picture = np.full((4, 4, 2), 255, np.uint8)
    picture[:2, :, 1] = 0
    assert read_mask(encoded(picture, "png"), (4, 4)).sum() == 8


def test_a_mask_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(MaskMismatch, match="30 x 40 pixels, its photo 40 x 30"):
        read_mask(write_mask(np.zeros((40, 30), bool)), (30, 40))


def test_real_photos_keep_their_pixels_shape_and_metadata(shared_data: Path) -> None:
    for path in sorted((shared_data / "old").iterdir())[:10] + sorted((shared_data / "scans").iterdir()):
        master = read_scan(path.read_bytes())
        derivative = read_scan(write_scan(master, master.pixels))
        assert derivative.pixels.shape == master.pixels.shape
        assert derivative.encoding == master.encoding
        assert dict(derivative.metadata) == dict(master.metadata)


def described(format_: str, unit: str) -> bytes:
    """A file with everything: profile, EXIF, XMP, orientation 6, about 300 dpi."""
    image = pyvips.Image.new_from_array(photo(3, 8)).copy(interpretation="srgb", xres=300 / 25.4, yres=300 / 25.4)
    if format_ == "tiff":
        return tiff_with_exif(image, unit)
    buffer = io.BytesIO()
    options = {"jpeg": {"dpi": (300, 300)}, "png": {"dpi": (300, 300)}, "webp": {"lossless": True}}[format_]
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    if format_ == "png":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options = {**options, "pnginfo": text}
    else:
        options = {**options, "xmp": xmp}
    profile = b"profile " * 20_000
    exif = b"Exif\0\0" + exif_block()
    Image.fromarray(photo(3, 8)).save(buffer, format_.upper(), exif=exif, icc_profile=profile, **options)
    return buffer.getvalue()


def tiff_with_exif(image: pyvips.Image, unit: str) -> bytes:
    exif = Image.Exif()
    exif.load(exif_block())
    buffer = io.BytesIO()
    profile, per_unit = b"profile " * 20_000, {"in": 300, "cm": 300 / 2.54}[unit]
    tags = {700: b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", 296: {"in": 2, "cm": 3}[unit], 282: per_unit, 283: per_unit}
    for tag, value in tags.items():
        exif[tag] = value
    Image.fromarray(image.numpy()).save(buffer, "TIFF", exif=exif, icc_profile=profile)
    return buffer.getvalue()
