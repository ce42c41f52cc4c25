"""BMP: what of it is read, what is refused, and what its derivative is."""

from __future__ import annotations

import contextlib
import io
import json
import struct
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from fakes import InvertingRestorer
from folder_runs import run
from PIL import Image, ImageCms
from scan_files import photo

from oldphoto_core.errors import ScanError, ScanTooLarge, TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.reports.record import record_schema
from oldphoto_core.scans import (
    Decoders,
    probe_header,
    read_header,
    read_scan,
    read_technical_metadata,
    spool_scan,
    write_scan,
)
from oldphoto_core.scans.formats import one_piece
from oldphoto_core.scans.header_probe import SparseCopy
from oldphoto_core.storage import Bucket

RGB = photo(3, 8)
GREY_PALETTE = b"".join(bytes([level, level, level, 0]) for level in range(256))


def bitmap(
    pixels: bytes,
    depth: int,
    *,
    size: tuple[int, int] = (96, 64),
    compression: int = 0,
    palette: bytes = b"",
    header: bytes = b"",
    behind: bytes = b"",
) -> bytes:
    """A file of coded pixels; `size` is (width, height), `header` what follows the 40 bytes that all have."""
    start = 14 + 40 + len(header) + len(palette)
    numbers = (40 + len(header), *size, 1, depth, compression, len(pixels), 11811, 5906, 0, 0)
    head = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + struct.pack("<IiiHHIIiiII", *numbers)
    return head + header + palette + pixels + behind


def rows(pixels: np.ndarray) -> bytes:
    """From bottom to top, each padded to 4 bytes; HW of any depth, or HWC."""
    lines = [line.tobytes() for line in pixels[::-1]]
    return b"".join(line + b"\0" * (-len(line) % 4) for line in lines)


def by_pillow(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "BMP", dpi=(300, 300))
    return buffer.getvalue()


def rle8(levels: np.ndarray) -> bytes:
    """Every row as runs of one, and one absolute run of four in front."""
    coded = b""
    for line in levels[::-1]:
        coded += b"\0\4" + line[:4].tobytes() + b"".join(b"\1" + bytes([level]) for level in line[4:]) + b"\0\0"
    return coded + b"\0\1"


BITS_565 = RGB.astype(np.uint16) >> np.array([3, 2, 3])
MASKS_565 = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
MASKS_ALPHA = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
WITH_ALPHA = photo(4, 8)
GREY = photo(1, 8)
OS2 = b"BM" + struct.pack("<IHHIIHHHH", 0, 0, 0, 26, 12, 96, 64, 1, 24) + rows(RGB[..., ::-1])
FILES: dict[str, tuple[bytes, np.ndarray]] = {
    "24 bits": (bitmap(rows(RGB[..., ::-1]), 24), RGB),
    "24 bits from top to bottom": (bitmap(rows(RGB[::-1, :, ::-1]), 24, size=(96, -64)), RGB),
    "24 bits of OS/2": (OS2, RGB),
    "rows with padding": (bitmap(rows(RGB[:, :95, ::-1]), 24, size=(95, 64)), RGB[:, :95]),
    "32 bits": (bitmap(rows(np.dstack([RGB[..., ::-1], GREY])), 32), RGB),
    "32 bits with alpha": (
        bitmap(rows(WITH_ALPHA[..., [2, 1, 0, 3]]), 32, compression=3, header=MASKS_ALPHA),
        WITH_ALPHA,
    ),
    "16 bits": (
        bitmap(rows((RGB.astype(np.uint16) >> 3 << np.array([10, 5, 0])).sum(axis=2).astype("<u2")), 16),
        (RGB >> 3 << 3) | (RGB >> 5),
    ),
    "16 bits of 5, 6 and 5": (
        bitmap(
            rows((BITS_565 << np.array([11, 5, 0])).sum(axis=2).astype("<u2")), 16, compression=3, palette=MASKS_565
        ),
        np.dstack([RGB[..., 0] >> 3 << 3 | RGB[..., 0] >> 5, RGB[..., 1], RGB[..., 2] >> 3 << 3 | RGB[..., 2] >> 5])
        & np.array([255, 252, 255], np.uint8)
        | np.dstack([GREY * 0, RGB[..., 1] >> 6, GREY * 0]),
    ),
    "8 bits of grey": (bitmap(rows(GREY[..., 0]), 8, palette=GREY_PALETTE), GREY),
    "8 bits, black and white alone": (
        bitmap(rows(GREY[..., 0] >> 7), 8, palette=GREY_PALETTE[:4] + GREY_PALETTE[-4:] + bytes(254 * 4)),
        (GREY >> 7) * np.uint8(255),
    ),
    "8 bits of a palette": (
        by_pillow(quantised := Image.fromarray(RGB).quantize(200)),
        np.asarray(quantised.convert("RGB")),
    ),
    "4 bits of a palette": (
        bitmap(
            rows(GREY[:, ::2, 0] >> 4 << 4 | GREY[:, 1::2, 0] >> 4),
            4,
            palette=b"".join(bytes([level * 9, level * 17, 255 - level, 0]) for level in range(16)),
        ),
        np.dstack([255 - (GREY >> 4), (GREY >> 4) * 17, (GREY >> 4) * 9]),
    ),
    "1 bit": (by_pillow(Image.fromarray(GREY[..., 0] > 128)), (GREY > 128) * np.uint8(255)),
    "RLE of 8 bits": (bitmap(rle8(GREY[..., 0]), 8, compression=1, palette=GREY_PALETTE), GREY),
    "RLE of 4 bits": (
        bitmap(b"\x60\x3c\0\0" * 64 + b"\0\1", 4, compression=2, palette=GREY_PALETTE[: 16 * 4]),
        np.tile(np.array([[[3], [12]]], np.uint8), (64, 48, 1)),
    ),
}
each_file = pytest.mark.parametrize("kind", FILES)


