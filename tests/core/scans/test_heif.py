"""HEIF and AVIF: what of them is read, and what their derivative is."""

from __future__ import annotations

import importlib.util
import io
import json
import struct
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pillow_heif
import pytest
from fakes import InvertingRestorer
from folder_runs import run
from looks import looked
from PIL import Image, ImageCms
from scan_files import encoded, exif_block, photo

from oldphoto_core.errors import ScanError, ScanTooLarge, TruncatedScan, UnsupportedScan
from oldphoto_core.reports.record import record_schema
from oldphoto_core.scans import Decoders, read_header, read_scan, read_technical_metadata, spool_scan, write_scan
from oldphoto_core.scans.formats import one_piece
from oldphoto_core.storage import Bucket, is_image_key


def heic(pixels: np.ndarray, *more: np.ndarray, **options: Any) -> bytes:
    """Made by pillow-heif, without loss as far as its colours allow; 16 bits become 10."""
    file = pillow_heif.HeifFile()
    for picture in (pixels, *more):
        mode = {3: "RGB", 4: "RGBA"}[picture.shape[2]] + (";16" if picture.dtype == np.uint16 else "")
        file.add_frombytes(mode, (picture.shape[1], picture.shape[0]), picture.tobytes())
    buffer = io.BytesIO()
    file.save(buffer, quality=-1, chroma=444, **options)
    return buffer.getvalue()


def avif(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "AVIF", quality=100, subsampling="4:4:4", **options)
    return buffer.getvalue()


FILES = {
    "avif": avif(photo(3, 8)),
    "avif with alpha": avif(photo(4, 8)),
    "avif of 10 bits": encoded(photo(3, 16), "heif", compression="av1", bitdepth=10, lossless=True),
    "avif of 12 bits": encoded(photo(3, 16), "heif", compression="av1", bitdepth=12, lossless=True),
    "heic": heic(photo(3, 8)),
    "heic with alpha": heic(photo(4, 8)),
    "heic of 10 bits": heic(photo(3, 16)),
}


@pytest.mark.parametrize("kind", FILES)
def test_its_pixels_are_read_at_full_depth_and_go_into_a_lossless_tiff(kind: str, tmp_path: Path) -> None:
    bands, bits = 4 if "alpha" in kind else 3, 16 if "bits" in kind else 8
    master, header = read_scan(FILES[kind]), read_header(FILES[kind])
    assert (header.format, header.width, header.height, header.bands, header.bits) == (
        kind[:4].replace("heic", "heif"), 96, 64, bands, bits,
    )  # fmt: skip
    whole = master.pixels if master.alpha is None else np.dstack([master.pixels, master.alpha])
    apart = np.abs(whole.astype(int) - photo(bands, bits)).max()
    assert apart <= 3 if bits == 8 else apart <= 1200
    derivative = read_scan(write_scan(master, master.pixels))
    assert (derivative.format, derivative.bits, derivative.encoding.lossless) == ("tiff", bits, True)
    assert np.array_equal(derivative.pixels, master.pixels)
    (tmp_path / "file").write_bytes(FILES[kind])
    with spool_scan(tmp_path / "file", tmp_path) as spooled:
        assert np.array_equal(spooled.pixels.read(0, 64), master.pixels)


@pytest.mark.parametrize("bits", [10, 12])
def test_ten_or_twelve_bits_are_spread_over_sixteen(bits: int) -> None:
    pixels = photo(3, 16)
    pixels[0, :2] = [[0] * 3, [65_535] * 3]
    data = encoded(pixels, "heif", compression="av1", bitdepth=bits, lossless=True)
    master = read_scan(data)
    assert np.array_equal(master.pixels, np.rint((pixels >> (16 - bits)) * (65_535 / (2**bits - 1))))
    assert (read_technical_metadata(data).bits, master.converted) == (bits, f"{bits} bits")


def test_compression_is_told_as_it_is() -> None:
    assert [read_technical_metadata(FILES[kind]).compression for kind in ("avif", "heic")] == ["av1", "hevc"]


