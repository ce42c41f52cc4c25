"""Pictures of the desk: tiles of any level, what is shown of altered and missing files, masks as bits."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import decoded, encoded, picture
from runs import put, restore

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.desk.bits import packed, unpacked
from oldphoto_core.desk.pictures import MOST_OPEN, Pictures
from oldphoto_core.desk.pyramid import TILE, Pyramid, level_sizes
from oldphoto_core.desk.queue import Queue
from oldphoto_core.errors import NotWhatWasSeen, SourceMissing, UsageError
from oldphoto_core.storage import Bucket


@pytest.fixture
def restored(tmp_path: Path) -> tuple[Bucket, Bucket]:
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    put(source, [f"{number}.png" for number in range(6)])
    restore(source, target)
    return source, target


@pytest.fixture
def pictures(restored: tuple[Bucket, Bucket]) -> Iterator[Pictures]:
    with Pictures(Queue(restored[1]), isolated=False) as opened:
        yield opened


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (513, 1), (700, 1300), (2049, 1025)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_tiles_of_the_first_level_are_the_picture(tmp_path: Path, size: tuple[int, int], channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), np.uint8)
    pyramid = Pyramid(tmp_path, ArrayCanvas(pixels))
    assert (pyramid.region(0, 0, *size) == pixels).all()
    for level, (width, height) in enumerate(level_sizes(*size)):
        tiles = itertools.product(range(-(-width // TILE)), range(-(-height // TILE)))
        assert sum(pyramid.tile(level, *at)[..., 0].size for at in tiles) == width * height
    assert max(level_sizes(*size)[-1]) <= TILE


def test_a_smaller_level_is_the_mean_of_the_larger_one(tmp_path: Path) -> None:
    pixels = picture(900, 1400)
    pyramid = Pyramid(tmp_path, ArrayCanvas(pixels))
    half = cv2.resize(pixels, (700, 450), interpolation=cv2.INTER_AREA)
    shown = np.hstack([pyramid.tile(1, 0, 0), pyramid.tile(1, 1, 0)])
    assert np.abs(shown.astype(int) - half).max() <= 1


def test_sixteen_bits_are_shown_as_eight(tmp_path: Path) -> None:
    pixels = picture(30, 50, bits=16)
    assert (Pyramid(tmp_path, ArrayCanvas(pixels)).tile(0, 0, 0) == pixels >> 8).all()


@pytest.mark.parametrize("at", [(0, 1, 0), (0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, -1, 0)])
def test_a_tile_that_is_not_there_is_refused(tmp_path: Path, at: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError):
        Pyramid(tmp_path, ArrayCanvas(picture())).tile(*at)


def test_before_and_after_are_shown_and_tiles_of_a_closed_photo_still_end(pictures: Pictures) -> None:
    opened = pictures.open("0.png")
    assert (sorted(opened.pyramids), opened.size, opened.problems) == (["after", "before"], (60, 40), [])
    before, after = (opened.pyramids[which].tile(0, 0, 0) for which in ("before", "after"))
    assert (before == 255 - after).all()
    for number in range(1, MOST_OPEN + 1):
        pictures.open(f"{number}.png")
    assert pictures.known(opened.id) is None
    assert not opened.folder.exists()
    assert decoded(opened.pyramids["before"].jpeg(0, 0, 0)).shape == (40, 60, 3)


def test_an_altered_derivative_is_not_shown_as_if_it_were_the_runs(
    pictures: Pictures, restored: tuple[Bucket, Bucket]
) -> None:
    photo = pictures.open("0.png").photo
    restored[1].write("photos/0.png", encoded(picture(seed=99), ".png"))
    opened = pictures.open("0.png")
    assert sorted(opened.pyramids) == ["before"]
    assert "altered since" in opened.problems[0]
    with pytest.raises(NotWhatWasSeen, match="altered since"):
        pictures.check_derivative(photo, photo.output_sha256)


def test_a_derivative_that_is_gone_can_be_sent_back_and_not_accepted(
    pictures: Pictures, restored: tuple[Bucket, Bucket]
) -> None:
    photo = pictures.open("0.png").photo
    restored[1].delete("photos/0.png")
    pictures.check_derivative(photo, photo.output_sha256, may_be_gone=True)
    with pytest.raises(NotWhatWasSeen, match="is gone"):
        pictures.check_derivative(photo, photo.output_sha256)
    assert "is gone" in pictures.open("0.png").problems[0]


def test_a_master_that_changed_since_is_said_and_the_derivative_is_shown(
    pictures: Pictures, restored: tuple[Bucket, Bucket]
) -> None:
    restored[0].write("0.png", encoded(picture(seed=98), ".png"))
    opened = pictures.open("0.png")
    assert sorted(opened.pyramids) == ["after"]
    assert opened.problems[0].startswith("master: ")


def test_masters_that_were_moved_are_found_where_the_user_says(restored: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    (tmp_path / "source").rename(tmp_path / "moved")
    with Pictures(Queue(restored[1]), source=Bucket(tmp_path / "moved"), isolated=False) as pictures:
        assert sorted(pictures.open("0.png").pyramids) == ["after", "before"]


def test_a_derivative_behind_a_link_out_of_the_target_is_not_read(
    pictures: Pictures, restored: tuple[Bucket, Bucket], tmp_path: Path
) -> None:
    place = tmp_path / "target/photos/0.png"
    place.rename(tmp_path / "outside.png")
    place.symlink_to(tmp_path / "outside.png")
    opened = pictures.open("0.png")
    assert sorted(opened.pyramids) == ["before"]


def test_a_key_that_no_run_knows_opens_nothing(pictures: Pictures) -> None:
    for key in ("../../etc/passwd", "runs/x", "", "7.png"):
        with pytest.raises(SourceMissing):
            pictures.open(key)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (40, 64), (33, 1001)])
def test_a_mask_comes_back_from_bits_pixel_for_pixel(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(1).random(size) < 0.3
    assert (unpacked(packed(mask), *size) == mask).all()


@pytest.mark.parametrize(
    "data", [b"", b"x" * 99, packed(np.zeros((9, 10), bool)), packed(np.zeros((40, 60), bool))[:-9],
             gzip.compress(b"\0" * 2**24)]
)  # fmt: skip
def test_bits_of_anything_else_are_refused_and_not_unpacked_without_end(data: bytes) -> None:
    with pytest.raises(UsageError):
        unpacked(data, 40, 60)
