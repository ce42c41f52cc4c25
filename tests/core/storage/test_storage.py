"""Buckets: every kind behaves the same."""

from __future__ import annotations

import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from oldphoto_core.errors import ChangedWhileReading, SourceMissing, StorageError, UnsafeKey, UsageError
from oldphoto_core.storage import Bucket, safe_key

ODD_NAMES = [
    "with space.jpg",
    "quote'\" and %20 and +.png",
    "emoji 😀 ümlaut.tif",
    "a?versionId=1#x&y.webp",
    "[brackets]*{x}.jpg",
    "back\\slash.jpg",
    "deep/er/and/deeper/photo.jpg",
]


@pytest.fixture
def bucket(bucket_url: str) -> Bucket:
    return Bucket(bucket_url)


@pytest.mark.parametrize("key", ODD_NAMES)
def test_what_is_written_comes_back(bucket: Bucket, key: str) -> None:
    digest = bucket.write(key, b"bytes of " + key.encode())
    assert digest == hashlib.sha256(bucket.read(key)).hexdigest()
    assert bucket.read(key) == b"bytes of " + key.encode()
    assert [info.key for info in bucket.list()] == [key]


def test_listing_is_sorted_by_key_and_recursive(bucket: Bucket) -> None:
    keys = ["a/b/c.jpg", "a/z.jpg", "a-1.jpg", "a.jpg", "B.jpg", "ä.jpg", "z😀.jpg"]
    for key in keys:
        bucket.write(key, b"x")
    assert [info.key for info in bucket.list()] == sorted(keys)


def test_listing_a_folder_keeps_to_that_folder(bucket: Bucket) -> None:
    for key in ("runs/1/ledger.parquet", "runs/2/x", "runs-old/x", "runs"[:3] + "/x"):
        bucket.write(key, b"x")
    assert [info.key for info in bucket.list("runs/")] == ["runs/1/ledger.parquet", "runs/2/x"]
    assert list(bucket.folders("runs")) == ["1", "2"]
    assert list(bucket.folders()) == ["run", "runs", "runs-old"]


def test_nothing_there_is_an_empty_listing(bucket: Bucket) -> None:
    assert not bucket.exists()
    assert list(bucket.list()) == list(bucket.list("x")) == list(bucket.folders()) == []
    assert bucket.info("x.jpg") is None


def test_listing_and_info_agree(bucket: Bucket) -> None:
    bucket.write("a/photo.jpg", b"12345")
    (listed,) = bucket.list()
    assert listed == bucket.info("a/photo.jpg")
    assert listed.size == 5
    assert bucket.exists()


def test_a_folder_is_no_object(bucket: Bucket) -> None:
    bucket.write("a/photo.jpg", b"12345")
    assert bucket.info("a") is None
    with pytest.raises(SourceMissing):
        bucket.read("a")


def test_a_replaced_object_is_not_read_as_the_version_that_was_listed(bucket: Bucket) -> None:
    bucket.write("photo.jpg", b"first")
    (first,) = bucket.list()
    assert bucket.read("photo.jpg", version=first.version) == b"first"
    bucket.write("photo.jpg", b"other")
    with pytest.raises(ChangedWhileReading, match=r"photo\.jpg"):
        bucket.read("photo.jpg", version=first.version)
    assert bucket.read("photo.jpg") == b"other"


def test_a_missing_object_says_so(bucket: Bucket) -> None:
    with pytest.raises(SourceMissing, match=r"nowhere\.jpg"):
        bucket.read("nowhere.jpg")


def test_deleting_twice_is_no_error(bucket: Bucket) -> None:
    bucket.write("photo.jpg", b"x")
    bucket.delete("photo.jpg")
    bucket.delete("photo.jpg")
    assert list(bucket.list()) == []


def test_an_empty_object_is_an_object(bucket: Bucket) -> None:
    bucket.write("empty.jpg", b"")
    assert bucket.read("empty.jpg") == b""
    assert [info.size for info in bucket.list()] == [0]


UNSAFE = [
    "",
    "/etc/passwd",
    "../x",
    "a/../../x",
    "a\\..\\x",
    "a//b",
    "./a",
    "a/",
    "new\nline.jpg",
    "nul\0.jpg",
    "x" * 1025,
]


@pytest.mark.parametrize("key", [*UNSAFE, "\udcff.jpg"])
def test_unsafe_keys_are_refused(bucket: Bucket, key: str) -> None:
    for use in (bucket.read, bucket.info, bucket.delete, lambda key: bucket.write(key, b"x")):
        with pytest.raises(UnsafeKey) as caught:
            use(key)
        assert "\n" not in str(caught.value)
    assert list(bucket.list()) == []


def test_a_safe_key_comes_back_itself() -> None:
    assert safe_key("a/b..c/.hidden/ü.jpg") == "a/b..c/.hidden/ü.jpg"


def test_joined_buckets_see_the_folder(bucket: Bucket) -> None:
    inner = bucket.join("runs", "2026 100% 😀")
    inner.write("x.json", b"{}")
    assert bucket.read("runs/2026 100% 😀/x.json") == b"{}"
    assert inner.url == f"{bucket.url}/runs/2026 100% 😀"
    with pytest.raises(UnsafeKey):
        bucket.join("..")


def test_a_bucket_knows_what_lies_inside_it(bucket: Bucket) -> None:
    assert bucket.contains(bucket)
    assert bucket.contains(bucket.join("a", "b"))
    assert not bucket.join("a").contains(bucket)
    assert not bucket.join("a").contains(bucket.join("ab"))
    assert not bucket.contains(Bucket("memory://elsewhere"))


def test_checking_for_write_access_leaves_nothing(bucket: Bucket) -> None:
    bucket.check_writable()
    assert list(bucket.list()) == []


def test_unfinished_writes_are_not_listed(bucket: Bucket) -> None:
    bucket.write("a/.oldphoto-tmp-123", b"half")
    assert list(bucket.list()) == []


def test_a_bucket_travels_by_its_url(bucket: Bucket) -> None:
    bucket.write("photo.jpg", b"x")
    copy = pickle.loads(pickle.dumps(bucket))
    assert copy == bucket
    assert hash(copy) == hash(bucket)
    assert copy.read("photo.jpg") == b"x"
    assert repr(copy) == f"Bucket({bucket.url!r})"


def test_threads_share_a_bucket(bucket: Bucket) -> None:
    def there_and_back(number: int) -> bool:
        data = bytes([number]) * 10_000
        bucket.write(f"{number}.bin", data)
        return bucket.read(f"{number}.bin") == data

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(there_and_back, range(40)))
    assert len(list(bucket.list())) == 40


@pytest.mark.parametrize("url", ["", "s3://", "memory://", "file://", "gs://bucket/x", "http://example.org/x"])
def test_urls_that_name_no_bucket_are_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError):
        Bucket(url)


@pytest.mark.parametrize("url", ["s3://KEY:hunter2@bucket/x", "s3://KEY:hun/hunter2@bucket", "gs://u:hunter2@bucket"])
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Bucket(url)
    assert "hun" not in str(caught.value)


def test_every_error_of_a_bucket_is_one_line(bucket: Bucket) -> None:
    with pytest.raises(StorageError) as caught:
        bucket.read("nowhere.jpg")
    assert str(caught.value).count("\n") == 0
