"""Errors of structure that touch no pixel: the picture is read whole, and it is said what was wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from faulty_files import mpf, of_strip, packed, segment, shuffled, tiff
from scan_files import encoded, photo, png_chunk

from oldphoto_core.errors import TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans import probe_header, read_pages, read_scan, read_technical_metadata, spool_scan, write_scan
from oldphoto_core.scans.metadata.ifd import ASCII, BYTE, Entry, longs, read_ifd, shorts, write_ifd
from oldphoto_core.scans.views import HoledCopy

RGB, GREY, DEEP = photo(3, 8), photo(1, 8), photo(4, 16)
_CODED = encoded(RGB, "jpeg", Q=90, keep=0)
JPEG = _CODED[:2] + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0") + _CODED[2:]
PNG = encoded(RGB, "png")
SIZE = RGB.size
HALF = np.ascontiguousarray(RGB[::2, ::2])

TIFFS: dict[str, tuple[bytes, str]] = {
    "orientation 0": (tiff((RGB, {274: shorts(0)})), "orientation is 0"),
    "orientation 9": (tiff((RGB, {274: shorts(9)})), "orientation is 9"),
    "orientation in words": (tiff((RGB, {274: Entry(ASCII, b"top\0")})), "orientation"),
    "a next directory nowhere": (tiff((RGB, {}), following=0xFFFFFFFF), "names one at byte 4294967295"),
    "a next directory in the header": (tiff((RGB, {}), following=2), "names one at byte 2"),
    "a next directory among the pixels": (tiff((RGB, {}), following=4000), "names one at byte 4000"),
    "a next directory far behind the end": (tiff((RGB, {}), following=0x7FFFFFF0), "where there is none"),
    "a directory that follows itself": (tiff((RGB, {}), following=8 + SIZE), "names itself"),
    "strips longer than the file": (tiff((RGB, {279: longs(SIZE + 70_000)})), "lengths of 1 of its 1 strips"),
    "strips of no length": (tiff((RGB, {279: longs(0)})), "lengths of 1 of its 1 strips"),
    "strips of no stated length": (tiff((RGB, {279: None})), "lengths of 1 of its 1 strips"),
    "strips of less than their rows": (tiff((RGB, {279: longs(17)})), "lengths of 1 of its 1 strips"),
    "strips of 0 rows": (tiff((RGB, {278: longs(0)})), "strips of 0 rows"),
    "SubIFDs that lead nowhere": (tiff((RGB, {330: longs(0x7FFFFFF0, 4)})), "2 of its 2 SubIFDs lead nowhere"),
    "EXIF that leads nowhere": (tiff((RGB, {34665: longs(0x7FFFFFF0)})), "EXIF directory lies outside"),
    "tags out of order": (shuffled(tiff((RGB, {}))), "out of order"),
    "no photometric interpretation": (tiff((RGB, {262: None})), "taken as RGB"),
    "an only picture marked as reduced": (tiff((RGB, {254: longs(1)})), "marked as a smaller copy"),
    "an only picture marked as a mask": (tiff((RGB, {254: longs(4)})), "marked as a mask"),
    "no number of channels": (tiff((RGB, {277: None})), "taken as 3"),
    "a planar configuration of 0": (tiff((RGB, {284: shorts(0)})), "planar configuration is 0"),
    "big-endian": (tiff((RGB, {274: shorts(0)}), order=">"), "orientation is 0"),
    "bigtiff": (tiff((RGB, {274: shorts(0)}), big=True, following=2**64 - 1), "orientation is 0"),
}
FINE: dict[str, bytes] = {
    "rows of strips beyond the picture": tiff((RGB, {278: longs(2**32 - 1)})),
    "no rows of strips": tiff((RGB, {278: None})),
    "an unknown tag": tiff((RGB, {65000: Entry(BYTE, b"abcdefgh")})),
    "big-endian bigtiff": tiff((RGB, {}), order=">", big=True),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_a_tiff_with_an_error_that_touches_no_pixel_is_read_whole_and_says_so(kind: str, tmp_path: Path) -> None:
    data, says = TIFFS[kind]
    scan = read_scan(data)
    assert np.array_equal(scan.pixels, RGB)
    assert says in " ".join(scan.remarks)
    (tmp_path / "scan").write_bytes(data)
    with spool_scan(tmp_path / "scan", tmp_path) as spooled:
        assert np.array_equal(spooled.pixels.read(0, spooled.height), RGB)
        assert spooled.remarks == scan.remarks
    again = read_scan(write_scan(scan, scan.pixels))
    assert np.array_equal(again.pixels, RGB)
    assert again.remarks == scan.remarks if "as a mask" in kind else again.remarks == ()
    assert len(read_pages(data)) == 1
    assert read_technical_metadata(data).orientation == 1


@pytest.mark.parametrize("kind", FINE)
def test_what_is_only_unusual_in_a_tiff_is_not_remarked(kind: str) -> None:
    scan = read_scan(FINE[kind])
    assert np.array_equal(scan.pixels, RGB)
    assert scan.remarks == ()


@pytest.mark.parametrize("kind", [*TIFFS, *FINE])
def test_such_a_tiff_is_judged_by_its_header_as_it_is_read(kind: str, tmp_path: Path) -> None:
    data = TIFFS[kind][0] if kind in TIFFS else FINE[kind]
    (tmp_path / "copy").write_bytes(data)
    blocks = frozenset(range(len(data) // 2**16 + 1))
    with HoledCopy(tmp_path / "copy", blocks) as copy:
        assert [(page.width, page.height) for page in probe_header(copy).pages] == [(96, 64)]


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits", "jpeg", "ccittfax4"])
def test_compressed_strips_that_claim_more_than_the_file_are_read_when_they_are_whole(compression: str) -> None:
    options = {"bitdepth": 1} if compression == "ccittfax4" else {}
    data = encoded(GREY, "tiff", compression=compression, **options)
    entries = read_ifd(data)
    assert len(entries[273].integers()) == 1
    place, length = entries[273].integers()[0], entries[279].integers()[0]
    kept = {tag: entries[tag] for tag in (258, 259, 262, 277, 317, 347) if tag in entries}
    coded = data[place : place + length]
    more = of_strip(coded, (64, 96), {**kept, 279: longs(length + 10**6)})
    # what such a strip runs into here is the directory, which is no part of the picture
    scan = read_scan(more)
    assert np.array_equal(scan.pixels, read_scan(data).pixels)
    assert "lengths of 1 of its 1" in scan.remarks[0]
    half = of_strip(coded[: length // 2], (64, 96), {**kept, 279: longs(10**6)})
    with pytest.raises(TruncatedScan):
        read_scan(half)


def test_a_tiff_that_is_cut_in_its_pixels_stays_truncated_however_its_lengths_are_stated() -> None:
    for length in (SIZE, SIZE + 5000, 0):
        entries = {256: longs(96), 257: longs(64), 258: shorts(8, 8, 8), 259: shorts(1), 262: shorts(2)}
        entries |= {273: longs(0), 277: shorts(3), 278: longs(64), 279: longs(length)}
        entries[273] = longs(8 + len(write_ifd(entries, 8)))
        data = b"II*\0\x08\0\0\0" + write_ifd(entries, 8) + RGB.tobytes()
        assert np.array_equal(read_scan(data).pixels, RGB)
        with pytest.raises(TruncatedScan):
            read_scan(data[:-1])


def test_a_second_page_that_is_cut_off_is_no_error_without_consequences() -> None:
    two = tiff((RGB, {}), (GREY, {}))
    assert len(read_pages(two)) == 2
    first = tiff((RGB, {}))
    for kept in (len(first) + 4, len(two) - 100, len(two) - 1):
        with pytest.raises(TruncatedScan):
            read_pages(two[:kept])
    overwritten = two[: len(first) + GREY.size] + bytes(len(two) - len(first) - GREY.size)
    with pytest.raises(UnreadableScan, match="a directory should stand at byte"):
        read_pages(overwritten)


def test_directories_in_a_ring_of_several_stay_refused_because_the_link_was_another_one() -> None:
    with pytest.raises(UnreadableScan, match="form a ring"):
        read_pages(tiff((RGB, {}), (GREY, {}), following=8 + SIZE))


@pytest.mark.parametrize("extra", [shorts(0), None])
@pytest.mark.parametrize("bands", [2, 4])
def test_a_channel_that_does_not_call_itself_alpha_is_carried_through_and_not_taken_for_it(
    extra: Entry | None, bands: int, tmp_path: Path
) -> None:
    pixels = photo(bands, 16)
    data = tiff((pixels, {262: shorts(2 if bands == 4 else 1), 338: extra}))
    scan = read_scan(data)
    assert np.array_equal(scan.pixels, pixels[..., :-1])
    assert "not taken for alpha" in scan.remarks[0]
    assert not read_technical_metadata(data).alpha
    derivative = write_scan(scan, scan.pixels)
    assert read_ifd(derivative)[338].integers() == (0,)
    again = read_scan(derivative)
    assert again.alpha is not None
    assert np.array_equal(again.alpha, pixels[..., -1])
    heard = list[str]()
    assert read_scan(write_scan(scan, scan.pixels, format="png", warn=heard.append)).alpha is None
    assert "would take it for alpha" in heard[0]


@pytest.mark.parametrize("kind", [1, 2])
def test_a_channel_that_calls_itself_alpha_is_alpha(kind: int) -> None:
    opaque = np.concatenate([photo(3, 16), np.full((64, 96, 1), 65_535, np.uint16)], axis=2)
    data = tiff((opaque, {338: shorts(kind)}))
    scan = read_scan(data)
    assert scan.remarks == ()
    assert read_technical_metadata(data).alpha
    assert np.array_equal(scan.pixels, opaque[..., :3])


def test_more_channels_than_one_beside_the_colours_are_refused_with_a_way_out() -> None:
    five = np.concatenate([DEEP, DEEP[..., :1]], axis=2)
    with pytest.raises(UnsupportedScan, match="5 channels of kind"):
        read_scan(tiff((five, {338: shorts(0, 0)})))


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("bands", [1, 3])
def test_packed_samples_of_10_12_or_14_bits_are_read_as_16(bits: int, bands: int) -> None:
    samples = photo(bands, 16)[:, :95] >> (16 - bits)
    kind = {262: shorts(2 if bands == 3 else 1), 277: shorts(bands), 258: shorts(*[bits] * bands), 259: shorts(1)}
    data = of_strip(packed(samples, bits), (64, 95), kind)
    scan = read_scan(data)
    most = 2**bits - 1
    assert np.array_equal(scan.pixels, np.round(samples * (65_535 / most)).astype(np.uint16))
    assert (scan.bits, scan.converted) == (16, f"{bits} bits")
    assert (read_pages(data)[0].bits, read_technical_metadata(data).bits) == (16, bits)
    inverted = read_scan(of_strip(packed(samples, bits), (64, 95), {**kind, 262: shorts(0)})) if bands == 1 else None
    assert inverted is None or np.array_equal(inverted.pixels, 65_535 - scan.pixels)


def test_packed_samples_are_undone_from_deflate_tiles_and_planes() -> None:
    import zlib

    samples = photo(3, 16)[:, :95] >> 4
    kind = {262: shorts(2), 277: shorts(3), 258: shorts(12, 12, 12)}
    wanted = read_scan(of_strip(packed(samples, 12), (64, 95), {**kind, 259: shorts(1)})).pixels
    deflated = of_strip(zlib.compress(packed(samples, 12)), (64, 95), {**kind, 259: shorts(8)})
    assert np.array_equal(read_scan(deflated).pixels, wanted)
    planes = [packed(samples[..., channel], 12) for channel in range(3)]
    starts = longs(*(8 + sum(map(len, planes[:n])) for n in range(3)))
    separate = {**kind, 259: shorts(1), 284: shorts(2), 273: starts, 279: longs(*map(len, planes))}
    assert np.array_equal(read_scan(of_strip(b"".join(planes), (64, 95), separate)).pixels, wanted)
    padded = np.pad(samples, ((0, 0), (0, 33), (0, 0)))
    tiles = [packed(padded[:, left : left + 64], 12) for left in (0, 64)]
    tiled = {**kind, 259: shorts(1), 273: None, 278: None, 279: None, 322: longs(64), 323: longs(64)}
    tiled |= {324: longs(8, 8 + len(tiles[0])), 325: longs(*map(len, tiles))}
    assert np.array_equal(read_scan(of_strip(b"".join(tiles), (64, 95), tiled)).pixels, wanted)


def test_a_packed_tiff_that_is_cut_is_refused_and_one_of_an_odd_depth_says_what_to_do() -> None:
    samples = packed(photo(1, 16)[..., 0] >> 4, 12)
    kind = {262: shorts(1), 258: shorts(12), 259: shorts(1)}
    with pytest.raises(UnreadableScan, match="for a strip or tile whose rows take"):
        read_scan(of_strip(samples[:-2], (64, 96), kind))
    with pytest.raises(TruncatedScan):
        read_scan(of_strip(samples, (64, 96), kind)[:-4])
    with pytest.raises(UnsupportedScan, match="8 or 16 bits"):
        read_scan(of_strip(packed(photo(1, 8)[..., 0] >> 3, 5), (64, 96), {**kind, 258: shorts(5)}))


JPEGS: dict[str, tuple[bytes, str]] = {
    "Se = 0 in a baseline scan": (JPEG.replace(b"\3\x11\0\x3f\0", b"\3\x11\0\0\0"), "only a progressive JPEG"),
    "Ah and Al in a baseline scan": (JPEG.replace(b"\3\x11\0\x3f\0", b"\3\x11\0\x3f\x21"), "only a progressive JPEG"),
    "JFIF 2": (JPEG.replace(b"JFIF\0\1", b"JFIF\0\2"), "revision 2 of JFIF"),
    "a colour transform of 7": (
        JPEG[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\x07") + JPEG[20:], "colour transform 7"
    ),
    "padding between segments": (JPEG[:20] + bytes(40) + JPEG[20:], "stray bytes between"),
    "garbage between segments": (JPEG[:20] + b"\x12\xff\x34\xff\x01" * 9 + JPEG[20:], "stray bytes between"),
    "a segment of no length": (JPEG[:20] + segment(0xE5, b"abc", 0) + JPEG[20:], "wrong length"),
    "EXIF that is shorter than it says": (JPEG[:20] + segment(0xE1, b"Exif\0\0II*\0", 90) + JPEG[20:], "wrong length"),
    "a comment that swallows the file": (JPEG[:20] + segment(0xFE, b"mine", 0xFFFF) + JPEG[20:], "wrong length"),
    "no mark of its end": (JPEG[:-2], "mark of its end is missing"),
}  # fmt: skip


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_with_an_error_that_touches_no_pixel_is_read_whole_and_says_so(kind: str, tmp_path: Path) -> None:
    data, says = JPEGS[kind]
    assert data != JPEG
    scan = read_scan(data)
    assert np.array_equal(scan.pixels, read_scan(JPEG).pixels)
    assert says in " ".join(scan.remarks)
    assert scan.encoding == read_scan(JPEG).encoding
    (tmp_path / "scan").write_bytes(data)
    with spool_scan(tmp_path / "scan", tmp_path) as spooled:
        assert np.array_equal(spooled.pixels.read(0, 64), scan.pixels)
        assert spooled.remarks == scan.remarks
    assert (read_pages(data)[0].width, read_technical_metadata(data).width) == (96, 96)


@pytest.mark.parametrize("kind", JPEGS)
def test_a_harmless_error_of_a_jpeg_excuses_no_damage_behind_it(kind: str) -> None:
    data = bytearray(JPEGS[kind][0])
    start = data.rindex(b"\xff\xda") + 200
    data[start : start + 40] = b"\xff\xd3" * 20
    with pytest.raises((UnreadableScan, TruncatedScan)):
        read_scan(bytes(data))


@pytest.mark.parametrize("lost", [3, 4, 20, 200, 2000])
def test_a_jpeg_whose_last_pixels_are_missing_is_truncated(lost: int) -> None:
    with pytest.raises(TruncatedScan):
        read_scan(JPEG[:-lost])


def test_a_progressive_jpeg_without_its_end_is_truncated_as_a_scan_may_be_missing() -> None:
    with pytest.raises(TruncatedScan):
        read_scan(encoded(RGB, "jpeg", interlace=True)[:-2])


def test_a_jpeg_with_restart_marks_is_read_and_garbled_pixels_before_one_are_seen() -> None:
    data = encoded(RGB, "jpeg", restart_interval=2)
    assert read_scan(data).remarks == ()
    mark = data.index(b"\xff\xd1", data.index(b"\xff\xda"))
    with pytest.raises(UnreadableScan):
        read_scan(data[:mark] + b"\x55" * 9 + data[mark:])


OTHER = encoded(np.ascontiguousarray(RGB[::-1]), "jpeg")
GAIN = encoded(HALF, "jpeg")[:2] + segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version="1.0"/>')
GAIN += encoded(HALF, "jpeg")[2:]
VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 8


def indexed(*others: tuple[int, bytes]) -> bytes:
    """An MPO: the JPEG, with an index behind its header, and other pictures."""
    sizes = [(kind, len(data)) for kind, data in others]
    length = len(mpf(sizes, 0))
    first = JPEG[:2] + mpf(sizes, len(JPEG) + length) + JPEG[2:]
    return first + b"".join(data for _, data in others)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (indexed((0x020002, OTHER)), ["another picture of a stereo pair"]),
        (indexed((0, OTHER), (0, OTHER)), ["another picture (JPEG)"] * 2),
        (indexed((0x010001, OTHER), (0, GAIN)), ["a preview", "a gain map (HDR)"]),
        (indexed((0, GAIN)) + VIDEO, ["a gain map (HDR)", "a video (of a motion photo)"]),
        (JPEG + VIDEO, ["a video (of a motion photo)"]),
        (JPEG + OTHER, ["another picture (JPEG)"]),
        (JPEG + b"notes of a camera SEFT", ["a Samsung trailer"]),
        (JPEG + b"something", ["data of no known kind"]),
        (JPEG + bytes(4096), []),
        (JPEG[:2] + segment(0xEB, b"JP\0\1jumbf") + JPEG[2:], ["Content Credentials"]),
        (PNG + b"something", ["data (9 bytes)"]),
        (PNG[:33] + png_chunk(b"acTL", struct.pack(">II", 3, 0)) + PNG[33:], ["2 other pictures of an animation"]),
        (encoded(RGB, "webp", lossless=True) + VIDEO, [f"data ({len(VIDEO):,} bytes)"]),
    ],
)  # fmt: skip
def test_what_is_left_out_of_a_file_is_said_by_name(data: bytes, says: list[str]) -> None:
    scan = read_scan(data)
    assert len(scan.left_out) == len(says)
    assert all(found.startswith(part) for found, part in zip(scan.left_out, says, strict=True))
    derivative = write_scan(scan, scan.pixels)
    assert read_scan(derivative).left_out == ()
    assert VIDEO not in derivative


def with_wrong_sum(kind: bytes, payload: bytes) -> bytes:
    chunk = png_chunk(kind, payload)
    return PNG[:33] + chunk[:-1] + bytes([chunk[-1] ^ 1]) + PNG[33:]


def test_a_wrong_checksum_costs_a_png_a_chunk_and_not_its_picture(tmp_path: Path) -> None:
    for kind, payload in ((b"tEXt", b"Title\0photo"), (b"pHYs", struct.pack(">IIB", 1, 1, 1)), (b"gAMA", bytes(4))):
        data = with_wrong_sum(kind, payload)
        scan = read_scan(data)
        assert np.array_equal(scan.pixels, RGB)
        assert f"'{kind.decode()}' chunk is wrong" in scan.remarks[0]
        assert read_pages(data)[0].width == 96
        (tmp_path / "scan").write_bytes(data)
        with spool_scan(tmp_path / "scan", tmp_path) as spooled:
            assert np.array_equal(spooled.pixels.read(0, 64), RGB)


def test_a_wrong_checksum_of_what_pixels_need_is_damage() -> None:
    with pytest.raises(UnreadableScan, match="tRNS"):
        read_scan(with_wrong_sum(b"tRNS", bytes(6)))
    damaged = bytearray(PNG)
    damaged[PNG.index(b"IDAT") + 9] ^= 1
    with pytest.raises(UnreadableScan, match="IDAT"):
        read_scan(bytes(damaged))


def test_a_profile_that_cannot_be_unpacked_is_left_out_and_said() -> None:
    scan = read_scan(PNG[:33] + png_chunk(b"iCCP", b"x\0\0garbage") + PNG[33:])
    assert scan.icc_profile is None
    assert "ICC profile cannot be unpacked" in scan.remarks[0]
