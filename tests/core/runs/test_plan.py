from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from fakes import fill

from oldphoto_core.errors import ConfigError, RunStopped
from oldphoto_core.restoration import Photo, RestoreOptions
from oldphoto_core.runs.mask_index import MaskIndex
from oldphoto_core.runs.plan import cut_shards, make_plan
from oldphoto_core.storage import Bucket, ObjectInfo, take_inventory

if TYPE_CHECKING:
    from oldphoto_core.scans import Format


def masks(*keys: str) -> MaskIndex:
    return MaskIndex(ObjectInfo(key, 1, "v") for key in keys)


@pytest.mark.parametrize("mask", ["box/a.jpg.png", "box/a.jpg", "box/a.png", "box/a.tif", "box/a.WEBP"])
def test_a_mask_is_found_under_each_of_its_names(mask: str) -> None:
    assert [m.key for m in masks(mask, "box/b.png", "a.png").candidates("box/a.jpg")] == [mask]


@pytest.mark.parametrize("mask", ["a.jpg.jpg", "a.txt", "other/a.png", "A.png", "a.jpg.png.png"])
def test_what_only_looks_like_a_mask_is_none(mask: str) -> None:
    assert masks(mask).candidates("a.jpg") == ()


def test_two_masks_are_two_candidates() -> None:
    assert len(masks("a.jpg.png", "a.png").candidates("a.jpg")) == 2


def test_masks_that_no_photo_asked_for_are_named() -> None:
    index = masks("a.png", "typo.png")
    index.candidates("a.jpg")
    assert index.unclaimed() == ["typo.png"]


def test_keys_never_meet_whatever_the_format() -> None:
    keys = ["a.jpg", "a.jpeg", "a.png", "a.jpg.png"]
    for kind in ("keep", "png", "tiff", "jpeg"):
        assert len({RestoreOptions(format=kind).output_key(key) for key in keys}) == 4


def test_keys_never_meet_where_some_formats_become_png() -> None:
    keys = [
        f"a.{end}" for end in ("jpg", "jpg.png", "jpg.png.png", "jpg.PNG", "png", "webp", "webp.png", "tif", "JPEG")
    ]
    options = RestoreOptions(mode="scratches")
    assert len({options.output_key(key).lower() for key in keys}) == len({key.lower() for key in keys}) == 8


@pytest.mark.parametrize(
    ("key", "content", "written", "output"),
    [
        ("a.jpg", "jpeg", "png", "a.jpg.png"),
        ("a.JPE", "tiff", "png", "a.JPE.png"),
        ("a.webp", "webp", "png", "a.webp.png"),
        ("a.tif", "jpeg", "tiff", "a.tif"),
        ("a.png", "webp", "png", "a.png"),
        ("a.tif", "png", "keep", "a.tif"),
        ("a.png", "png", "keep", "a.png"),
    ],
)
def test_what_only_fills_damage_is_written_without_loss_whatever_names_say(
    key: str, content: Format, written: str, output: str
) -> None:
    options = RestoreOptions(mode="scratches")
    assert (options.output_format(key, content), options.output_key(key)) == (written, output)


@pytest.mark.parametrize("mode", ["full", "scratches"])
def test_jpeg_2000_becomes_tiff_and_its_keys_meet_no_other(mode: Literal["full", "scratches"]) -> None:
    options = RestoreOptions(mode=mode)
    ends = ("jp2", "jp2.tif", "jp2.tif.tif", "jp2.TIF", "tif", "JPX", "jpx.tiff", "j2k", "jp2.png")
    keys = [f"a.{end}" for end in ends]
    assert len({options.output_key(key).lower() for key in keys}) == len({key.lower() for key in keys}) == 8
    assert (options.output_key("a.jp2"), options.output_format("a.jp2", "jpeg2000")) == ("a.jp2.tif", "tiff")
    assert options.output_format("a.jp2.tif", "jpeg") == options.output_format("a.tif", "jpeg2000") == "tiff"
    assert options.output_format("a.png", "jpeg2000") == "png"
    assert RestoreOptions(mode=mode, format="png").output_key("a.jp2") == "a.jp2.png"


def test_a_format_that_is_asked_for_is_written() -> None:
    options = RestoreOptions(mode="scratches", format="tiff")
    assert (options.output_format("a.jpg", "jpeg"), options.output_key("a.jpg")) == ("tiff", "a.jpg.tif")
    assert RestoreOptions().output_format("a.jpg", "jpeg") == "keep"


