"""Buckets from and to files: what `read` and `write` promise holds for `download` and `upload`, in little memory."""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from full_disk import full_disk

from oldphoto_core.errors import ChangedWhileReading, SourceMissing, StorageError, UnsafeKey, WriteFailed
from oldphoto_core.storage import Bucket, s3
from oldphoto_core.storage.local.store import LocalStore

LARGE = bytes(range(256)) * 80_000
"""20 MB: more than one chunk."""


@pytest.fixture
def bucket(bucket_url: str) -> Bucket:
    return Bucket(bucket_url)


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    (tmp_path / "large.tif").write_bytes(LARGE)
    return tmp_path / "large.tif"


@pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "small", "large"])
def test_what_goes_up_from_a_file_is_what_is_written(bucket: Bucket, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "photo.tif").write_bytes(data)
    assert bucket.upload("a/photo.tif", tmp_path / "photo.tif") == hashlib.sha256(data).hexdigest()
    assert bucket.read("a/photo.tif") == data
    assert [info.key for info in bucket.list()] == ["a/photo.tif"]


@pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "small", "large"])
def test_what_comes_down_into_a_file_is_what_is_read(bucket: Bucket, tmp_path: Path, data: bytes) -> None:
    digest = bucket.write("a/photo.tif", data)
    (info,) = bucket.list()
    assert bucket.download("a/photo.tif", str(tmp_path / "here"), version=info.version) == digest
    assert (tmp_path / "here").read_bytes() == data


def test_a_replaced_object_does_not_come_down_as_the_version_that_was_listed(bucket: Bucket, tmp_path: Path) -> None:
    bucket.write("photo.jpg", b"first")
    (first,) = bucket.list()
    bucket.write("photo.jpg", b"other")
    with pytest.raises(ChangedWhileReading, match=r"photo\.jpg"):
        bucket.download("photo.jpg", tmp_path / "here", version=first.version)
    assert not (tmp_path / "here").exists()


