"""What an inventory says of objects and pictures, without a cluster."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import encoded, picture
from photos import photo

from oldphoto_core.errors import UsageError
from oldphoto_core.inventory import COLUMNS, InventoryRow, Statistics, examine, statistics_of
from oldphoto_core.inventory.collection import check_places
from oldphoto_core.inventory.objects import as_table
from oldphoto_core.scans import RawPixels
from oldphoto_core.storage import Bucket, ObjectInfo


def measured(folder: Path, pixels: np.ndarray) -> Statistics:
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    raw = RawPixels.create(folder / "raw.tif", *pixels.shape, pixels.dtype)
    raw.write(0, pixels)
    return statistics_of(raw)


def test_contrast_is_the_deviation_of_luminance(tmp_path: Path) -> None:
    image = photo(1)
    luminance = image.astype(np.float64) @ [0.2126, 0.7152, 0.0722]
    assert measured(tmp_path, image).contrast == pytest.approx(luminance.std(), abs=1e-3)


def test_noise_is_found_as_strong_as_it_was_added(tmp_path: Path) -> None:
    flat = np.full((400, 500), 128.0)
    for sigma in (2.0, 10.0):
        noisy = (flat + np.random.default_rng(1).normal(0, sigma, flat.shape)).round().clip(0, 255).astype(np.uint8)
        assert measured(tmp_path, noisy).noise == pytest.approx(sigma, rel=0.03)


def test_blur_is_less_sharp(tmp_path: Path) -> None:
    image = photo(3)
    blurred = cv2.GaussianBlur(image, (0, 0), 2.0)
    assert measured(tmp_path, blurred).sharpness < 0.5 * measured(tmp_path, image).sharpness


def test_depth_does_not_change_the_figures(tmp_path: Path) -> None:
    eight, sixteen = measured(tmp_path, photo(2)), measured(tmp_path, photo(2).astype(np.uint16) * 257)
    for name in ("sharpness", "noise", "contrast", "black_share", "white_share"):
        assert getattr(sixteen, name) == pytest.approx(getattr(eight, name), abs=1e-3)


def test_the_figures_do_not_depend_on_how_much_is_looked_at_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(tmp_path, photo(4))
    monkeypatch.setattr("oldphoto_core.inventory.statistics.SLAB", 112 * 3 * 2)
    assert measured(tmp_path, photo(4)) == whole


def test_clipped_pixels_are_counted(tmp_path: Path) -> None:
    image = np.full((10, 10, 3), 128, np.uint8)
    image[0], image[1:4] = 0, 255
    image[9, :, 0] = 255  # one channel alone is not white
    found = measured(tmp_path, image)
    assert (found.black_share, found.white_share) == (0.1, 0.3)


def test_grey_toned_and_colour_are_told_apart(tmp_path: Path) -> None:
    grey = cv2.cvtColor(photo(5), cv2.COLOR_RGB2GRAY)
    levels = np.arange(256) / 255
    sepia = np.stack([255 * levels**0.8, 255 * levels, 255 * levels**1.3], axis=1).round().astype(np.uint8)[grey]
    as_jpeg = cv2.imdecode(np.frombuffer(encoded(sepia, ".jpg"), np.uint8), cv2.IMREAD_COLOR)
    tones = [measured(tmp_path, image).tone for image in (grey, np.repeat(grey[..., None], 3, 2), sepia, photo(5))]
    assert tones == ["grey", "grey", "toned", "colour"]
    assert measured(tmp_path, as_jpeg).tone == "toned"


def test_a_picture_of_two_pixels_has_no_sharpness(tmp_path: Path) -> None:
    found = measured(tmp_path, np.full((1, 2, 3), 9, np.uint8))
    assert math.isnan(found.sharpness)
    assert math.isnan(found.noise)
    assert found.contrast == 0.0


def test_every_object_has_its_row(bucket_url: str) -> None:
    source = Bucket(bucket_url)
    files = {"a.tif": encoded(picture(bits=16), ".tif"), "b.jpg": b"\xff\xd8\xff\xe0", "notes.txt": b"three photos"}
    for key, data in files.items():
        source.write(key, data)
    rows = {info.key: examine(source, info) for info in source.list()}
    assert {key: row.status for key, row in rows.items()} == {
        "a.tif": "examined",
        "b.jpg": "failed",
        "notes.txt": "not an image",
    }
    assert {key: row.sha256 for key, row in rows.items()} == {
        key: hashlib.sha256(data).hexdigest() for key, data in files.items()
    }
    row = rows["a.tif"]
    assert (row.format, row.width, row.height, row.megapixels, row.kind, row.bits) == (
        "tiff",
        60,
        40,
        0.0024,
        "RGB",
        16,
    )
    assert (rows["b.jpg"].reason, row.size) == ("unreadable", len(files["a.tif"]))


def test_an_object_that_is_not_there_any_more_is_a_failed_row(tmp_path: Path) -> None:
    for key, reason in (("gone.jpg", "missing"), ("../a.jpg", "unsafe key"), ("\udcff.jpg", "unsafe key")):
        row = examine(Bucket(tmp_path), ObjectInfo(key, 1, "1-1"))
        assert (row.status, row.reason, row.sha256) == ("failed", reason, "")
        assert row.key.encode()


def test_the_table_is_sorted_and_typed() -> None:
    table = as_table([InventoryRow(key=key, size=1, version="v") for key in ("b.jpg", "a.jpg")])
    assert tuple(table.columns) == COLUMNS
    assert list(table["key"]) == ["a.jpg", "b.jpg"]
    assert table["noise"].dtype == "float64"


@pytest.mark.parametrize(
    ("source", "out", "complaint"),
    [
        ("scans", "table.txt", "ends in .parquet or .csv"),
        ("scans", "scans/inventory.parquet", "lies inside"),
        ("memory://scans", "table.csv", "no Dask worker sees it"),
    ],
)
def test_places_that_cannot_work_are_refused(tmp_path: Path, source: str, out: str, complaint: str) -> None:
    places = (source if "://" in source else f"{tmp_path}/{source}", f"{tmp_path}/{out}")
    with pytest.raises(UsageError, match=complaint):
        check_places(Bucket(places[0]), places[1])


PEAK = """
import sys
from oldphoto_core.inventory import examine
from oldphoto_core.inventory.objects import _decoders
from oldphoto_core.storage import Bucket
source = Bucket(sys.argv[1])
print(examine(source, next(source.list())).megapixels)
for process in ("self", *_decoders(__import__("os").getpid()).processes):
    print(int(open(f"/proc/{process}/status").read().split("VmHWM:")[1].split()[0]) / 1024)
"""


def test_a_large_scan_takes_little_memory(tmp_path: Path) -> None:
    peaks = []
    for side in (300, 5000):
        folder = tmp_path / str(side)
        folder.mkdir()
        rng = np.random.default_rng(0)
        cv2.imwrite(str(folder / "scan.tif"), rng.integers(0, 65535, (side, side, 3), np.uint16), [259, 1])
        done = subprocess.run([sys.executable, "-c", PEAK, str(folder)], check=True, capture_output=True, text=True)
        megapixels, *of_processes = map(float, done.stdout.split())
        assert megapixels == side * side / 1e6
        peaks.append(sum(of_processes))
    # 25 megapixels of 16 bits are 143 MiB
    assert peaks[1] - peaks[0] < 100, peaks
