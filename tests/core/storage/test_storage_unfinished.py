"""What killed writers leave: told from what living ones are at, and swept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from runs import put, restore
from waiting import wait_until

from oldphoto_core.custody import audit
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.store import Unfinished
from oldphoto_core.storage.temporary import ABANDONED_SECONDS, is_abandoned, sweep, temporary_name

FOLDERS = ("photos", "masks")

NAME = "from oldphoto_core.storage.temporary import temporary_name; print(temporary_name())"

WRITER = """
import io, sys, threading
from oldphoto_core.storage import Bucket, s3

s3.PART_BYTES = 5 * 2**20

class Stuck(io.BytesIO):
    '''Gives 5 MiB, and then nothing for ever.'''
    def read(self, size=-1):
        if self.tell() >= 5 * 2**20:
            threading.Event().wait()
        return super().read(5 * 2**20)

Bucket(sys.argv[1])._store.write("photos/box/1.tif", Stuck(bytes(20 * 2**20)))
"""


@contextmanager
def writing(bucket: Bucket) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has begun to write `photos/box/1.tif`, and is killed in the end."""
    before = keys(bucket.unfinished(FOLDERS))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, bucket.url])
    try:
        wait_until(lambda: keys(bucket.unfinished(FOLDERS)) > before, "a write that has begun")
        yield writer
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()


def keys(writes: Iterable[Unfinished]) -> set[str]:
    return {write.key for write in writes}


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path / "target")
    with writing(bucket):
        (left,) = bucket.unfinished(FOLDERS)
    with writing(bucket):
        assert keys(bucket.unfinished(FOLDERS)) > {left.key}
        assert keys(sweep(bucket, FOLDERS)) == {left.key}
        (alive,) = bucket.unfinished(FOLDERS)
        assert not is_abandoned(alive)
    assert keys(sweep(bucket, FOLDERS)) == {alive.key}
    assert os.listdir(tmp_path / "target/photos/box") == []


def test_an_upload_in_parts_that_was_killed_is_aborted(s3_bucket_url: str) -> None:
    bucket, name = Bucket(s3_bucket_url), s3_bucket_url.split("/")[2]
    others = boto3.client("s3").create_multipart_upload(Bucket=name, Key="folder/elsewhere/2.tif")["UploadId"]
    with writing(bucket):
        (begun,) = bucket.unfinished(FOLDERS)
    assert begun.key == "photos/box/1.tif"
    # the test's store tells the same time of every upload
    assert not is_abandoned(begun, now=begun.touched_at + ABANDONED_SECONDS - 60)
    assert sweep(bucket, FOLDERS) == [begun]
    uploads = boto3.client("s3").list_multipart_uploads(Bucket=name)["Uploads"]
    assert [upload["UploadId"] for upload in uploads] == [others]


def test_uploads_on_many_pages_are_all_found(s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client, name = boto3.client("s3"), s3_bucket_url.split("/")[2]
    for number in range(5):
        client.create_multipart_upload(Bucket=name, Key=f"folder/photos/{number}.tif")
    bucket = Bucket(s3_bucket_url)
    files = bucket._store._requests._files
    real = files.call_s3

    def paged(method: str, *, KeyMarker: str = "", UploadIdMarker: str = "", **request: Any) -> Any:  # noqa: N803
        reply = real(method, **request)
        if method != "list_multipart_uploads":
            return reply
        # the test's store gives all of them at once
        found = [upload for upload in reply.get("Uploads", ()) if upload["Key"] > KeyMarker]
        assert bool(KeyMarker) == bool(UploadIdMarker)
        last = {"NextKeyMarker": found[1]["Key"], "NextUploadIdMarker": found[1]["UploadId"]} if len(found) > 2 else {}
        return {"Uploads": found[:2], "IsTruncated": len(found) > 2, **last}

    monkeypatch.setattr(files, "call_s3", paged)
    assert keys(sweep(bucket, FOLDERS)) == {f"photos/{number}.tif" for number in range(5)}
    assert list(bucket.unfinished(FOLDERS)) == []


def test_a_file_of_another_machine_is_abandoned_after_a_day(tmp_path: Path) -> None:
    names = (".oldphoto-tmp-0123456789abcdef-17-4711-0123456789abcdef", ".oldphoto-tmp-0123456789abcdef")
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    bucket = Bucket(tmp_path)
    assert sweep(bucket, FOLDERS) == []
    for name in names:
        os.utime(tmp_path / name, (0, time.time() - ABANDONED_SECONDS - 60))
    assert keys(sweep(bucket, FOLDERS)) == set(names)


def test_only_the_folders_that_are_named_are_swept(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", NAME], capture_output=True, text=True, check=True).stdout.strip()
    for folder in ("", "photos", "photos/box", "scans"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / ended).write_bytes(b"half")
    assert keys(sweep(Bucket(tmp_path), FOLDERS)) == {ended, f"photos/{ended}", f"photos/box/{ended}"}
    assert [path.parent.name for path in tmp_path.rglob(ended)] == ["scans"]


def test_a_store_that_does_not_tell_of_uploads_is_left_as_it_is(
    s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(s3_bucket_url)
    bucket.write("photos/1.tif", b"x")
    real = bucket._store._requests._files.call_s3

    def deny(method: str, **request: object) -> object:
        if method == "list_multipart_uploads":
            raise PermissionError("Access Denied")
        return real(method, **request)

    monkeypatch.setattr(bucket._store._requests._files, "call_s3", deny)
    assert sweep(bucket, FOLDERS) == []


def test_a_run_begins_by_sweeping_and_an_audit_tells_of_what_lies_there(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    put(source, ["1.png"])
    with writing(target):
        (alive,) = target.unfinished(FOLDERS)
        restore(source, target)
        assert keys(target.unfinished(FOLDERS)) == {alive.key}
        assert audit(target).is_clean
    (finding,) = audit(target).findings
    assert (finding.kind, finding.key) == ("unfinished", alive.key)
    restore(source, target)
    assert audit(target).is_clean
    assert list(target.unfinished(FOLDERS)) == []


def test_nothing_of_a_source_is_swept(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "new/scans"), Bucket(tmp_path / "new")
    put(source, ["1.png"])
    left = tmp_path / "new/scans" / temporary_name()
    left.write_bytes(b"not ours to judge")
    os.utime(left, (0, 0))
    restore(source, target)
    assert left.exists()
