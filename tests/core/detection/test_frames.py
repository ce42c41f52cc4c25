"""The frame of a picture: where a mount, a card or a scanner's bed ends and the picture begins."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from photos import photo

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.detection.frame import Frame, frame_of
from oldphoto_core.scans import RawPixels


def found(pixels: np.ndarray) -> Frame:
    return frame_of(ArrayCanvas(pixels), *pixels.shape[:2])


def mounted(picture: np.ndarray, margins: tuple[int, int, int, int], level: int = 236) -> np.ndarray:
    """The picture in paper with a little grain; margins: top, bottom, left, right."""
    top, bottom, left, right = margins
    shape = (picture.shape[0] + top + bottom, picture.shape[1] + left + right, picture.shape[2])
    paper = np.random.default_rng(0).normal(level, 2.0, shape).clip(0, 255).astype(np.uint8)
    paper[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return paper


def dark_photo(seed: int = 1, height: int = 400, width: int = 560) -> np.ndarray:
    return (photo(seed, height, width) * 0.6).astype(np.uint8)


@pytest.mark.parametrize("level", [236, 250])
@pytest.mark.parametrize("margins", [(30, 30, 30, 30), (20, 60, 25, 25), (12, 9, 14, 10)])
def test_a_picture_in_a_mount_has_a_frame_that_holds_all_of_it_and_little_else(
    margins: tuple[int, int, int, int], level: int
) -> None:
    scan = mounted(dark_photo(), margins, level)
    frame = found(scan)
    top, bottom, left, right = margins
    height, width = scan.shape[:2]
    assert (frame.top, frame.left) <= (top, left)
    assert frame.left <= left
    assert frame.bottom >= height - bottom
    assert frame.right >= width - right
    slack = 5
    assert frame.top >= top - slack
    assert frame.left >= left - slack
    assert frame.bottom <= height - bottom + slack
    assert frame.right <= width - right + slack


def test_margins_around_margins_are_all_outside() -> None:
    on_card = mounted(dark_photo(), (30, 30, 30, 30), 225)
    on_bed = mounted(on_card, (24, 24, 24, 24), 20)
    frame = found(on_bed)
    assert min(frame.top, frame.left) >= 48
    assert max(frame.top, frame.left) <= 54


def test_a_picture_that_lies_askew_is_whole_inside_its_frame() -> None:
    scan = mounted(dark_photo(), (40, 40, 40, 40))
    inside = np.zeros(scan.shape[:2], np.uint8)
    inside[40:-40, 40:-40] = 1
    height, width = inside.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 1.0, 1.0)
    turned = cv2.warpAffine(scan, turn, (width, height), borderValue=(236, 236, 236))
    picture = cv2.warpAffine(inside, turn, (width, height)) > 0
    frame = found(turned)
    assert not frame.is_whole(height, width)
    # a pixel or two of a corner may lie beyond a line through the middle of its side
    assert (picture & ~frame.inside(0, height, width)).mean() < 1e-3


def test_a_sky_over_a_straight_horizon_is_no_margin() -> None:
    ground = dark_photo(3, 300, 560)
    sky = np.full((150, 560, 3), 250, np.uint8)
    assert found(np.concatenate([sky, ground])).is_whole(450, 560)


def test_a_photo_without_a_margin_is_its_own_frame() -> None:
    for seed in range(6):
        assert found(photo(seed, 300, 420)).is_whole(300, 420)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 900, 3), (40, 40, 1), (3, 2, 3)])
def test_pictures_of_any_size_have_a_frame(shape: tuple[int, int, int]) -> None:
    assert found(np.full(shape, 255, np.uint8)).is_whole(*shape[:2])


def test_16_bits_and_a_disk_give_the_frame_of_8_bits_in_memory(tmp_path: Path) -> None:
    scan = mounted(dark_photo(2, 700, 900), (50, 40, 45, 60))
    height, width = scan.shape[:2]
    wide = RawPixels.create(tmp_path / "photo.tif", height, width, 3, "uint16")
    for top in range(0, height, 37):
        wide.write(top, scan[top : top + 37].astype(np.uint16) * 257)
    expected = found(scan)
    assert not expected.is_whole(height, width)
    assert frame_of(wide, height, width) == expected
    wide.close()
