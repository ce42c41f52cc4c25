"""The manifest: every object of the source, image or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oldphoto_core.errors import SourceMissing, StorageError
from oldphoto_core.storage import MANIFEST_COLUMNS, Bucket, is_image_key, read_manifest, take_inventory, write_manifest


def filled(url: str, *keys: str) -> Bucket:
    bucket = Bucket(url)
    for key in keys:
        bucket.write(key, key.encode())
    return bucket


def test_the_inventory_has_a_row_per_object(bucket_url: str) -> None:
    source = filled(bucket_url, "b/photo.TIF", "a.jpg", "notes.txt", ".DS_Store", "Thumbs.db")
    manifest = take_inventory(source)
    assert tuple(manifest.columns) == MANIFEST_COLUMNS
    assert dict(zip(manifest["key"], manifest["kind"], strict=True)) == {
        ".DS_Store": "other",
        "Thumbs.db": "other",
        "a.jpg": "image",
        "b/photo.TIF": "image",
        "notes.txt": "other",
    }
    assert list(manifest["size"]) == [len(key) for key in manifest["key"]]
    assert all(source.read(row.key, version=row.version) for row in manifest.itertuples())


def test_a_manifest_comes_back_as_it_was_written(bucket_url: str) -> None:
    source = filled(bucket_url, "a.jpg", "ü 😀.png")
    manifest = take_inventory(source)
    run = source.join("runs", "1")
    write_manifest(run, manifest)
    assert read_manifest(run).equals(manifest)
    assert (read_manifest(run).dtypes == manifest.dtypes).all()


def test_a_limit_counts_images(bucket_url: str) -> None:
    source = filled(bucket_url, "a.jpg", "b.txt", "c.jpg", "d.jpg")
    assert list(take_inventory(source, limit=2)["key"]) == ["a.jpg", "b.txt", "c.jpg"]
    assert list(take_inventory(source).columns) == list(MANIFEST_COLUMNS)


def test_an_empty_source_is_an_error(bucket_url: str) -> None:
    with pytest.raises(SourceMissing):
        take_inventory(Bucket(bucket_url))


def test_a_folder_that_does_not_exist_is_told_from_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="nothing lies in"):
        take_inventory(Bucket(tmp_path))
    with pytest.raises(SourceMissing, match="there is no folder"):
        take_inventory(Bucket(tmp_path / "typo"))


def test_names_that_are_not_utf8_are_in_the_manifest(tmp_path: Path) -> None:
    source, run = Bucket(tmp_path / "in"), Bucket(tmp_path / "run")
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(str(tmp_path)) + b"/in/latin-\xe9.jpg")).write_bytes(b"x")
    manifest = take_inventory(source)
    write_manifest(run, manifest)
    assert list(read_manifest(run)["key"]) == ["latin-\\udce9.jpg"]
    with pytest.raises(StorageError, match="not valid UTF-8"):
        source.read(manifest["key"][0])


def test_a_file_that_is_no_manifest_is_named(bucket_url: str) -> None:
    run = filled(bucket_url, "manifest.parquet")
    with pytest.raises(StorageError, match=r"manifest\.parquet"):
        read_manifest(run)


@pytest.mark.parametrize("key", ["a.jpg", "A.JPEG", "x/y.jpe", "b.PNG", "c.tif", "c.TIFF", "d.webp", "a.tar.jpg"])
def test_a_name_that_ends_like_an_image_is_one_of_an_image(key: str) -> None:
    assert is_image_key(key)


@pytest.mark.parametrize("key", ["a.txt", "jpg", ".jpg", "._a.jpg", ".cache/a.jpg", "a.jpg.xmp", "a.jpg/", "a.gif"])
def test_other_names_are_none_of_images(key: str) -> None:
    assert not is_image_key(key)
