"""Bad input: a damaged file is an error of our own tree, never half a picture."""

from __future__ import annotations

import contextlib
import random
import struct
import zlib

import numpy as np
import pytest
import pyvips
from scan_files import encoded, photo, png_chunk
from scan_kinds import KINDS

from oldphoto_core.errors import ScanError, ScanTooLarge, TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans import read_header, read_scan, write_scan


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_never_read(kind: str) -> None:
    data = KINDS[kind]
    for sixteenth in range(16):
        with pytest.raises(ScanError):
            read_scan(data[: len(data) * sixteenth // 16])
    # the last two bytes of a JPEG are the mark of its end: without them its pixels are whole, and it is read
    whole = (1, 2) if kind in ("jpeg", "grey jpeg", "cmyk jpeg") else ()
    for lost in (1, 2, 3, 8, 40):
        if lost in whole:
            assert np.array_equal(read_scan(data[:-lost]).pixels, read_scan(data).pixels)
            continue
        with pytest.raises(ScanError):
            read_scan(data[:-lost])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "jpeg tiff"])
def test_a_file_cut_in_the_picture_is_called_truncated(kind: str) -> None:
    with pytest.raises(TruncatedScan) as caught:
        read_scan(KINDS[kind][: len(KINDS[kind]) * 3 // 4])
    assert caught.value.reason == "truncated"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("files", [20, pytest.param(80, marks=pytest.mark.long)])
def test_flipped_bits_raise_nothing_but_scan_errors(kind: str, files: int) -> None:
    dice = random.Random(kind)
    for _ in range(files):
        damaged = bytearray(KINDS[kind])
        for _ in range(dice.choice((1, 2, 10))):
            damaged[dice.randrange(len(damaged) if dice.random() < 0.5 else 300)] ^= 1 << dice.randrange(8)
        with contextlib.suppress(ScanError):
            scan = read_scan(bytes(damaged), max_pixels=1_000_000)
            write_scan(scan, scan.pixels)


@pytest.mark.parametrize("kind", ["png", "16-bit png", "interlaced png"])
def test_a_png_with_one_flipped_bit_is_never_read(kind: str) -> None:
    dice = random.Random(7)
    for _ in range(60):
        damaged = bytearray(KINDS[kind])
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        with pytest.raises(ScanError):
            read_scan(bytes(damaged))


def test_a_jpeg_damaged_inside_is_not_restored_with_a_grey_band() -> None:
    data = bytearray(encoded(photo(3, 8), "jpeg", Q=95))
    start = data.index(b"\xff\xda") + 200
    data[start : start + 40] = b"\xff\xd3" * 20
    with pytest.raises(ScanError, match="Corrupt JPEG data"):
        read_scan(bytes(data))


def test_a_harmless_jpeg_does_not_excuse_the_damaged_one_after_it() -> None:
    data, damaged = KINDS["progressive jpeg"], bytearray(encoded(photo(3, 8), "jpeg", Q=95))
    second_pass = data.index(b"\xff\xda", data.index(b"\xff\xda") + 1)
    harmless = data[:second_pass] + b"\x12\x34\x12\x34" + data[second_pass:]
    start = damaged.index(b"\xff\xda") + 200
    damaged[start : start + 40] = b"\xff\xd3" * 20
    assert np.array_equal(read_scan(harmless).pixels, read_scan(data).pixels)
    with pytest.raises(ScanError, match="Corrupt JPEG data"):
        read_scan(bytes(damaged))


def test_stray_bytes_that_harm_nothing_are_let_pass() -> None:
    data = KINDS["jpeg"]
    for harmless in (data[:-2] + b"\x12\x34" + data[-2:], data + b"appended by a camera"):
        assert np.array_equal(read_scan(harmless).pixels, read_scan(data).pixels)


@pytest.mark.parametrize(
    "payload",
    [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"ICC_PROFILE\0\1\1bad"],
)
def test_garbage_in_metadata_does_not_cost_the_photo(payload: bytes) -> None:
    marker = b"\xff\xe2" if payload.startswith(b"ICC") else b"\xff\xe1"
    jpeg = KINDS["jpeg"]
    scan = read_scan(jpeg[:2] + marker + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:])
    assert payload in write_scan(scan, scan.pixels)


NO_IMAGES = [b"", b"\0" * 500, b"just text", b"<!DOCTYPE html><html>404</html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]
BEGINNINGS = [b"II*\0", b"MM\0+", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"]


@pytest.mark.parametrize("data", [*NO_IMAGES, *BEGINNINGS, b"RIFF\x10\0\0\0WEBP", b"RIFF\x04\0\0\0WEBPVP8 "])
def test_what_is_no_image_is_unreadable(data: bytes) -> None:
    for read in (read_scan, read_header):
        with pytest.raises((UnreadableScan, TruncatedScan)):
            read(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"GIF89a" + b"\0" * 50, "GIF"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 20, "isom"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_other_image_formats_are_unsupported_by_name(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedScan, match=name):
        read_scan(data)


def test_the_name_of_a_file_plays_no_part_but_its_content_does() -> None:
    assert {kind: read_scan(data).format for kind, data in KINDS.items() if "tiff" not in kind} == {
        kind: kind.split()[-1] for kind in KINDS if "tiff" not in kind
    }


def test_kinds_of_images_that_are_not_handled_say_what_they_are() -> None:
    pixels = pyvips.Image.new_from_array(photo(4, 8))
    inks = pixels.bandjoin([pixels[0], pixels[1]]).copy(interpretation="cmyk").tiffsave_buffer()
    doubles = pyvips.Image.new_from_array(photo(3, 8)).cast("double").tiffsave_buffer()
    five = pixels.bandjoin(pixels[0]).copy(interpretation="srgb").tiffsave_buffer()
    for data, says in ((inks, "6 channels of kind cmyk"), (doubles, "64-bit float"), (five, "5 channels")):
        with pytest.raises(UnsupportedScan, match=says):
            read_scan(data)


def test_pages_of_a_tiff_are_not_lost_silently() -> None:
    pages = pyvips.Image.new_from_array(np.vstack([photo(1, 8), photo(1, 8)])).copy(interpretation="b-w")
    pages.set_type(pyvips.GValue.gint_type, "page-height", 64)
    with pytest.raises(UnsupportedScan, match="2 pages: name the one"):
        read_scan(pages.tiffsave_buffer())


def test_smaller_copies_inside_a_tiff_are_no_pages() -> None:
    image = pyvips.Image.black(600, 600).copy(interpretation="b-w")
    assert read_scan(image.tiffsave_buffer(pyramid=True, tile=True)).pixels.shape == (600, 600, 1)


def test_an_animation_is_not_taken_for_a_photo() -> None:
    pages = pyvips.Image.new_from_array(np.vstack([photo(3, 8), 255 - photo(3, 8)])).copy(interpretation="srgb")
    pages.set_type(pyvips.GValue.gint_type, "page-height", 64)
    with pytest.raises(UnsupportedScan, match="animation"):
        read_scan(pages.webpsave_buffer())


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_judged_by_the_bound(kind: str) -> None:
    with pytest.raises(ScanTooLarge, match="96 x 64"):
        read_scan(KINDS[kind], max_pixels=96 * 64 - 1)
    assert read_scan(KINDS[kind], max_pixels=96 * 64).width == 96


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(10_000_000)))
    with pytest.raises(ScanTooLarge, match="60000 x 60000"):
        read_scan(bomb + png_chunk(b"IEND", b""))


def test_tags_that_each_claim_the_whole_file_do_not_fill_the_memory() -> None:
    from oldphoto_core.scans.metadata.ifd import read_ifd

    entries = b"".join(struct.pack("<HHII", tag, 2, 1_000_000, 8) for tag in range(1000, 6000))
    body = bytes(1_000_000)
    data = b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", 5000) + entries + bytes(4)
    assert sum(len(entry.data) for entry in read_ifd(data).values()) <= len(data)
