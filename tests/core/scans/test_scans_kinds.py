"""Kinds of files beyond grey and RGB of 8 and 16 bits: what of them is read, and what their derivative is."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms, TiffImagePlugin
from scan_files import box, encoded, exif_block, jpeg2000, jpeg2000_of_bits, photo

from oldphoto_core.errors import ScanTooLarge, TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans import file_extension, read_header, read_scan, read_technical_metadata, write_scan
from oldphoto_core.scans.metadata.ifd import Layout, read_ifd, value_position
from oldphoto_core.scans.tiff import opening


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


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("bands", [1, 3])
def test_a_jpeg_2000_becomes_a_lossless_tiff_of_its_depth(bands: int, bits: int) -> None:
    data = jpeg2000(photo(bands, bits))
    header, master = read_header(data), read_scan(data)
    assert (header.format, header.width, header.height, header.bands, header.bits) == ("jpeg2000", 96, 64, bands, bits)
    assert np.array_equal(master.pixels, photo(bands, bits))
    assert master.encoding.lossless
    derivative = read_scan(write_scan(master, master.pixels))
    assert (derivative.format, derivative.encoding.tiff_compression) == ("tiff", "deflate")
    assert np.array_equal(derivative.pixels, master.pixels)
    assert file_extension(master.format) == "jp2"


@pytest.mark.parametrize("bits", [9, 10, 12, 15])
@pytest.mark.parametrize("bands", [1, 3])
def test_ten_or_twelve_bits_of_a_jpeg_2000_are_spread_over_sixteen(bands: int, bits: int) -> None:
    pixels = photo(bands, 16)
    pixels[0, :2] = [[0] * bands, [65_535] * bands]
    data = jpeg2000_of_bits(pixels, bits)
    master, most = read_scan(data), 2**bits - 1
    assert np.array_equal(master.pixels, np.rint((pixels >> (16 - bits)) * (65_535 / most)))
    assert (master.pixels.min(), master.pixels.max()) == (0, 65_535)
    assert (read_header(data).bits, read_technical_metadata(data).bits, master.converted) == (16, bits, f"{bits} bits")
    derivative = write_scan(master, master.pixels)
    assert np.array_equal(read_scan(derivative).pixels, master.pixels)
    assert read_technical_metadata(derivative).bits == 16


def test_a_jpeg_2000_of_twelve_bits_that_is_cut_or_damaged_is_refused() -> None:
    data = jpeg2000_of_bits(photo(3, 16), 12)
    with pytest.raises(TruncatedScan):
        read_scan(data[: len(data) // 2])
    start = data.index(b"\xff\x93")
    with pytest.raises(UnreadableScan):
        read_scan(data[:start] + b"\xff\x52" * ((len(data) - start) // 2))


LAYOUTS = [{"no_jp2": True}, {"tile_size": (40, 40)}, {"progression": "RPCL"}, {"irreversible": True}, {"mct": 0}]


@pytest.mark.parametrize("options", LAYOUTS)
def test_a_jpeg_2000_is_read_as_pillow_reads_it_however_it_was_made(options: dict[str, Any]) -> None:
    data = jpeg2000(photo(3, 8), **options)
    master = read_scan(data)
    assert np.array_equal(master.pixels, np.asarray(Image.open(io.BytesIO(data))))
    assert master.encoding.lossless == ("irreversible" not in options)


def test_alpha_of_a_jpeg_2000_goes_into_its_tiff() -> None:
    master = read_scan(jpeg2000(photo(4, 8)))
    derivative = read_scan(write_scan(master, master.pixels))
    for scan in (master, derivative):
        assert scan.alpha is not None
        assert np.array_equal(np.dstack([scan.pixels, scan.alpha]), photo(4, 8))


def with_header(data: bytes, kind: bytes, content: bytes) -> bytes:
    """A JPEG 2000 with another box of this kind among those that describe its picture."""
    at = data.index(b"jp2h") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    if (old := data.find(kind, at, at + length)) >= 0:
        old -= 4
        inner = data[at + 8 : old] + data[old + int.from_bytes(data[old : old + 4], "big") : at + length]
    else:
        inner = data[at + 8 : at + length]
    return data[:at] + box(b"jp2h", inner + box(kind, content)) + data[at + length :]


def test_what_a_jpeg_2000_carries_goes_into_its_tiff() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    scanned = box(b"resc", struct.pack(">HHHHbb", 6000, 254, 3000, 254, 3, 3))
    data = with_header(with_header(jpeg2000(photo(3, 8)), b"colr", b"\2\0\0" + profile), b"res ", scanned)
    data += box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<x:xmpmeta/>")
    data += box(b"uuid", b"JpgTiffExif->JP2" + exif_block())
    master = read_scan(data)
    derivative = read_scan(write_scan(master, master.pixels))
    for scan in (master, derivative):
        assert scan.icc_profile == profile
        assert scan.resolution is not None
        assert (scan.resolution.unit, round(scan.resolution.x_per_mm, 2), round(scan.resolution.y_per_mm, 2)) == (
            "cm",
            11.81,
            23.62,
        )
        assert scan.orientation == 6
        assert scan.metadata["xmp"] == b"<x:xmpmeta/>"
        assert b"A. Photographer" in scan.metadata["exif"]


def resized(width: int, height: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        at = data.index(b"\xff\x4f\xff\x51") + 8
        return data[:at] + struct.pack(">8I", width, height, 0, 0, width, height, 0, 0) + data[at + 32 :]

    return change


def depth(*values: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        at = data.index(b"\xff\x4f\xff\x51") + 42
        return data[:at] + bytes(values) + data[at + len(values) :]

    return change


PROFILE_FOR_LAB = b"\2\0\0" + bytes(16) + b"Lab " + bytes(108)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (depth(6, 1, 1, 6, 1, 1, 6, 1, 1), "7 bits a channel in"),
        (depth(135, 1, 1, 135, 1, 1, 135, 1, 1), "8 bits a channel with sign"),
        (depth(7, 1, 1, 7, 2, 2, 7, 2, 2), "different sizes or depths"),
        (lambda data: with_header(data, b"colr", b"\1\0\0\0\0\0\x0c"), "CMYK"),
        (lambda data: with_header(data, b"colr", b"\1\0\0\0\0\0\x12"), "YCC"),
        (lambda data: with_header(data, b"colr", PROFILE_FOR_LAB), "profile for Lab"),
        (lambda data: with_header(data, b"pclr", b"\0\1\3\7\7\7abc"), "a palette"),
    ],
)
def test_a_jpeg_2000_of_a_kind_that_is_not_handled_says_what_it_is(change: Callable[[bytes], bytes], says: str) -> None:
    data = change(jpeg2000(photo(3, 8)))
    with pytest.raises(UnsupportedScan, match=f"{says}.*save it as TIFF"):
        read_scan(data)


def test_two_channels_of_a_jpeg_2000_are_refused() -> None:
    with pytest.raises(UnsupportedScan, match="2 channels"):
        read_scan(jpeg2000(photo(2, 8)))


def test_a_jpeg_2000_that_claims_to_be_giant_is_refused_by_its_header() -> None:
    giant = resized(20_000, 20_000)(jpeg2000(photo(3, 8)))
    assert read_header(giant).megapixels == 400
    with pytest.raises(ScanTooLarge, match=r"400\.0 megapixels.*decoded in one piece, and 100 are the bound"):
        read_scan(giant)
    with pytest.raises(ScanTooLarge, match="20000 x 20000"):
        read_scan(giant, max_pixels=1_000_000)


def test_a_jpeg_2000_without_one_of_its_tiles_is_truncated() -> None:
    data = jpeg2000(photo(3, 8), tile_size=(48, 64), no_jp2=True)
    second = data.index(b"\xff\x90\0\x0a\0\x01")
    with pytest.raises(TruncatedScan, match="1 of 2 tiles are missing"):
        read_scan(data[:second] + b"\xff\xd9")


CMYK = RGB.convert("CMYK")
CMYK_FILES = {
    "adobe jpeg": saved(CMYK, "JPEG", quality=100, subsampling=0),
    "tiff": saved(CMYK, "TIFF", compression="tiff_lzw"),
    "16-bit tiff": encoded(np.asarray(CMYK).astype(np.uint16) * 257, "tiff", kind="cmyk"),
}


def by_littlecms(image: Image.Image) -> np.ndarray:
    """sRGB of CMYK by Pillow and the generic profile."""
    profiles = (io.BytesIO(pyvips.Operation.call("profile_load", name)) for name in ("cmyk", "srgb"))
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    converted = ImageCms.profileToProfile(image, *profiles, renderingIntent=intent, outputMode="RGB", flags=flags)
    assert converted is not None
    return np.asarray(converted).astype(int)


@pytest.mark.parametrize("master", CMYK_FILES)
def test_cmyk_is_read_as_the_srgb_that_its_profile_makes_of_it(master: str) -> None:
    scan = read_scan(CMYK_FILES[master])
    header = read_header(CMYK_FILES[master])
    depth = 16 if "16" in master else 8
    assert (scan.channels, scan.bits, header.bands, header.bits) == (3, depth, 3, depth)
    eight = scan.pixels.astype(int) // (257 if depth == 16 else 1)
    assert np.abs(eight - by_littlecms(CMYK)).max() <= (8 if "jpeg" in master else 2)
    assert scan.converted == "CMYK"


@pytest.mark.parametrize("master", CMYK_FILES)
def test_the_derivative_of_cmyk_is_srgb_and_says_so(master: str) -> None:
    scan = read_scan(CMYK_FILES[master])
    derivative = write_scan(scan, scan.pixels)
    again = read_scan(derivative)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(again.icc_profile or b""))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert (again.format, again.bits, again.channels, again.converted) == (scan.format, scan.bits, 3, None)
    assert scan.format == "jpeg" or np.array_equal(again.pixels, scan.pixels)
    assert b"Adobe" not in derivative[:200]


def test_a_profile_of_its_own_decides_what_cmyk_looks_like() -> None:
    generic = bytes(pyvips.Operation.call("profile_load", "cmyk"))
    black = bytearray(generic)
    for at in range(132, 132 + 12 * int.from_bytes(generic[128:132], "big"), 12):
        name, start, length = struct.unpack(">4sII", generic[at : at + 12])
        if name.startswith(b"A2B"):
            black[start + length - 1000 : start + length] = bytes(1000)
    plain, own, other = (
        read_scan(saved(CMYK, "TIFF", icc_profile=profile)).pixels for profile in (generic, bytes(black), b"junk" * 50)
    )
    assert np.array_equal(plain, other)
    assert not np.array_equal(own, plain)


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_of_cmyk_is_kept_and_its_colours_are_those_without_it(bits: int) -> None:
    data = encoded(np.dstack([photo(4, bits), photo(1, bits)]), "tiff", kind="cmyk", compression="lzw")
    master, plain = read_scan(data), read_scan(encoded(photo(4, bits), "tiff", kind="cmyk"))
    assert (read_header(data).bands, read_technical_metadata(data).alpha, master.converted) == (4, True, "CMYK")
    derivative = read_scan(write_scan(master, master.pixels))
    for scan in (master, derivative):
        assert np.array_equal(scan.pixels, plain.pixels)
        assert scan.alpha is not None
        assert np.array_equal(scan.alpha, photo(1, bits)[..., 0])


def test_a_fifth_ink_is_not_taken_for_alpha() -> None:
    data = bytearray(encoded(np.dstack([photo(4, 8), photo(1, 8)]), "tiff", kind="cmyk"))
    position = value_position(bytes(data), Layout.of(bytes(data)), 338)
    assert position is not None
    data[position : position + 2] = bytes(2)
    with pytest.raises(UnsupportedScan, match="a fifth ink: save it as RGB"):
        read_scan(bytes(data))


def test_names_of_inks_do_not_go_along_into_rgb() -> None:
    names = b"cyan\0magenta\0yellow\0black"
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[315], info[333] = "A. Photographer", names.decode()
    master = read_scan(saved(CMYK, "TIFF", tiffinfo=info))
    derivative = read_ifd(write_scan(master, master.pixels))
    assert derivative[315].data.startswith(b"A. Photographer")
    assert 333 not in derivative


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_floats_from_0_to_1_become_16_bits(bands: int) -> None:
    data = encoded(photo(bands, 8) / np.float32(255), "tiff", compression="deflate")
    header, master = read_header(data), read_scan(data)
    together = master.pixels if master.alpha is None else np.dstack([master.pixels, master.alpha])
    assert np.array_equal(together, photo(bands, 8).astype(np.uint16) * 257)
    assert (header.bits, master.converted) == (16, "float")
    derivative = read_scan(write_scan(master, master.pixels))
    assert np.array_equal(derivative.pixels, master.pixels)
    assert derivative.encoding.tiff_compression == "deflate"


@pytest.mark.parametrize(("value", "says"), [(1.5, "0 to 1.5"), (-0.25, "-0.25 to 1"), (np.nan, "nan to nan")])
def test_floats_of_another_range_are_refused_with_it(value: float, says: str) -> None:
    pixels = np.linspace(0, 1, 64 * 96, dtype=np.float32).reshape(64, 96, 1)
    pixels[60, 90] = value
    with pytest.raises(UnsupportedScan, match=f"values from {says}: scale them"):
        read_scan(encoded(pixels, "tiff"))


LAB = ImageCms.profileToProfile(
    RGB, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB", renderingIntent=1
)
assert LAB is not None


def wide_lab(lab: np.ndarray) -> bytes:
    """A big-endian TIFF of 16-bit CIELab: L* from 0 to 65535, a* and b* signed, 256 to the unit."""
    light, a, b = lab[..., 0].astype(int) * 257, *(lab[..., band].astype(np.int8).astype(int) * 256 for band in (1, 2))
    body = np.dstack([light.astype(np.uint16), a.astype(np.uint16), b.astype(np.uint16)]).astype(">u2").tobytes()
    behind = 8 + len(body)
    tags = [(256, 3, 1, 96 << 16), (257, 3, 1, 64 << 16), (258, 3, 3, behind), (259, 3, 1, 1 << 16)]
    tags += [(262, 3, 1, 8 << 16), (273, 4, 1, 8), (277, 3, 1, 3 << 16), (278, 3, 1, 64 << 16), (279, 4, 1, len(body))]
    table = struct.pack(">H", len(tags)) + b"".join(struct.pack(">HHII", *tag) for tag in tags) + bytes(4)
    return b"MM\0*" + struct.pack(">I", behind + 6) + body + struct.pack(">HHH", 16, 16, 16) + table


def by_formula(lab: np.ndarray) -> np.ndarray:
    """sRGB, 0 to 255, of 8-bit CIELab as a TIFF stores it, from the definitions: D50, adapted by Bradford's matrix."""
    light, a, b = lab[..., 0] / 2.55, *(lab[..., band].astype(np.int8).astype(float) for band in (1, 2))
    y = (light + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * [0.96422, 1.0, 0.82521]
    to_rgb = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.033454],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = (xyz @ np.transpose(to_rgb)).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_cielab_of_8_bits_is_read_as_srgb(compression: str | None) -> None:
    data = saved(LAB, "TIFF", compression=compression)
    header, master = read_header(data), read_scan(data)
    assert (header.bands, header.bits, master.channels, master.bits) == (3, 8, 3, 8)
    assert np.abs(master.pixels - by_formula(np.asarray(LAB))).max() <= 2
    derivative = read_scan(write_scan(master, master.pixels))
    assert np.array_equal(derivative.pixels, master.pixels)
    assert (master.converted, derivative.converted) == ("CIELab", None)
    assert derivative.icc_profile == bytes(pyvips.Operation.call("profile_load", "srgb"))


def test_cielab_of_16_bits_is_read_as_16_bit_srgb() -> None:
    eight, wide = read_scan(saved(LAB, "TIFF")), read_scan(wide_lab(np.asarray(LAB)))
    assert (wide.bits, wide.converted) == (16, "CIELab")
    assert np.abs(wide.pixels / 257 - eight.pixels).max() <= 1
    assert read_scan(write_scan(wide, wide.pixels)).bits == 16


def test_a_large_tiff_of_8_bit_cielab_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_MOST_LAB", 2**14)
    with pytest.raises(ScanTooLarge, match=r"CIELab of 0 MiB.*save it as RGB"):
        read_scan(saved(LAB, "TIFF"))