def test_a_missing_object_leaves_no_file(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match=r"nowhere\.jpg"):
        bucket.download("nowhere.jpg", tmp_path / "here")
    with pytest.raises(UnsafeKey):
        bucket.download("../photo.jpg", tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_missing_file_leaves_no_object(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(WriteFailed, match=r"nowhere\.jpg cannot be read: no such file"):
        bucket.upload("photo.jpg", tmp_path / "nowhere.jpg")
    with pytest.raises(UnsafeKey):
        bucket.upload("../photo.jpg", __file__)
    assert list(bucket.list()) == []


def test_a_master_is_never_overwritten_by_its_own_copy(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path)
    bucket.write("photo.jpg", b"master")
    with pytest.raises(StorageError, match=r"photo\.jpg: file exists"):
        bucket.download("photo.jpg", tmp_path / "photo.jpg")
    assert bucket.read("photo.jpg") == b"master"


def test_a_file_that_changes_while_it_comes_down_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "photo.tif").write_bytes(LARGE)
    chunks = LocalStore(tmp_path).read("photo.tif", None)
    next(chunks)
    (tmp_path / "photo.tif").write_bytes(LARGE + b"more")
    with pytest.raises(ChangedWhileReading):
        list(chunks)


def test_a_full_disk_is_named_and_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    bucket = Bucket("memory://full")
    bucket.write("photo.tif", LARGE)
    with full_disk(100_000), pytest.raises(StorageError, match=r"here: file too large"):
        bucket.download("photo.tif", tmp_path / "here")
    assert os.listdir(tmp_path) == []


def test_an_upload_that_fails_half_way_leaves_what_was_there(tmp_path: Path, large_file: Path) -> None:
    bucket = Bucket(tmp_path / "bucket")
    bucket.write("photo.jpg", b"first")
    with full_disk(100_000), pytest.raises(WriteFailed, match=r"photo\.jpg: file too large"):
        bucket.upload("photo.jpg", large_file)
    assert bucket.read("photo.jpg") == b"first"
    assert os.listdir(tmp_path / "bucket") == ["photo.jpg"]


def test_a_large_file_goes_up_in_the_same_parts_as_its_bytes(
    s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch, large_file: Path
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 2**20)
    bucket = Bucket(s3_bucket_url)
    bucket.upload("file.tif", large_file)
    bucket.write("bytes.tif", LARGE)
    versions = {info.version for info in bucket.list()}
    assert len(versions) == 1
    assert versions.pop().endswith("-4")
    assert bucket.read("file.tif") == LARGE


@pytest.mark.parametrize("kept", [LARGE, LARGE[:-1], LARGE + b"x", b"x" + LARGE[1:]])
def test_bytes_are_compared_where_the_etag_is_no_checksum(
    s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch, large_file: Path, kept: bytes
) -> None:
    monkeypatch.setattr(s3, "etag_of", lambda digests: "made by an encrypting store")
    monkeypatch.setattr(s3.S3Store, "read", lambda self, key, version: iter([kept[:9_000_000], kept[9_000_000:]]))
    if kept == LARGE:
        assert Bucket(s3_bucket_url).upload("photo.tif", large_file) == hashlib.sha256(LARGE).hexdigest()
        return
    with pytest.raises(WriteFailed, match="does not hold the bytes"):
        Bucket(s3_bucket_url).upload("photo.tif", large_file)


KILLED = """
import os, signal, sys
from oldphoto_core.storage import Bucket, s3, s3_requests
s3.PART_BYTES = 5 * 2**20
parts, call = 0, s3_requests.Requests.call
def killed(self, method, key, **request):
    global parts
    parts += method == "upload_part"
    if parts == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return call(self, method, key, **request)
s3_requests.Requests.call = killed
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
Bucket(sys.argv[1]).upload("photo.tif", sys.argv[2])
"""


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_an_upload_that_is_killed_half_way_leaves_nothing_visible(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, large_file: Path
) -> None:
    url = request.getfixturevalue("s3_bucket_url") if kind == "s3" else str(tmp_path / "bucket")
    command = [sys.executable, "-c", KILLED, url, str(large_file)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    assert list(Bucket(url).list()) == []
    assert Bucket(url).upload("photo.tif", large_file) == hashlib.sha256(LARGE).hexdigest()


@pytest.fixture
def breaking_store(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """An S3 server of one object, LARGE, that breaks bodies off.

    Returns:
        "breaks": how many; "after": so many bytes; "ranges": whether it knows them; "version"; "asked": what it was.
    """
    store: dict[str, object] = {"breaks": 1, "after": 9_000_000, "ranges": True, "version": "first", "asked": []}

    class Breaking(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted, asked = self.headers.get("If-Match"), self.headers.get("Range", "bytes=0-")
            store["asked"].append((wanted, asked))  # type: ignore[attr-defined]
            if wanted not in (None, f'"{store["version"]}"'):
                body = b"<?xml version='1.0'?><Error><Code>PreconditionFailed</Code></Error>"
                return self.answer(412, body, len(body))
            start = int(asked[6:-1]) if store["ranges"] else 0
            breaks, store["breaks"] = store["breaks"], int(str(store["breaks"])) - 1
            ends = int(str(store["after"])) if int(str(breaks)) > 0 else len(LARGE)
            return self.answer(206 if start else 200, LARGE[start : start + ends], len(LARGE) - start, start)

        def answer(self, status: int, body: bytes, length: int, start: int = 0) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", f'"{store["version"]}"')
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(LARGE) - 1}/{len(LARGE)}")
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = len(body) < length

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield store
    server.shutdown()
    server.server_close()


def test_a_body_that_breaks_off_is_continued_at_the_same_version(
    breaking_store: dict[str, object], tmp_path: Path
) -> None:
    bucket = Bucket("s3://bucket/photos")
    assert bucket.download("a.tif", tmp_path / "a") == hashlib.sha256(LARGE).hexdigest()
    (first, second) = breaking_store["asked"]  # type: ignore[misc]
    assert first == (None, "bytes=0-")
    assert second == ('"first"', "bytes=8388608-")
    breaking_store["breaks"] = 1
    assert bucket.read("a.tif") == LARGE


def test_a_body_that_always_breaks_off_is_given_up(breaking_store: dict[str, object], tmp_path: Path) -> None:
    breaking_store.update(breaks=9, after=1000)
    with pytest.raises(StorageError, match=r"a\.tif breaks off while reading"):
        Bucket("s3://bucket/photos").download("a.tif", tmp_path / "a")
    assert len(breaking_store["asked"]) == 3  # type: ignore[arg-type]
    assert not (tmp_path / "a").exists()


def test_a_store_without_ranges_does_not_get_the_beginning_twice_into_a_file(
    breaking_store: dict[str, object], tmp_path: Path
) -> None:
    breaking_store["ranges"] = False
    with pytest.raises(StorageError, match="its store sends no rest"):
        Bucket("s3://bucket/photos").download("a.tif", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_object_that_is_replaced_between_two_bodies_is_noticed(
    breaking_store: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = s3.S3Store._get

    def replaced(self: s3.S3Store, key: str, version: str | None, start: int) -> dict[str, object]:
        breaking_store["version"] = "second" if start else "first"
        return get(self, key, version, start)

    monkeypatch.setattr(s3.S3Store, "_get", replaced)
    with pytest.raises(ChangedWhileReading, match=r"a\.tif"):
        Bucket("s3://bucket/photos").download("a.tif", tmp_path / "a", version="first")
    assert not (tmp_path / "a").exists()


MEMORY = """
import resource, sys
from oldphoto_core.storage import Bucket, s3
s3.PART_BYTES = 5 * 2**20
bucket, folder = Bucket(sys.argv[1]), sys.argv[2]
bucket.write("small", b"x")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
bucket.upload("large", f"{folder}/large")
bucket.download("large", f"{folder}/back")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_large_file_takes_little_memory_on_its_way(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = request.getfixturevalue("s3_bucket_url") if kind == "s3" else str(tmp_path / "bucket")
    with open(tmp_path / "large", "wb") as file:
        file.truncate(120_000_000)
    command = [sys.executable, "-c", MEMORY, url, str(tmp_path)]
    grown = float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)
    assert grown < 60, f"{grown:.0f} MiB for a file of 114 MiB"