@pytest.mark.parametrize("make", [avif, heic])
def test_what_it_carries_goes_into_its_tiff_and_its_pixels_are_upright(make: Any) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    known = {"xmp": xmp, "exif": exif_block(), "icc_profile": profile}
    master = read_scan(make(photo(3, 8), **known) if make is avif else with_all(profile, xmp))
    derivative = read_scan(write_scan(master, master.pixels))
    for scan in (master, derivative):
        assert scan.icc_profile == profile
        assert b"A. Photographer" in scan.metadata["exif"]
        assert scan.metadata["xmp"].rstrip(b"\0") == xmp
        assert scan.orientation == 1
        assert scan.resolution is not None
        assert round(scan.resolution.x_per_mm * 25.4) == 300


def with_all(profile: bytes, xmp: bytes) -> bytes:
    image = Image.fromarray(photo(3, 8))
    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    image.save(buffer, "HEIF", quality=-1, chroma=444, exif=b"Exif\0\0" + exif_block(), xmp=xmp, icc_profile=profile)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_one_that_is_cut_anywhere_is_refused(kind: str) -> None:
    data = FILES[kind]
    for part in range(1, 16):
        with pytest.raises(ScanError) as caught:
            read_scan(data[: len(data) * part // 16])
        if len(data) * part // 16 > 16:
            assert isinstance(caught.value, TruncatedScan)


@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_one_of_garbage_is_refused(kind: str) -> None:
    data = FILES[kind]
    with pytest.raises(ScanError):
        read_scan(data[:32] + b"\xff" * (len(data) - 32))


def test_damage_inside_an_avif_is_seen() -> None:
    # inside a HEIC it is not: libde265 makes a picture of it all the same
    with pytest.raises(ScanError):
        read_scan(FILES["avif"][:-400] + bytes(400))


def test_videos_and_several_pictures_are_refused() -> None:
    with pytest.raises(UnsupportedScan, match="video"):
        read_scan(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(100))
    with pytest.raises(UnsupportedScan, match="2 pictures: save the one that matters"):
        read_scan(heic(photo(3, 8), 255 - photo(3, 8)))


def test_size_is_judged_before_a_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScanTooLarge, match="96 x 64"):
        read_scan(FILES["avif"], max_pixels=96 * 64 - 1)
    monkeypatch.setattr(one_piece, "MOST_PIXELS", 96 * 64 - 1)
    with pytest.raises(ScanTooLarge, match="decoded in one piece"):
        read_scan(FILES["heic"])


def test_without_its_package_a_heic_says_which_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedScan, match=r"pip install 'oldphoto\[heif\]'"):
        read_scan(FILES["heic"])
    assert read_scan(FILES["avif"]).width == 96


def test_decoder_processes_have_memory_enough_for_it() -> None:
    large = np.tile(photo(3, 8), (20, 20, 1))
    with Decoders(1) as decoders:
        for data in (avif(large, speed=10), heic(large)):
            assert decoders.read_scan(data).pixels.shape == large.shape


def test_it_is_restored_into_a_tiff_whose_record_says_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    names = {"a.heic": "heic of 10 bits", "b.avif": "avif", "c.HIF": "heic"}
    for name, kind in names.items():
        assert is_image_key(name)
        (tmp_path / "old" / name).write_bytes(FILES[kind])
    foreseen = {file.key: file.output for file in looked(Bucket(tmp_path / "old"), Bucket(tmp_path / "new")).files}
    rows = run(tmp_path, InvertingRestorer())
    assert {key: row.output for key, row in rows.items()} == foreseen == {key: f"photos/{key}.tif" for key in names}
    record = json.loads((tmp_path / "new/records/a.heic.json").read_text())
    jsonschema.validate(record, record_schema())
    assert (record["source"]["format"], record["source"]["bits"], record["derivative"]["bits"]) == ("heif", 10, 16)
    assert "the master has 10 bits a channel: its samples were spread over 16 bits" in record["warnings"][0]


def test_what_lies_beside_its_picture_is_left_out_and_said_by_name() -> None:
    transparent = avif(photo(4, 8))
    assert read_scan(transparent).left_out == ()
    alpha = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
    assert alpha in transparent
    deep = read_scan(transparent.replace(alpha, alpha.replace(b"alpha", b"depth")))
    assert deep.left_out == ("a depth map beside the picture was left out",)
    assert deep.alpha is None
    moving = read_scan(avif(photo(3, 8)) + struct.pack(">I4s", 20, b"mpvd") + bytes(12))
    assert moving.left_out == ("a video (of a motion photo) (20 bytes) beside the picture was left out",)
