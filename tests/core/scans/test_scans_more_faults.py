"""Further errors of structure that touch no pixel, and kinds and damage that look like them and are none."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from faulty_files import mpf, of_strip, segment, tiff
from PIL import Image
from scan_files import encoded, photo, png_chunk

from oldphoto_core.errors import ScanError, TruncatedScan, UnsupportedScan
from oldphoto_core.scans import read_header, read_pages, read_scan, spool_scan, write_scan
from oldphoto_core.scans.metadata.ifd import ASCII, Entry, longs, shorts, write_ifd

RGB = photo(3, 8)
_CODED = encoded(RGB, "jpeg", Q=90, keep=0)
JPEG = _CODED[:2] + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0") + _CODED[2:]
PROGRESSIVE = encoded(RGB, "jpeg", Q=90, interlace=True, optimize_scans=False)
PNG = encoded(RGB, "png", keep=0)
WEBP = encoded(RGB, "webp", lossless=True)
MAKER = Entry(ASCII, b"ACME\0")
ROTATED = {"its orientation is 9": {271: MAKER, 274: shorts(9)}, "its orientation is 0": {274: Entry(ASCII, b"6\0")}}
LOST = {"the GPS directory": {271: MAKER, 34853: longs(99_999)}, "of the exposure": {271: MAKER, 34665: longs(99_999)}}


def exif(tags: dict[int, Entry]) -> bytes:
    return b"II*\0\x08\0\0\0" + write_ifd(tags, 8)


def with_exif(kind: str, block: bytes) -> bytes:
    if kind == "jpeg":
        return JPEG[:2] + segment(0xE1, b"Exif\0\0" + block) + JPEG[2:]
    if kind == "png":
        return PNG[:33] + png_chunk(b"eXIf", block) + PNG[33:]
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "WEBP", lossless=True, exif=block)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("says", [*ROTATED, *LOST, "cut or makes no sense"])
def test_exif_that_makes_no_sense_is_said_whatever_file_it_is_in(kind: str, says: str) -> None:
    tags = {**ROTATED, **LOST}.get(says)
    scan = read_scan(with_exif(kind, b"II*\0\xff\xff\0\0" if tags is None else exif(tags)))
    assert says in " ".join(scan.remarks)
    assert scan.orientation == 1
    again = read_scan(write_scan(scan, scan.pixels))
    assert (again.remarks == ()) == (says in ROTATED)


def fault(kind: str) -> bytes:
    """A JPEG with an error in front of its pixels, or behind them."""
    tables = JPEG.index(b"\xff\xdb")
    frame = JPEG.index(b"\xff\xc0")
    return {
        "stray bytes at its beginning": JPEG[:2] + b"\0\x12" + JPEG[2:],
        "stray bytes everywhere": b"".join(
            (JPEG[:2], b"\0\x12", JPEG[2:tables], b"\0ab", JPEG[tables:frame], b"\0", JPEG[frame:])
        ),
        "its start twice": JPEG[:2] + JPEG,
        "its height behind its pixels": b"".join(
            (JPEG[: frame + 5], b"\0\0", JPEG[frame + 7 : -2], b"\xff\xdc\0\4\0\x40\xff\xd9")
        ),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["stray bytes at its beginning", "stray bytes everywhere", "its start twice", "its height behind its pixels"],
)
def test_a_jpeg_with_such_an_error_is_read_whole_and_says_so(kind: str, tmp_path: Path) -> None:
    data = fault(kind)
    scan = read_scan(data)
    assert np.array_equal(scan.pixels, read_scan(JPEG).pixels)
    assert len(scan.remarks) == 1
    (tmp_path / "scan").write_bytes(data)
    with spool_scan(tmp_path / "scan", tmp_path) as spooled:
        assert np.array_equal(spooled.pixels.read(0, 64), scan.pixels)
    assert (read_header(data).width, read_pages(data)[0].height) == (96, 64)


def test_a_progressive_jpeg_without_its_last_scan_is_truncated_even_where_it_has_an_end() -> None:
    assert read_scan(PROGRESSIVE).remarks == ()
    with pytest.raises(TruncatedScan, match="scans are missing"):
        read_scan(PROGRESSIVE[: PROGRESSIVE.rindex(b"\xff\xda")] + b"\xff\xd9")


@pytest.mark.parametrize(
    ("place", "value", "says"), [(1, 0xC3, "lossless or hierarchical"), (4, 12, "12 bits a channel")]
)
def test_a_kind_of_jpeg_that_nothing_here_decodes_is_unsupported_and_known_by_its_header(
    place: int, value: int, says: str
) -> None:
    data = bytearray(JPEG)
    data[JPEG.index(b"\xff\xc0") + place] = value
    for look in (read_scan, read_pages):
        with pytest.raises(UnsupportedScan, match=says):
            look(bytes(data))


def test_pictures_that_an_index_names_and_the_file_has_not_are_said() -> None:
    sizes = [(0x020002, 4000)]
    length = len(mpf(sizes, 0))
    data = JPEG[:2] + mpf(sizes, len(JPEG) + length) + JPEG[2:]
    for rest in (b"", JPEG[:700]):
        assert "1 of the other pictures that its index names are cut or missing" in read_scan(data + rest).remarks


@pytest.mark.parametrize("compression", [1, 8])
def test_a_tiff_of_ycbcr_is_refused_and_never_shown_as_if_it_were_rgb(compression: int) -> None:
    samples = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
    coded = zlib.compress(samples.tobytes()) if compression == 8 else samples.tobytes()
    tags = {258: shorts(8, 8, 8), 259: shorts(compression), 262: shorts(6), 277: shorts(3), 530: shorts(1, 1)}
    for look in (read_scan, read_pages):
        with pytest.raises(UnsupportedScan, match="YCbCr"):
            look(of_strip(coded, (64, 96), tags))


@pytest.mark.parametrize("compression", [0, 6, 50002])
def test_a_tiff_of_a_compression_that_nothing_here_decodes_is_known_by_its_header(compression: int) -> None:
    with pytest.raises(UnsupportedScan, match="another compression"):
        read_pages(tiff((RGB, {259: shorts(compression)})))


def test_a_jpeg_in_a_tiff_that_states_another_sampling_is_read() -> None:
    tags = {258: shorts(8, 8, 8), 259: shorts(7), 262: shorts(6), 277: shorts(3)}
    whole, wrong = (of_strip(JPEG, (64, 96), {**tags, **more}) for more in ({}, {530: shorts(4, 1)}))
    assert np.array_equal(read_scan(wrong).pixels, read_scan(whole).pixels)
    assert "make no sense" in read_scan(wrong).remarks[0]


def test_a_sample_format_that_does_not_exist_is_taken_as_unsigned() -> None:
    scan = read_scan(tiff((RGB, {339: shorts(0, 0, 0)})))
    assert np.array_equal(scan.pixels, RGB)
    assert "sample format is 0" in scan.remarks[0]


@pytest.mark.parametrize("stated", [0, 40, len(WEBP) + 5000, 2**32 - 1])
def test_a_webp_that_states_another_size_than_it_has_is_read_where_it_is_whole(stated: int, tmp_path: Path) -> None:
    data = WEBP[:4] + struct.pack("<I", stated) + WEBP[8:]
    scan = read_scan(data)
    assert np.array_equal(scan.pixels, RGB)
    assert "another size" in scan.remarks[0]
    (tmp_path / "scan").write_bytes(data)
    with spool_scan(tmp_path / "scan", tmp_path) as spooled:
        assert np.array_equal(spooled.pixels.read(0, 64), RGB)
    assert read_pages(data)[0].width == 96
    with pytest.raises(ScanError):
        read_scan(data[:-40])


def test_a_png_of_apples_own_kind_is_unsupported() -> None:
    for look in (read_scan, read_pages):
        with pytest.raises(UnsupportedScan, match="CgBI"):
            look(PNG[:8] + png_chunk(b"CgBI", b"\x50\0\x20\6") + PNG[8:])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (PNG[:33] + png_chunk(b"caBX", b"jumb") + PNG[33:], "Content Credentials"),
        (PNG[:33] + png_chunk(b"prVt", b"mine") + PNG[33:], "a chunk of another kind ('prVt', 16 bytes)"),
        (WEBP + b"C2PA\4\0\0\0jumb", "Content Credentials"),
        (WEBP + b"MINE\4\0\0\0mine", "a chunk of another kind ('MINE')"),
        (tiff((RGB, {0xCD41: Entry(7, b"jumbf")})), "Content Credentials"),
        (tiff((RGB, {37724: Entry(7, b"layers")})), "the layers of Photoshop"),
    ],
)
def test_what_no_derivative_has_is_said_of_any_format(data: bytes, says: str) -> None:
    if data.startswith(b"RIFF"):
        data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    scan = read_scan(data)
    assert [found.startswith(says) for found in scan.left_out] == [True]
    assert read_scan(write_scan(scan, scan.pixels)).left_out == ()
