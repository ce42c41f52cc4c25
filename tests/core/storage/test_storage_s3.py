"""Buckets in S3: what other stores do not have."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import boto3
import pytest

from oldphoto_core.errors import NoCredentials, SourceMissing, StorageError, WriteFailed
from oldphoto_core.storage import Bucket, s3, s3_requests


def test_a_large_object_goes_up_in_parts(s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 2**20)
    data = bytes(range(256)) * 50_000
    bucket = Bucket(s3_bucket_url)
    bucket.write("large.tif", data)
    info = bucket.info("large.tif")
    assert info is not None
    assert info.version.endswith("-3")
    assert bucket.read("large.tif", version=info.version) == data


def test_bytes_are_compared_where_the_etag_is_no_checksum(s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "etag_of", lambda digests: "made by an encrypting store")
    Bucket(s3_bucket_url).write("photo.jpg", b"x")
    assert Bucket(s3_bucket_url).read("photo.jpg") == b"x"


def test_a_store_that_keeps_other_bytes_is_a_failed_write(s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "etag_of", lambda digests: "made by an encrypting store")
    monkeypatch.setattr(s3.S3Store, "read", lambda self, key, version: iter([b"other"]))
    with pytest.raises(WriteFailed, match="does not hold the bytes"):
        Bucket(s3_bucket_url).write("photo.jpg", b"x")


def test_an_empty_object_named_like_a_folder_is_none_and_one_with_content_is_listed(
    s3_bucket_url: str, s3_endpoint: str
) -> None:
    bucket, _, prefix = s3_bucket_url.removeprefix("s3://").partition("/")
    start = f"{prefix}/" if prefix else ""
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    for key, content in (("album/", b""), ("letters/", b"a scan")):
        client.put_object(Bucket=bucket, Key=start + key, Body=content)
    assert [info.key for info in Bucket(s3_bucket_url).list()] == ["letters/"]


def test_listings_of_many_pages_are_complete(s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_requests, "PAGE_KEYS", 3)
    bucket = Bucket(s3_bucket_url)
    keys = [f"{letter}/{number}.jpg" for letter in "abcd" for number in range(5)]
    for key in keys:
        bucket.write(key, b"x")
    assert [info.key for info in bucket.list()] == keys
    assert list(bucket.folders()) == ["a", "b", "c", "d"]


def test_listings_are_never_remembered(s3_bucket_url: str) -> None:
    bucket = Bucket(s3_bucket_url)
    bucket.write("a.jpg", b"x")
    assert len(list(bucket.list())) == 1
    boto3.client("s3").put_object(Bucket=s3_bucket_url.split("/")[2], Key="folder/b.jpg", Body=b"x")
    assert len(list(bucket.list())) == 2


def test_names_that_break_listings_elsewhere_are_listed(s3_bucket_url: str) -> None:
    client, name = boto3.client("s3"), s3_bucket_url.split("/")[2]
    for key in ("folder/tab\t.jpg", "folder/sub/"):
        client.put_object(Bucket=name, Key=key, Body=b"")
    assert {info.key for info in Bucket(s3_bucket_url).list()} == {"tab\t.jpg"}


def test_a_bucket_that_does_not_exist_is_named(s3_endpoint: str) -> None:
    bucket = Bucket("s3://no-such-bucket/photos")
    assert not bucket.exists()
    with pytest.raises(SourceMissing, match="no bucket s3://no-such-bucket"):
        list(bucket.list())
    with pytest.raises(WriteFailed, match="no bucket s3://no-such-bucket"):
        bucket.check_writable()


def test_missing_credentials_are_explained(s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(NoCredentials, match="AWS_ACCESS_KEY_ID"):
        list(Bucket(s3_bucket_url).list())


@pytest.fixture
def refusing_store(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An HTTP server that answers everything with 403, as S3 words it."""

    class Refusal(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # which answers "Expect: 100-continue"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_PUT = do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


def test_refused_credentials_are_named_without_showing_them(refusing_store: None) -> None:
    bucket = Bucket("s3://bucket/photos")
    for use in (lambda: list(bucket.list()), lambda: bucket.read("a.jpg"), lambda: bucket.info("a.jpg")):
        with pytest.raises(NoCredentials, match="refused these credentials") as caught:
            use()
        assert "test-secret" not in str(caught.value) + repr(bucket)


def test_a_bucket_that_may_only_be_read_is_a_failed_write(refusing_store: None) -> None:
    with pytest.raises(WriteFailed, match="refused"):
        Bucket("s3://bucket/photos").check_writable()


def test_an_unreachable_store_names_no_password(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from oldphoto_core.errors import StorageError

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hunter2@127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StorageError) as caught:
        Bucket("s3://bucket/photos").read("a.jpg")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_a_master_in_an_archive_class_is_no_affair_of_credentials(s3_bucket_url: str, storage_class: str) -> None:
    name, _, prefix = s3_bucket_url.removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=name, Key=f"{prefix}/a.jpg", Body=b"x", StorageClass=storage_class)
    bucket = Bucket(s3_bucket_url)
    for use in (lambda: bucket.read("a.jpg"), lambda: bucket.read_range("a.jpg", 0, 1), lambda: bucket.sha256("a.jpg")):
        with pytest.raises(StorageError, match=r"archive class.*restore it there first") as caught:
            use()
        assert not isinstance(caught.value, NoCredentials)
