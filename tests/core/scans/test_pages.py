"""TIFFs of several pages: which pages there are, each read by itself, and put together again."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image
from scan_files import encoded, mixed_pages, paged, photo

from oldphoto_core.errors import ConfigError, ScanError, ScanTooLarge, TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans import (
    PageSelection,
    TiffBook,
    can_copy,
    read_header,
    read_header_of,
    read_pages,
    read_scan,
    read_technical_metadata,
    spool_scan,
    write_scan,
)
from oldphoto_core.scans.metadata.ifd import Layout, next_ifd, read_ifd
from oldphoto_core.scans.tiff import pages as tiff_pages

PAGES = mixed_pages()


@pytest.mark.parametrize(
    ("text", "count", "numbers"),
    [("", 3, (1, 2, 3)), ("2", 3, (2,)), ("1,3-5", 4, (1, 3, 4)), ("3-,1", 4, (1, 3, 4)), ("5-1", 0, None),
     ("4", 3, ()), (" 1 , 2", 9, (1, 2)), ("2-3,3-4", 9, (2, 3, 4)), ("0", 1, None), ("a", 1, None), ("1,", 1, None),
     ("-3", 1, None), ("1-2-3", 1, None)],
)  # fmt: skip
def test_pages_are_named_by_numbers_and_ranges(text: str, count: int, numbers: tuple[int, ...] | None) -> None:
    if numbers is None:
        with pytest.raises(ConfigError, match=r"pages is .* as 1,3-5 or 2-"):
            PageSelection.parse(text)
    else:
        assert PageSelection.parse(text).of(count) == numbers


def test_selections_that_mean_the_same_pages_are_one() -> None:
    same = ("1-4", "1,2,3,4", "3-4, 1-2", "1-3,2-4", "4,1-3")
    assert {str(PageSelection.parse(text)) for text in same} == {"1-4"}
    assert str(PageSelection.parse("7-,2,9-12")) == "2,7-"


def test_every_page_has_its_own_size_depth_and_all_that_it_carries() -> None:
    first, second, third = (read_scan(PAGES, page=number) for number in (1, 2, 3))
    assert np.array_equal(first.pixels, photo(3, 8))
    assert np.array_equal(second.pixels, photo(1, 16)[:40, :50])
    assert set(np.unique(third.pixels)) == {0, 255}
    assert first.icc_profile is not None
    assert second.icc_profile is None
    resolutions = [round(scan.resolution.x_per_mm * 25.4) for scan in (first, second) if scan.resolution]
    assert resolutions == [300, 600]
    assert (first.orientation, second.orientation) == (1, 6)
    assert b"A. Photographer" in second.metadata["exif"]
    assert [read_technical_metadata(PAGES, page).compression for page in (1, 2, 3)] == ["lzw", "none", "ccitt group 4"]


def test_a_page_from_disk_is_the_page_from_memory(tmp_path: Path) -> None:
    (tmp_path / "book.tif").write_bytes(PAGES)
    assert read_header_of(tmp_path / "book.tif") == read_header(PAGES)
    for number in (1, 2, 3):
        scan = read_scan(PAGES, page=number)
        with spool_scan(tmp_path / "book.tif", tmp_path, page=number) as spooled:
            assert np.array_equal(spooled.pixels.read(0, scan.height), scan.pixels)
            assert spooled.metadata == scan.metadata
        assert np.array_equal(read_scan(tmp_path / "book.tif", page=number).pixels, scan.pixels)


def test_of_several_pages_one_must_be_named() -> None:
    with pytest.raises(UnsupportedScan, match="a TIFF of 3 pages: name the one"):
        read_scan(PAGES)
    with pytest.raises(UnsupportedScan, match="page 4 of a TIFF of 3"):
        read_scan(PAGES, page=4)
    header = read_header(PAGES)
    assert (header.width, header.height, header.pages) == (96, 64, 3)


def test_headers_of_all_pages_are_read_and_those_that_are_meant_are_judged() -> None:
    doubles = encoded(photo(1, 8), "tiff")
    headers = read_pages(PAGES)
    assert [(one.width, one.height, one.bands, one.bits) for one in headers] == [
        (96, 64, 3, 8),
        (50, 40, 1, 16),
        (96, 64, 1, 8),
    ]
    assert read_pages(doubles)[0] == read_header(doubles)
    with pytest.raises(UnsupportedScan, match="a TIFF of 3 pages, and --pages 4-9 names none of them"):
        read_pages(PAGES, PageSelection.parse("4-9"))
    with pytest.raises(ScanTooLarge, match=r"page 1: 96 x 64"):
        read_pages(PAGES, PageSelection.parse("2"), max_pixels=50 * 40)


def test_a_page_of_an_unknown_kind_is_named_unless_it_is_left_out() -> None:
    lab = Image.fromarray(photo(3, 8)).convert("LAB")
    two = paged((Image.fromarray(photo(3, 8)), {}), (lab, {}))
    at = read_ifd(two, Layout.of(two), tiff_pages.pages_of(two)[1].offset)
    position = tiff_pages.pages_of(two)[1].offset + 2 + 12 * sorted(at).index(277)
    odd = two[: position + 8] + struct.pack("<H", 2) + two[position + 10 :]
    with pytest.raises(ScanError, match=r"^page 2: "):
        read_pages(odd)
    assert len(read_pages(odd, PageSelection.parse("1"))) == 2


def cut_within(data: bytes, page: int) -> bytes:
    """The file up to the middle of what lies farthest behind of this page."""
    entries = read_ifd(data, Layout.of(data), tiff_pages.pages_of(data)[page - 1].offset)
    places, counts = entries[273].integers(), entries[279].integers()
    return data[: places[-1] + counts[-1] // 2]


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_file_that_is_cut_at_any_page_is_truncated(page: int) -> None:
    cut = cut_within(PAGES, page)
    with pytest.raises(TruncatedScan):
        read_pages(cut, PageSelection.parse("1"))
    with pytest.raises(TruncatedScan):
        read_scan(cut, page=page)


def test_directories_that_form_a_ring_are_refused_and_so_is_an_endless_number() -> None:
    layout = Layout.of(PAGES)
    first, _, last = (page.offset for page in tiff_pages.pages_of(PAGES))
    count = struct.unpack("<H", PAGES[last : last + 2])[0]
    end = last + 2 + 12 * count
    assert next_ifd(PAGES, layout, last) == 0
    with pytest.raises(UnreadableScan, match="form a ring"):
        read_pages(PAGES[:end] + struct.pack("<I", first) + PAGES[end + 4 :])
    many = 4001
    empty = b"".join(struct.pack("<HI", 0, 8 + 6 * (number + 1)) for number in range(many))
    with pytest.raises(ScanTooLarge, match="more than 4000 directories"):
        tiff_pages.pages_of(b"II*\0\x08\0\0\0" + empty)


LARGE = np.tile(photo(3, 8), (10, 8, 1))
TILES: dict[str, Any] = {"tile": True, "tile_width": 128, "tile_height": 128, "compression": "deflate"}


@pytest.mark.parametrize(("subifd", "where"), [(False, "pages"), (True, "subifds")])
def test_a_pyramid_is_one_page_and_its_derivative_has_levels_of_its_own(subifd: bool, where: str) -> None:
    master = read_scan(encoded(LARGE, "tiff", pyramid=True, subifd=subifd, **TILES))
    assert (master.encoding.pyramid, master.encoding.tile, master.left_out) == (where, (128, 128), ())
    derivative = write_scan(master, 255 - master.pixels)
    again = read_scan(derivative)
    assert again.encoding == master.encoding
    assert np.array_equal(again.pixels, 255 - LARGE)
    level = {"subifd": 0} if subifd else {"page": 1}
    half = pyvips.Image.tiffload_buffer(derivative, **level).numpy().astype(int)
    whole = 255 - LARGE.astype(int)
    mean = (whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) / 4
    assert np.abs(half - mean).max() <= 1


def test_a_format_without_pyramids_says_that_it_has_none() -> None:
    master, heard = read_scan(encoded(LARGE, "tiff", pyramid=True, **TILES)), list[str]()
    assert np.array_equal(read_scan(write_scan(master, master.pixels, format="png", warn=heard.append)).pixels, LARGE)
    assert heard == ["its pyramid of smaller copies was left out, as png holds none"]


def test_levels_that_do_not_say_that_they_are_smaller_are_known_by_their_sides() -> None:
    data = bytearray(encoded(LARGE, "tiff", pyramid=True, **TILES))
    layout = Layout.of(bytes(data))
    at = layout.first
    while at := next_ifd(bytes(data), layout, at):
        assert struct.unpack("<H", data[at + 2 : at + 4]) == (254,)
        data[at + 10 : at + 14] = bytes(4)
    assert len(tiff_pages.pages_of(bytes(data))) == 1
    assert read_scan(bytes(data)).encoding.pyramid == "pages"


def test_a_thumbnail_is_left_out_and_told_of() -> None:
    small = {254: 1}
    info = Image.Image.getexif(Image.new("L", (1, 1)))
    info.update(small)
    picture, thumbnail = Image.fromarray(photo(3, 8)), Image.fromarray(photo(3, 8)[::7, ::7])
    for pages in (((picture, {}), (thumbnail, {"exif": info})), ((thumbnail, {"exif": info}), (picture, {}))):
        scan = read_scan(paged(*pages))
        assert np.array_equal(scan.pixels, photo(3, 8))
        assert scan.left_out == ("1 smaller or other pictures inside the master's file were left out",)
    with pytest.raises(UnsupportedScan, match="nothing but a thumbnail"):
        read_scan(paged((thumbnail, {"exif": info}), (thumbnail, {"exif": info})))


def test_pages_are_put_together_as_they_were(tmp_path: Path) -> None:
    for big in (False, True):
        with TiffBook(tmp_path / "book.tif", big=big) as book:
            for number in (1, 2):
                scan = read_scan(PAGES, page=number)
                (tmp_path / "page.tif").write_bytes(write_scan(scan, scan.pixels))
                book.add_file(tmp_path / "page.tif")
            book.add_copy(PAGES, 3)
        data = (tmp_path / "book.tif").read_bytes()
        assert data[2] == (43 if big else 42)
        for number in (1, 2, 3):
            one, other = (read_scan(file, page=number) for file in (PAGES, data))
            assert np.array_equal(one.pixels, other.pixels)
            assert (one.resolution, one.icc_profile, one.orientation) == (
                other.resolution,
                other.icc_profile,
                other.orientation,
            )
        with Image.open(tmp_path / "book.tif") as image:
            assert image.n_frames == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("subifd", [False, True])
def test_a_pyramid_may_be_a_page_among_others(tmp_path: Path, subifd: bool) -> None:
    (tmp_path / "a.tif").write_bytes(encoded(LARGE, "tiff", pyramid=True, subifd=subifd, **TILES))
    (tmp_path / "b.tif").write_bytes(encoded(photo(1, 8), "tiff"))
    with TiffBook(tmp_path / "book.tif", big=False) as book:
        for name in ("a", "b", "a"):
            book.add_file(tmp_path / f"{name}.tif")
    data = (tmp_path / "book.tif").read_bytes()
    assert [page.pages for page in read_pages(data)] == [3, 3, 3]
    assert [read_scan(data, page=number).encoding.pyramid for number in (1, 2, 3)] == [
        read_scan(tmp_path / "a.tif").encoding.pyramid,
        None,
        read_scan(tmp_path / "a.tif").encoding.pyramid,
    ]


def test_wide_samples_of_the_other_byte_order_are_not_copied_as_they_are(tmp_path: Path) -> None:
    wide = Image.frombytes("I;16B", (96, 64), photo(1, 16)[..., 0].astype(">u2").tobytes())
    two = paged((wide, {}), (wide, {}))
    assert two[:2] == b"MM"
    assert not can_copy(two, 2)
    assert np.array_equal(read_scan(two, page=2).pixels, photo(1, 16))
    with TiffBook(tmp_path / "book.tif", big=False) as book, pytest.raises(UnreadableScan, match="decode it"):
        book.add_copy(two, 2)


@pytest.mark.parametrize(
    "options",
    [{"compression": "jpeg", "tile": True}, {"compression": "jpeg"}, {"bigtiff": True, "compression": "packbits"}],
)
def test_a_page_of_any_compression_is_copied_as_it_is(tmp_path: Path, options: dict[str, Any]) -> None:
    data = encoded(LARGE, "tiff", **options)
    with TiffBook(tmp_path / "book.tif", big="bigtiff" in options) as book:
        for _ in range(2):
            book.add_copy(data, 1)
    copied = read_scan(tmp_path / "book.tif", page=2)
    assert np.array_equal(copied.pixels, read_scan(data).pixels)
    assert read_technical_metadata(tmp_path / "book.tif", 2).compression == read_technical_metadata(data).compression


def test_pages_that_each_claim_the_whole_file_are_refused() -> None:
    size, count = 400_000, 60
    directories = b""
    for number in range(count):
        at = 8 + len(directories)
        width, length = struct.pack("<HHII", 256, 4, 1, 8), struct.pack("<HHII", 257, 4, 1, 8)
        claim = struct.pack("<HHII", 700, 1, size - 8, 8)
        following = 0 if number == count - 1 else at + 2 + 36 + 4
        directories += struct.pack("<H", 3) + width + length + claim + struct.pack("<I", following)
    hostile = (b"II*\0\x08\0\0\0" + directories).ljust(size, b"\0")
    with pytest.raises(UnreadableScan, match="claim many times what the file holds"):
        read_pages(hostile)


def test_parts_that_claim_the_whole_file_each_are_not_copied(tmp_path: Path) -> None:
    data = encoded(photo(1, 8), "tiff")
    size = len(data)
    entries = {**read_ifd(data)}
    from oldphoto_core.scans.metadata.ifd import as_exif, longs

    entries[273], entries[279] = longs(*[8] * 1000), longs(*[size] * 1000)
    hostile = as_exif(entries).ljust(size, b"\0")
    with TiffBook(tmp_path / "book.tif", big=False) as book, pytest.raises(UnreadableScan, match="overlap"):
        book.add_copy(hostile, 1)


def test_mutated_directories_are_refused_in_words_or_copied(tmp_path: Path) -> None:
    dice = np.random.default_rng(5)
    places = [at for page in tiff_pages.pages_of(PAGES) for at in range(page.offset, page.offset + 200)]
    copied = 0
    for _ in range(400):
        data = bytearray(PAGES)
        for at in dice.choice([*places, *range(4, 8)], 3):
            data[min(at, len(data) - 1)] = dice.integers(256)
        try:
            with TiffBook(tmp_path / "book.tif", big=False) as book:
                for number in range(1, len(tiff_pages.pages_of(bytes(data))) + 1):
                    if can_copy(bytes(data), number):
                        book.add_copy(bytes(data), number)
            copied += 1
            read_pages(bytes(data))
        except ScanError:
            continue
    assert 20 < copied < 400