@each_file
def test_its_pixels_are_read_and_go_into_a_lossless_tiff(kind: str, tmp_path: Path) -> None:
    data, wanted = FILES[kind]
    (tmp_path / "a.bmp").write_bytes(data)
    master, header = read_scan(data), read_header(data)
    assert (header.format, header.width, header.height, header.bits) == ("bmp", wanted.shape[1], wanted.shape[0], 8)
    pixels = master.pixels if master.alpha is None else np.dstack([master.pixels, master.alpha])
    assert header.bands == wanted.shape[2]
    assert np.array_equal(pixels, wanted)
    with spool_scan(tmp_path / "a.bmp", tmp_path) as spooled:
        assert np.array_equal(spooled.pixels.read(0, spooled.height), master.pixels)
    back = read_scan(write_scan(master, master.pixels))
    assert (back.format, back.encoding.lossless) == ("tiff", True)
    assert np.array_equal(back.pixels, master.pixels)


@each_file
def test_a_file_cut_anywhere_is_never_read(kind: str) -> None:
    data, _ = FILES[kind]
    for end in (*(len(data) * sixteenth // 16 for sixteenth in range(16)), len(data) - 1, len(data) - 2):
        with pytest.raises(ScanError):
            read_scan(data[:end])


def test_a_file_that_is_cut_is_called_truncated_and_known_from_its_two_ends(tmp_path: Path) -> None:
    data = FILES["24 bits"][0][:-1]
    with pytest.raises(TruncatedScan, match="the file ends at byte"):
        read_scan(data)
    with (
        SparseCopy(tmp_path / "copy", len(data), lambda start, end: data[start:end]) as copy,
        pytest.raises(TruncatedScan),
    ):
        probe_header(copy)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bitmap(bytes(96 * 64), 8, compression=4, palette=GREY_PALETTE), "compression of JPEG or RLE24"),
        (bitmap(bytes(96 * 64), 24, compression=1), "24 bits a pixel, rle8"),
        (bitmap(bytes(96 * 64 * 8), 64), "64 bits a pixel"),
        (bitmap(bytes(96 * 64 * 4), 32, compression=3, palette=struct.pack("<III", 255, 1, 2)), "unusual order"),
        (b"BM" + bytes(12) + struct.pack("<I", 16) + bytes(90), "a header of 16 bytes"),
    ],
)
def test_what_is_not_read_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(UnsupportedScan, match=reason):
        read_scan(data)


@pytest.mark.parametrize("size", [(0, 64), (-96, 64), (96, 0)])
def test_a_size_that_makes_no_sense_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UnreadableScan, match="makes no sense"):
        read_scan(bitmap(bytes(96 * 64 * 3), 24, size=size))


def test_a_large_one_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    data = FILES["24 bits"][0]
    with pytest.raises(ScanTooLarge, match="megapixels"):
        read_scan(data, max_pixels=96 * 64 - 1)
    monkeypatch.setattr(one_piece, "MOST_PIXELS", 96 * 64 - 1)
    with pytest.raises(ScanTooLarge, match="decoded in one piece"):
        read_scan(data)


def test_resolution_and_profile_are_carried_and_data_behind_the_end_is_named() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = rows(RGB[..., ::-1])
    v5 = bytes(16) + b"DEBM" + bytes(52) + struct.pack("<III", 124 + len(pixels), len(profile), 0)
    scan = read_scan(bitmap(pixels, 24, header=v5, behind=profile + b"note"))
    assert scan.icc_profile == profile
    assert scan.resolution is not None
    assert (scan.resolution.x_per_mm, scan.resolution.y_per_mm, scan.resolution.unit) == (11.811, 5.906, "cm")
    assert scan.left_out == ("data (4 bytes) behind the picture's end was left out",)
    assert read_technical_metadata(FILES["RLE of 8 bits"][0]).compression == "rle8"


def test_decoder_processes_read_what_is_read_here() -> None:
    with Decoders(1) as decoders:
        for data, _ in FILES.values():
            assert np.array_equal(decoders.read_scan(data).pixels, read_scan(data).pixels)


def test_damage_inside_never_crashes_a_decoder_and_never_gives_another_size() -> None:
    dice = np.random.default_rng(3)
    with Decoders(1) as decoders:
        for data, _ in FILES.values():
            for _ in range(12):
                damaged = bytearray(data)
                for at in dice.integers(0, min(len(data), 200), 3):
                    damaged[at] = dice.integers(256)
                with contextlib.suppress(TruncatedScan, UnreadableScan, UnsupportedScan, ScanTooLarge):
                    scan, header = decoders.read_scan(bytes(damaged)), read_header(bytes(damaged))
                    assert (scan.height, scan.width) == (header.height, header.width)


def test_a_run_restores_it_into_a_tiff_whose_record_names_its_format(tmp_path: Path) -> None:
    Bucket(tmp_path / "old").write("a.BMP", FILES["24 bits"][0])
    assert run(tmp_path, InvertingRestorer())["a.BMP"].status == "restored"
    target = Bucket(tmp_path / "new")
    assert np.array_equal(read_scan(target.read("photos/a.BMP.tif")).pixels, 255 - RGB)
    record = json.loads(target.read("records/a.BMP.json"))
    jsonschema.validate(record, record_schema())
    assert record["source"]["format"] == "bmp"
    assert record["derivative"]["format"] == "tiff"
