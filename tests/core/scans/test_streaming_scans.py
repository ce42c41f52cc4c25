"""Scans from file to file: what `read_scan` and `write_scan` do in memory, in little memory."""

from __future__ import annotations

import dataclasses
import os
import random
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from full_disk import full_disk
from scan_files import encoded, jpeg2000, photo
from scan_kinds import KINDS
from test_scans import LOSSLESS, described

from oldphoto_core.errors import ScanError, ScanTooLarge, UnsupportedScan
from oldphoto_core.scans import (
    RawPixels,
    Scan,
    SpooledScan,
    read_header,
    read_header_of,
    read_scan,
    size_limit,
    spool_scan,
    views,
    write_scan,
    write_spooled,
    writer,
)

MASTERS: dict[str, bytes] = {
    **KINDS,
    **{f"{f} {n}: {b} x {bits} {o}": encoded(photo(b, bits), f, **o) for n, (f, b, bits, o) in enumerate(LOSSLESS)},
    **{f"described {format_}": described(format_, "in") for format_ in ("jpeg", "png", "tiff", "webp")},
    "pyramid": pyvips.Image.black(600, 600).copy(interpretation="b-w").tiffsave_buffer(pyramid=True, tile=True),
    "stray bytes": KINDS["jpeg"][:-2] + b"\x12\x34" + KINDS["jpeg"][-2:],
    "opaque": encoded(np.dstack([photo(3, 16), np.full((64, 96), 65_535, np.uint16)]), "png"),
}
FORMATS = ("keep", "tiff", "png", "jpeg")


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    """Makes a file of the bytes."""

    def put(data: bytes) -> Path:
        (tmp_path / "master").write_bytes(data)
        return tmp_path / "master"

    return put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, of a name that libvips and printf would read something into."""
    (tmp_path / "spööl [n=2] %s").mkdir()
    return tmp_path / "spööl [n=2] %s"


def all_of(pixels: RawPixels | None) -> np.ndarray | None:
    return None if pixels is None else pixels.read(0, pixels.height)


def describes(scan: Scan | SpooledScan) -> dict[str, Any]:
    fields = {f.name: getattr(scan, f.name) for f in dataclasses.fields(scan) if f.name not in ("pixels", "alpha")}
    names = ("height", "width", "channels", "bits", "megapixels", "is_grey")
    return fields | {name: getattr(scan, name) for name in names}


def outcome(work: Callable[[], Any]) -> Any:
    """What comes of it; of an error the kind, and the message where it is ours."""
    # what libvips warned of in a picture that was read stays in its list, and would be told of the next one
    pyvips.vips_lib.vips_error_clear()
    try:
        return work()
    except ScanError as error:
        # libvips names its operations in messages, and says now and then what belongs to another image
        return type(error), "" if re.search(r"cannot be (read|decoded|written)", str(error)) else str(error)


@pytest.mark.parametrize("master", MASTERS)
def test_a_spooled_scan_is_the_scan_that_is_read(master: str, put: Callable[[bytes], Path], folder: Path) -> None:
    scan = read_scan(MASTERS[master])
    with spool_scan(put(MASTERS[master]), folder) as spooled:
        assert describes(spooled) == describes(scan)
        assert np.array_equal(all_of(spooled.pixels), scan.pixels)
        alpha = all_of(spooled.alpha)
        assert (alpha is None) == (scan.alpha is None)
        assert alpha is None or np.array_equal(alpha[..., 0], scan.alpha)


@pytest.mark.parametrize("master", MASTERS)
def test_a_spooled_scan_is_written_as_the_same_bytes(master: str, put: Callable[[bytes], Path], folder: Path) -> None:
    scan = read_scan(MASTERS[master])
    with spool_scan(put(MASTERS[master]), folder) as spooled:
        for format_ in FORMATS:

            def streamed(format_: Any = format_) -> bytes:
                write_spooled(spooled, spooled.pixels, folder / "out", format=format_)
                return (folder / "out").read_bytes()

            def in_memory(format_: Any = format_) -> bytes:
                return write_scan(scan, scan.pixels, format=format_)

            assert outcome(streamed) == outcome(in_memory)
        spooled.discard()
    assert set(os.listdir(folder)) <= {"out"}


@pytest.mark.parametrize("bands", [1, 3])
def test_sixteen_bits_are_rounded_into_a_jpeg_alike(bands: int, put: Callable[[bytes], Path], folder: Path) -> None:
    every_level = np.repeat(np.arange(65_536, dtype=np.uint16).reshape(256, 256, 1), bands, axis=2)
    data = encoded(every_level, "png")
    with spool_scan(put(data), folder) as spooled:
        write_spooled(spooled, spooled.pixels, folder / "out.jpg", format="jpeg")
    assert (folder / "out.jpg").read_bytes() == write_scan(read_scan(data), every_level, format="jpeg")
    rounded = writer._rounded(pyvips.Image.new_from_array(every_level, interpretation="rgb16")).numpy()
    assert np.array_equal(np.squeeze(rounded), np.squeeze((every_level.astype(int) + 128) // 257))


def test_a_bigtiff_is_chosen_alike(put: Callable[[bytes], Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_limit, "_BIGTIFF_FROM", 1000)
    data = described("tiff", "cm")
    with spool_scan(put(data), folder) as spooled:
        write_spooled(spooled, spooled.pixels, folder / "out.tif")
    scan = read_scan(data)
    assert (folder / "out.tif").read_bytes() == write_scan(scan, scan.pixels)
    assert (folder / "out.tif").read_bytes()[:4] == b"II+\0"


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_the_same_in_pieces_of_any_size(
    kind: str, put: Callable[[bytes], Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = read_scan(KINDS[kind])
    for size in (3, 64, 1000):
        monkeypatch.setattr(views, "_PIECE", size)
        with spool_scan(put(KINDS[kind]), folder) as spooled:
            write_spooled(spooled, spooled.pixels, folder / "out")
        assert (folder / "out").read_bytes() == write_scan(scan, scan.pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_refused_alike(kind: str, put: Callable[[bytes], Path], folder: Path) -> None:
    data = KINDS[kind]
    # without the mark of its end, of two bytes, the pixels of a baseline JPEG are whole
    ends = (3, 8, 40) if kind in ("jpeg", "grey jpeg", "cmyk jpeg") else (1, 2, 8, 40)
    for cut in [*(len(data) * sixteenth // 16 for sixteenth in range(16)), *(len(data) - n for n in ends)]:
        refused = outcome(lambda cut=cut: read_scan(data[:cut]))
        assert isinstance(refused, tuple)
        assert outcome(lambda cut=cut: spool_scan(put(data[:cut]), folder)) == refused
        assert os.listdir(folder) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("files", [12, pytest.param(40, marks=pytest.mark.long)])
def test_flipped_bits_are_judged_alike(kind: str, files: int, put: Callable[[bytes], Path], folder: Path) -> None:
    dice = random.Random(kind)
    for _ in range(files):
        damaged = bytearray(KINDS[kind])
        for _ in range(dice.choice((1, 2, 10))):
            damaged[dice.randrange(len(damaged) if dice.random() < 0.5 else 300)] ^= 1 << dice.randrange(8)
        scan = outcome(lambda data=bytes(damaged): read_scan(data, max_pixels=1_000_000))
        spooled = outcome(lambda data=bytes(damaged): spool_scan(put(data), folder, max_pixels=1_000_000))
        if isinstance(scan, tuple) or isinstance(spooled, tuple):
            assert spooled == scan
            continue
        assert describes(spooled) == describes(scan)
        assert np.array_equal(all_of(spooled.pixels), scan.pixels)
        spooled.discard()
    assert os.listdir(folder) == []


FOREIGN = [b"", b"\0" * 500, b"<html>404</html>", b"GIF89a" + b"\0" * 50, b"\0\0\0\x18ftypheic" + b"\0" * 20, b"II*\0"]


@pytest.mark.parametrize("data", FOREIGN)
def test_what_is_no_image_is_refused_alike(data: bytes, put: Callable[[bytes], Path], folder: Path) -> None:
    assert outcome(lambda: spool_scan(put(data), folder)) == outcome(lambda: read_scan(data))
    assert outcome(lambda: read_header_of(put(data))) == outcome(lambda: read_header(data))


def test_kinds_that_are_not_handled_are_refused_alike(put: Callable[[bytes], Path], folder: Path) -> None:
    pages = pyvips.Image.new_from_array(np.vstack([photo(3, 8), 255 - photo(3, 8)])).copy(interpretation="srgb")
    pages.set_type(pyvips.GValue.gint_type, "page-height", 64)
    floats = pyvips.Image.new_from_array(photo(3, 8)).cast("float").tiffsave_buffer()
    for data in (pages.tiffsave_buffer(), pages.webpsave_buffer(), floats, jpeg2000(photo(2, 8))):
        refused = outcome(lambda data=data: read_scan(data))
        assert refused[0] is UnsupportedScan
        assert outcome(lambda data=data: spool_scan(put(data), folder)) == refused


def test_a_missing_file_is_a_scan_error(tmp_path: Path) -> None:
    for read in (read_header_of, lambda path: spool_scan(path, tmp_path)):
        with pytest.raises(ScanError, match="No such file"):
            read(tmp_path / "nowhere.tif")


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_of_a_file_is_that_of_its_bytes(kind: str, put: Callable[[bytes], Path]) -> None:
    assert read_header_of(put(KINDS[kind])) == read_header_of(str(put(KINDS[kind]))) == read_header(KINDS[kind])


def test_the_size_is_judged_before_a_pixel_is_spooled(put: Callable[[bytes], Path], folder: Path) -> None:
    with pytest.raises(ScanTooLarge, match="96 x 64"):
        spool_scan(put(KINDS["png"]), folder, max_pixels=96 * 64 - 1)
    assert os.listdir(folder) == []


def test_pixels_of_another_shape_or_depth_are_refused(put: Callable[[bytes], Path], folder: Path) -> None:
    with spool_scan(put(KINDS["png"]), folder) as spooled:
        for height, channels, dtype in ((63, 3, np.uint8), (64, 1, np.uint8), (64, 3, np.uint16)):
            other = RawPixels.create(folder / "other", height, 96, channels, dtype)
            with other, pytest.raises(UnsupportedScan, match="do not fit their scan"):
                write_spooled(spooled, other, folder / "out.png")
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize("format_", ["tiff", "png", "jpeg"])
def test_a_full_disk_is_named_and_leaves_nothing(format_: Any, put: Callable[[bytes], Path], folder: Path) -> None:
    path = put(encoded(np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8), "tiff"))
    with spool_scan(path, folder) as spooled:
        before = os.listdir(folder)
        with full_disk(20_000), pytest.raises(ScanTooLarge, match="make room"):
            spool_scan(path, folder)
        with full_disk(20_000), pytest.raises(ScanTooLarge, match="make room"):
            write_spooled(spooled, spooled.pixels, folder / "out", format=format_)
    assert os.listdir(folder) == before


def test_the_layers_of_a_tiff_from_photoshop_are_passed_over(put: Callable[[bytes], Path], folder: Path) -> None:
    from oldphoto_core.scans.metadata.ifd import UNDEFINED, Entry, read_ifd, write_ifd

    data = encoded(photo(3, 8), "tiff")
    layers = Entry(UNDEFINED, b"layer " * 100_000)
    whole = data + write_ifd({**read_ifd(data), 37724: layers}, len(data))
    whole = whole[:4] + struct.pack("<I", len(data)) + whole[8:]
    assert 37724 not in read_ifd(whole)
    with spool_scan(put(whole), folder) as spooled:
        assert np.array_equal(all_of(spooled.pixels), photo(3, 8))


def test_a_strip_too_large_for_the_decoder_is_explained(put: Callable[[bytes], Path], folder: Path) -> None:
    grain = pyvips.Image.gaussnoise(6000, 5000, sigma=9000, mean=30_000).cast("ushort")
    one_strip = grain.copy(interpretation="grey16").tiffsave_buffer(tile_height=5000, compression="lzw")
    for read in (lambda: read_scan(one_strip), lambda: spool_scan(put(one_strip), folder)):
        with pytest.raises(UnsupportedScan, match="50 MiB: save it again in more, smaller ones"):
            read()


MEMORY = """
import resource, sys
from oldphoto_core.scans import spool_scan, write_spooled, spool_mask, write_mask_file
path, folder, format_ = sys.argv[1:]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with spool_scan(path, folder) as scan:
    write_spooled(scan, scan.pixels, f"{folder}/out", format=format_)
    with spool_mask(path, folder, (scan.height, scan.width)) as mask:
        write_mask_file(mask, f"{folder}/mask.png")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize(
    ("tile", "format_"),
    [
        (False, "keep"),
        pytest.param(True, "keep", marks=pytest.mark.long),
        pytest.param(False, "png", marks=pytest.mark.long),
    ],
)
def test_a_giant_tiff_takes_little_memory(tile: bool, format_: str, tmp_path: Path) -> None:
    across = pyvips.Image.xyz(8000, 5000)
    grey = (across[0] * 8 + across[1]).cast("ushort")
    giant = grey.bandjoin([grey, grey]).copy(interpretation="rgb16")
    giant.tiffsave(str(tmp_path / "giant.tif"), compression="lzw", predictor="horizontal", tile=tile)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "giant.tif"), str(tmp_path), format_]
    few_threads = os.environ | {"VIPS_CONCURRENCY": "2"}  # each has rows of its own
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=few_threads)
    grown = float(done.stdout)
    assert grown < 150, f"{grown:.0f} MiB for pixels of 229 MiB"
