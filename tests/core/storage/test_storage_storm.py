"""A store on a bad day: each fault alone, and what nobody may notice of it."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from storms import Request, Storm, storm_before

from oldphoto_core.errors import (
    ChangedWhileReading,
    DamagedOnTheWay,
    NoCredentials,
    SourceMissing,
    StorageError,
    WriteFailed,
)
from oldphoto_core.storage import Bucket, s3, s3_client

PHOTO = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def proxy(s3_endpoint: str) -> Iterator[Storm]:
    """Between this process and the store; nobody here has as much patience as is usual."""
    with pytest.MonkeyPatch.context() as patch, storm_before(s3_endpoint, stall_seconds=1.0) as (storm, url):
        patch.setattr(s3_client, "STALL_SECONDS", 0.5)
        patch.setattr(s3_client, "PAUSE_SECONDS", 0.01)
        patch.setattr("botocore.retryhandler.delay_exponential", lambda **growth: 0.01)
        boto3.client("s3", endpoint_url=s3_endpoint).create_bucket(Bucket="weather")
        patch.setenv("AWS_ENDPOINT_URL", url)
        yield storm


@pytest.fixture
def storm(proxy: Storm) -> Storm:
    proxy.calm()
    return proxy


@pytest.fixture
def bucket(storm: Storm) -> Bucket:
    bucket = Bucket(f"s3://weather/{uuid.uuid4().hex}")
    bucket.write("a.tif", PHOTO)
    return bucket


def reads(request: Request) -> bool:
    return request.reads


def writes(request: Request) -> bool:
    return request.method == "PUT"


@pytest.mark.parametrize("fault", ["slow down", "error", "reset", "stall", "truncate", "corrupt", "expired"])
def test_an_object_arrives_whole_all_the_same(storm: Storm, bucket: Bucket, tmp_path: Path, fault: str) -> None:
    (info,) = bucket.list()
    storm.strike(fault, reads)
    assert bucket.read("a.tif", version=info.version) == PHOTO
    storm.strike(fault, reads)
    assert bucket.download("a.tif", tmp_path / "a.tif", version=info.version) == hashlib.sha256(PHOTO).hexdigest()
    assert (tmp_path / "a.tif").read_bytes() == PHOTO
    assert storm.hits[fault] == 2


@pytest.mark.parametrize("fault", ["slow down", "error", "reset", "lost reply", "stall", "corrupt", "expired"])
def test_what_is_written_lies_there_all_the_same(storm: Storm, bucket: Bucket, fault: str) -> None:
    storm.strike(fault, writes)
    assert bucket.write("b.tif", PHOTO[1:]) == hashlib.sha256(PHOTO[1:]).hexdigest()
    assert bucket.read("b.tif") == PHOTO[1:]
    assert storm.hits[fault] == 1


@pytest.mark.parametrize("fault", ["error", "reset", "lost reply", "truncate", "expired"])
@pytest.mark.parametrize("use", ["list", "info", "delete"])
def test_whatever_else_is_asked_for_is_answered(storm: Storm, bucket: Bucket, fault: str, use: str) -> None:
    storm.strike(fault, lambda request: request.lists if use == "list" else not request.lists)
    if use == "list":
        assert [info.key for info in bucket.list()] == ["a.tif"]
    elif use == "info":
        assert bucket.info("a.tif") is not None
    else:
        bucket.delete("a.tif")
        assert list(bucket.list()) == []


@pytest.mark.parametrize("fault", ["reset", "lost reply", "corrupt", "error"])
@pytest.mark.parametrize("request_of", ["uploads", "partNumber=2", "uploadId"])
def test_an_upload_in_parts_arrives_whole(
    storm: Storm, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, fault: str, request_of: str
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 2**20)
    large = os.urandom(11 * 2**20)
    storm.strike(fault, lambda request: request_of in request.path and request.method in ("PUT", "POST"))
    assert bucket.write("large.tif", large) == hashlib.sha256(large).hexdigest()
    storm.strike("corrupt", reads)
    assert bucket.read("large.tif") == large


def test_a_store_that_never_recovers_is_given_up(storm: Storm, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    again = Bucket(bucket.url)
    storm.strike("error", times=100)
    with pytest.raises(StorageError, match=r"a\.tif"):
        again.read("a.tif")
    with pytest.raises(WriteFailed, match=r"b\.tif"):
        again.write("b.tif", PHOTO)
    assert storm.hits["error"] == 4


def test_bytes_that_never_match_their_checksum_are_refused(storm: Storm, bucket: Bucket, tmp_path: Path) -> None:
    assert bucket.read("a.tif") == PHOTO  # so that its store's ETags are known to be digests
    storm.strike("corrupt", reads, times=6)
    with pytest.raises(DamagedOnTheWay, match="do not match their checksum"):
        bucket.read("a.tif")
    with pytest.raises(DamagedOnTheWay):
        bucket.download("a.tif", tmp_path / "a.tif")
    assert not list(tmp_path.iterdir())


def test_what_never_arrives_as_it_was_sent_is_a_failed_write(storm: Storm, bucket: Bucket) -> None:
    storm.strike("corrupt", writes, times=3)
    with pytest.raises(WriteFailed, match=r"b\.tif"):
        bucket.write("b.tif", PHOTO)


def test_etags_that_are_no_digests_cost_a_second_read_a_few_times_and_no_more(
    storm: Storm, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oldphoto_core.storage.etags.Digest.etag", lambda digest: "0" * 32)
    assert [bucket.read("a.tif") for _ in range(5)] == [PHOTO] * 5
    assert sum(request.reads for request in storm.seen) == 3 * 2 + 2


def test_credentials_that_stay_expired_are_named(storm: Storm, bucket: Bucket) -> None:
    storm.strike("expired", reads, times=3)
    with pytest.raises(NoCredentials, match="ExpiredToken") as caught:
        bucket.read("a.tif")
    assert "test-secret" not in str(caught.value)
    assert storm.hits["expired"] == 3


def test_renewed_credentials_are_taken_up(
    storm: Storm, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def credentials(name: str) -> None:
        (tmp_path / "credentials").write_text(
            f"[default]\naws_access_key_id = {name}\naws_secret_access_key = planted-{name}\n"
        )

    credentials("OLD")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    again = Bucket(bucket.url)
    again.read("a.tif")
    credentials("NEW")
    storm.strike("expired", reads)
    assert again.read("a.tif") == PHOTO
    used = [request.headers["Authorization"] for request in storm.seen if request.reads]
    assert ["Credential=OLD" in header for header in used] == [True, True, False]


def test_what_is_replaced_between_listing_and_reading_is_not_read(storm: Storm, bucket: Bucket) -> None:
    (info,) = bucket.list()
    store = boto3.client("s3", endpoint_url=storm.upstream)
    place = {"Bucket": "weather", "Key": f"{bucket.url.split('/')[3]}/a.tif"}
    storm.before(reads, lambda: store.put_object(**place, Body=b"another photo"))
    with pytest.raises(ChangedWhileReading):
        bucket.read("a.tif", version=info.version)
    storm.before(reads, lambda: store.delete_object(**place))
    with pytest.raises(SourceMissing):
        bucket.read("a.tif", version=info.version)


def test_what_a_stale_listing_names_is_not_taken_for_what_lies_there(storm: Storm, bucket: Bucket) -> None:
    list(bucket.list())
    bucket.write("a.tif", b"another photo")
    bucket.write("b.tif", b"a new one")
    storm.strike("stale")
    (info,) = bucket.list()
    with pytest.raises(ChangedWhileReading):
        bucket.read("a.tif", version=info.version)
    assert [info.key for info in bucket.list()] == ["a.tif", "b.tif"]
