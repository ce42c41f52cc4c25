"""How large a derivative may become, and what it keeps of its master's coding and orientation."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import InvertingRestorer
from PIL import Image, ImageOps
from scan_files import encoded, photo

from oldphoto_core.errors import ConfigError
from oldphoto_core.restoration import Photo, RestoreOptions, restore_photos
from oldphoto_core.scans import Scan, read_scan, spool_scan, write_scan, write_spooled
from oldphoto_core.scans.metadata.ifd import read_ifd
from oldphoto_core.scans.size_limit import LEAST_QUALITY, needs_bigtiff
from oldphoto_core.storage import Bucket

SMOOTH = np.repeat(np.repeat(photo(3, 8), 4, axis=0), 4, axis=1)
GRAINY = np.clip(SMOOTH + np.random.default_rng(0).normal(0, 30, SMOOTH.shape), 0, 255).astype(np.uint8)


def quality(data: bytes) -> int | None:
    return read_scan(data).encoding.jpeg_quality


def test_quality_of_a_jpeg_gives_way_to_the_size_allowed_and_no_more_than_it_must() -> None:
    master = encoded(SMOOTH, "jpeg", Q=90)
    scan, warnings, allowed = read_scan(master), list[str](), int(1.5 * len(master))
    free = write_scan(scan, GRAINY)
    assert len(free) > allowed
    bound = write_scan(scan, GRAINY, max_bytes=allowed, warn=warnings.append)
    chosen = quality(bound)
    assert chosen is not None
    if len(bound) <= allowed:
        assert LEAST_QUALITY <= chosen < 90
        assert (
            len(write_scan(replace(scan, encoding=replace(scan.encoding, jpeg_quality=chosen + 1)), GRAINY)) > allowed
        )
    assert f"quality {chosen} instead of 90" in warnings[0]


def test_below_the_least_quality_the_size_gives_way() -> None:
    master = encoded(SMOOTH, "jpeg", Q=90)
    warnings: list[str] = []
    bound = write_scan(read_scan(master), GRAINY, max_bytes=len(master) // 4, warn=warnings.append)
    assert quality(bound) == LEAST_QUALITY
    assert len(warnings) == 2
    assert "larger than" in warnings[1]
    coarse = encoded(SMOOTH, "jpeg", Q=30)
    assert quality(write_scan(read_scan(coarse), GRAINY, max_bytes=1000)) == 30


@pytest.mark.parametrize("format_", ["jpeg", "png", "tiff", "webp"])
def test_what_is_no_larger_than_allowed_is_coded_as_ever(format_: str) -> None:
    scan = read_scan(encoded(SMOOTH, format_, **({"lossless": True} if format_ == "webp" else {})))
    plain = write_scan(scan, scan.pixels)
    assert write_scan(scan, scan.pixels, max_bytes=len(plain) + 2000, warn=pytest.fail) == plain


@pytest.mark.parametrize("format_", ["png", "tiff", "webp"])
def test_what_is_lossless_stays_so_whatever_its_size(format_: str) -> None:
    scan = read_scan(encoded(SMOOTH, format_, **({"lossless": True} if format_ == "webp" else {})))
    assert np.array_equal(read_scan(write_scan(scan, GRAINY, max_bytes=10, warn=pytest.fail)).pixels, GRAINY)


@pytest.mark.parametrize(("format_", "to"), [("jpeg", "keep"), ("webp", "keep"), ("webp", "jpeg"), ("png", "jpeg")])
def test_a_bound_is_kept_alike_from_file_to_file(format_: str, to: Any, tmp_path: Path) -> None:
    master = encoded(SMOOTH, format_)
    scan = read_scan(master)
    free = len(write_scan(scan, GRAINY, format=to))
    said: dict[str, list[str]] = {"memory": [], "disk": []}
    in_memory = write_scan(scan, GRAINY, format=to, max_bytes=int(0.8 * free), warn=said["memory"].append)
    (tmp_path / "master").write_bytes(master)
    with spool_scan(tmp_path / "master", tmp_path) as spooled:
        spooled.pixels.write(0, GRAINY)
        write_spooled(
            spooled, spooled.pixels, tmp_path / "out", format=to, max_bytes=int(0.8 * free), warn=said["disk"].append
        )
    assert (tmp_path / "out").read_bytes() == in_memory
    assert len(in_memory) <= 0.8 * free
    assert said["memory"] == said["disk"]
    assert len(said["disk"]) == 1


@pytest.mark.parametrize(
    ("gigabytes", "compression", "big"),
    [
        (3.8, "none", False),
        (3.8, "deflate", False),
        (4.0, "deflate", True),
        (3.88, "packbits", True),
        (2.5, "lzw", False),
        (2.7, "lzw", True),  # grain of 16 bits becomes larger by LZW
    ],
)
def test_a_bigtiff_is_chosen_where_4_gigabytes_may_not_do(gigabytes: float, compression: str, big: bool) -> None:
    container = read_scan(encoded(photo(3, 16), "tiff"))
    assert needs_bigtiff(int(gigabytes * 1e9), compression, container) == big


def test_what_is_carried_counts_towards_a_bigtiff() -> None:
    container = read_scan(encoded(photo(3, 16), "tiff"))
    heavy = replace(container, metadata={"xmp": bytes(200_000_000)})
    assert not needs_bigtiff(3_800_000_000, "none", container)
    assert needs_bigtiff(3_800_000_000, "none", heavy)


@pytest.mark.parametrize(("bands", "bits"), [(1, 1), (1, 8), (1, 16), (2, 8), (2, 16)])
def test_a_grey_tiff_whose_white_is_zero_has_such_a_derivative(bands: int, bits: int) -> None:
    pixels = photo(bands, max(bits, 8)) if bits > 1 else (photo(1, 8) >> 7) * np.uint8(255)
    master = read_scan(encoded(pixels, "tiff", miniswhite=True, **({"bitdepth": 1} if bits == 1 else {})))
    assert np.array_equal(master.pixels[..., 0], pixels[..., 0])
    data = write_scan(master, master.pixels)
    assert read_ifd(data)[262].integers() == (0,)
    assert np.array_equal(read_scan(data).pixels, master.pixels)
    assert read_ifd(write_scan(read_scan(encoded(photo(1, 8), "tiff")), photo(1, 8)))[262].integers() == (1,)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["jpeg", "png", "tiff", "webp"])
def test_a_viewer_turns_the_derivative_as_it_turns_the_master(format_: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    Image.fromarray(photo(3, 8)).save(
        buffer, format_.upper(), exif=exif, **({"lossless": True} if format_ == "webp" else {})
    )
    scan: Scan = read_scan(buffer.getvalue())
    with (
        Image.open(buffer) as master,
        Image.open(io.BytesIO(write_scan(scan, scan.pixels))) as derivative,
    ):
        seen, shown = (np.asarray(ImageOps.exif_transpose(image)).astype(int) for image in (master, derivative))
    assert shown.shape == seen.shape
    assert (shown.shape[0] > shown.shape[1]) == (orientation > 4)
    assert np.abs(shown - seen).mean() < 3


def restored(folder: Path, **options: float) -> tuple[bytes, list[str]]:
    """The derivative of a coarse JPEG that the network makes a grainy one, and the warnings of its record."""
    source, target = Bucket(folder / "old"), Bucket(folder / "new")
    source.write("a.jpg", encoded(SMOOTH, "jpeg", Q=90))
    photos = [Photo(item.key, item.version, item.size) for item in source.list()]
    restore_photos(Roughening(), source, target, photos, RestoreOptions(**options))  # type: ignore[arg-type]
    return target.read("photos/a.jpg"), json.loads(target.read("records/a.jpg.json"))["warnings"]


class Roughening(InvertingRestorer):
    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        return np.clip(pixels + np.random.default_rng(0).normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)


def test_a_jpeg_grows_by_half_at_most_unless_more_is_asked_for(tmp_path: Path) -> None:
    size, label = len(encoded(SMOOTH, "jpeg", Q=90)), 2000
    bound, warnings = restored(tmp_path / "bound")
    assert len(bound) <= 1.5 * size + label
    assert len(warnings) == 1
    assert f"quality {quality(bound)} instead of 90" in warnings[0]
    free, silence = restored(tmp_path / "free", max_growth=0)
    assert len(free) > 1.5 * size + label
    assert (quality(free), silence) == (90, [])


@pytest.mark.parametrize("value", [-1.0, 0.5, float("nan"), float("inf")])
def test_a_growth_that_makes_no_sense_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="max_growth is"):
        RestoreOptions(max_growth=value)


def test_another_growth_is_another_derivative() -> None:
    assert RestoreOptions(max_growth=0).digest() != RestoreOptions().digest() == RestoreOptions(max_growth=1.5).digest()