def test_the_digest_names_what_changes_the_picture_and_nothing_else() -> None:
    plain = RestoreOptions().digest()
    assert RestoreOptions(existing="overwrite", on_failure="copy", threads=7).digest() == plain
    assert RestoreOptions(format="png").digest() != plain
    assert RestoreOptions().digest("mask.png@1") != plain
    assert RestoreOptions(mode="scratches").digest() != plain
    assert RestoreOptions(max_damage=0.1).digest() == plain


def test_the_digest_names_a_detector_that_is_used_and_no_other() -> None:
    plain, found = RestoreOptions().digest(), RestoreOptions().digest("", "detector 1")
    assert len({plain, found, RestoreOptions().digest("", "detector 2")}) == 3
    assert RestoreOptions(detect=False).digest("", "detector 1") == plain


def test_what_was_made_before_there_were_modes_counts_as_made() -> None:
    assert (
        RestoreOptions().digest("a.png@1") == hashlib.sha256(b'{"format": "keep", "mask": "a.png@1"}').hexdigest()[:16]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": "gif"},
        {"existing": "maybe"},
        {"on_failure": ""},
        {"max_failure_rate": 1.5},
        {"mode": "faces"},
        {"max_damage": -0.1},
        {"threads": -1},
        {"in_flight_megapixels": 0},
    ],
)
def test_options_refuse_nonsense_by_name_and_value(wrong: dict[str, object]) -> None:
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(ConfigError, match=f"{name} is {value!r}"):
        RestoreOptions(**wrong)  # type: ignore[arg-type]


def test_a_jpeg_cannot_leave_pixels_alone() -> None:
    with pytest.raises(ConfigError, match="choose keep, png or tiff"):
        RestoreOptions(mode="scratches", format="jpeg")


def test_shards_hold_no_more_than_both_bounds() -> None:
    sizes = {**{f"{n}.tif": 10 for n in range(7)}, "giant.tif": 1000, "last.tif": 10}
    photos = [Photo(key, "v", size * 3_000_000) for key, size in sizes.items()]
    shards = cut_shards(photos, max_photos=3, max_megapixels=100)
    assert [[photo.key.removesuffix(".tif") for photo in shard] for shard in shards] == [
        ["0", "1", "2"],
        ["3", "4", "5"],
        ["6"],
        ["giant"],
        ["last"],
    ]


def test_what_a_shard_may_hold_is_measured_in_pixels_and_not_in_bytes() -> None:
    photos = [Photo(f"{n}.{kind}", "v", 30_000_000) for kind in ("jpg", "tif") for n in range(6)]
    shards = cut_shards(photos, max_photos=200, max_megapixels=60)
    assert [len(shard) for shard in shards] == [1, 1, 1, 1, 1, 1, 6]


def planned(source: Path, target: Path, **options: object) -> tuple[list[str], dict[str, str]]:
    plan = make_plan(
        take_inventory(Bucket(source)),
        Bucket(target),
        RestoreOptions(**options),  # type: ignore[arg-type]
        "m" * 64,
    )
    return [photo.key for photo in plan.photos], {row.key: row.reason for row in plan.skipped}


def test_a_fresh_target_gets_every_image_and_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg", "box/b.tif"])
    (tmp_path / "old/notes.txt").write_text("found in the attic")
    (tmp_path / "old/box/Thumbs.db").write_text("x")
    assert planned(tmp_path / "old", tmp_path / "new") == (
        ["a.jpg", "box/b.tif"],
        {"notes.txt": "not an image", "box/Thumbs.db": "not an image"},
    )


def test_what_somebody_else_put_there_is_left_alone_unless_asked(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg", "b.jpg"])
    fill(tmp_path / "new/photos", ["a.jpg"])
    assert planned(tmp_path / "old", tmp_path / "new") == (["b.jpg"], {"a.jpg": "output exists"})
    assert planned(tmp_path / "old", tmp_path / "new", existing="overwrite")[0] == ["a.jpg", "b.jpg"]
    with pytest.raises(RunStopped, match=r"photos/a\.jpg exists"):
        planned(tmp_path / "old", tmp_path / "new", existing="abort")
