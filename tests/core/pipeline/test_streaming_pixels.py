"""Pixels and masks on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import pyvips
from scan_files import encoded, photo

from oldphoto_core.errors import MaskMismatch, ScanError, ScanTooLarge, UnsupportedScan
from oldphoto_core.scans import RawPixels, masks, read_mask, spool_mask, write_mask, write_mask_file


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_rows_come_back_as_they_were_written(channels: int, dtype: type, tmp_path: Path) -> None:
    picture = photo(channels, 16 if dtype == np.uint16 else 8)
    with RawPixels.create(tmp_path / "raw", 64, 96, channels, dtype) as pixels:
        assert (pixels.height, pixels.width, pixels.channels, pixels.dtype) == (64, 96, channels, dtype)
        assert not pixels.read(0, 64).any()
        pixels.write(40, picture[40:])
        pixels.write(0, picture[:40])
        assert np.array_equal(pixels.read(0, 64), picture)
        rows = pixels.read(30, 50)
        rows[:] = 0  # the caller's own
        assert np.array_equal(pixels.read(30, 50), picture[30:50])
    assert np.array_equal(pyvips.Image.new_from_file(pixels.path).numpy().reshape(picture.shape), picture)


def test_rows_that_are_not_contiguous_are_written_as_they_look(tmp_path: Path) -> None:
    with RawPixels.create(tmp_path / "raw", 64, 96, 3, np.uint16) as pixels:
        pixels.write(0, photo(4, 16)[::-1, :, 2::-1])
        assert np.array_equal(pixels.read(0, 64), photo(4, 16)[::-1, :, 2::-1])


def test_pixels_that_were_not_written_take_no_room(tmp_path: Path) -> None:
    with RawPixels.create(tmp_path / "raw", 10_000, 10_000, 3, np.uint16) as pixels:
        assert os.stat(pixels.path).st_size > 600_000_000
        assert os.stat(pixels.path).st_blocks * 512 < 1_000_000


def test_threads_share_a_file_of_pixels(tmp_path: Path) -> None:
    picture = photo(3, 16)

    def there_and_back(top: int) -> bool:
        pixels.write(top, picture[top : top + 2])
        return np.array_equal(pixels.read(top, top + 2), picture[top : top + 2])

    with RawPixels.create(tmp_path / "raw", 64, 96, 3, np.uint16) as pixels, ThreadPoolExecutor(4) as threads:
        assert all(threads.map(there_and_back, range(0, 64, 2)))
        assert np.array_equal(pixels.read(0, 64), picture)


def test_slabs_cover_the_picture(tmp_path: Path) -> None:
    with RawPixels.create(tmp_path / "raw", 64, 96, 3, np.uint8) as pixels:
        assert list(pixels.slabs(96 * 3 * 30)) == [(0, 30), (30, 60), (60, 64)]
        assert list(pixels.slabs()) == [(0, 64)]
        assert len(list(pixels.slabs(1))) == 64


@pytest.mark.parametrize(
    "use",
    [
        lambda pixels: pixels.read(0, 65),
        lambda pixels: pixels.read(-1, 5),
        lambda pixels: pixels.read(5, 5),
        lambda pixels: pixels.write(60, photo(3, 8)[:5]),
        lambda pixels: pixels.write(0, photo(1, 8)),
        lambda pixels: pixels.write(0, photo(3, 16)),
        lambda pixels: pixels.write(0, photo(3, 8)[:, :50]),
    ],
)
def test_rows_that_do_not_fit_are_refused(use: Callable[[RawPixels], object], tmp_path: Path) -> None:
    with RawPixels.create(tmp_path / "raw", 64, 96, 3, np.uint8) as pixels, pytest.raises(UnsupportedScan, match="raw"):
        use(pixels)


def test_pixels_of_no_photo_are_refused(tmp_path: Path) -> None:
    for height, channels, dtype in ((0, 3, np.uint8), (4, 2, np.uint8), (4, 3, np.float32)):
        with pytest.raises(UnsupportedScan, match="none of a photo"):
            RawPixels.create(tmp_path / "raw", height, 4, channels, dtype)


def test_a_file_that_is_gone_closed_or_cut_is_a_scan_error(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="nowhere/raw cannot be created: no such file"):
        RawPixels.create(tmp_path / "nowhere/raw", 4, 4, 1, np.uint8)
    pixels = RawPixels.create(tmp_path / "raw", 64, 96, 3, np.uint8)
    os.truncate(pixels.path, 1000)
    with pytest.raises(ScanError, match="ends before its pixels do"):
        pixels.read(0, 64)
    pixels.close()
    for use in (lambda: pixels.read(0, 1), lambda: pixels.write(0, photo(3, 8))):
        with pytest.raises(ScanError, match="closed file"):
            use()
    pixels.discard()
    pixels.discard()
    assert os.listdir(tmp_path) == []


MASKS = {
    "grey": encoded(photo(1, 8), "png"),
    "colour jpeg": encoded(photo(3, 8), "jpeg"),
    "16 bits": encoded(photo(3, 16), "tiff"),
    "transparent": encoded(photo(2, 16), "png"),
    "transparent colour": encoded(photo(4, 8), "webp", lossless=True),
}


@pytest.mark.parametrize("kind", MASKS)
def test_a_spooled_mask_is_the_mask_that_is_read(kind: str, tmp_path: Path) -> None:
    (tmp_path / "mask").write_bytes(MASKS[kind])
    mask = read_mask(MASKS[kind], (64, 96))
    assert 0 < mask.mean() < 1
    with spool_mask(tmp_path / "mask", tmp_path, (64, 96)) as spooled:
        assert np.array_equal(spooled.read(0, 64), np.where(mask, 255, 0)[..., np.newaxis])
        write_mask_file(spooled, tmp_path / "out.png")
        assert (tmp_path / "out.png").read_bytes() == write_mask(mask)
        assert set(os.listdir(tmp_path)) == {"mask", "out.png", Path(spooled.path).name}


def test_a_mask_that_cannot_be_finished_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(damaged: np.ndarray) -> np.ndarray:
        raise ScanTooLarge("the disk is full")

    (tmp_path / "mask").write_bytes(MASKS["transparent"])
    monkeypatch.setattr(masks, "_as_white", full)
    with pytest.raises(ScanTooLarge):
        spool_mask(tmp_path / "mask", tmp_path, (64, 96))
    assert os.listdir(tmp_path) == ["mask"]


def test_a_mask_of_another_size_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mask").write_bytes(MASKS["grey"])
    with pytest.raises(MaskMismatch, match="96 x 64 pixels, its photo 64 x 96"):
        spool_mask(tmp_path / "mask", tmp_path, (96, 64))
    assert os.listdir(tmp_path) == ["mask"]
