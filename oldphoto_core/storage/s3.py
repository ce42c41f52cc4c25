"""A bucket in S3, or in anything that speaks its protocol."""

from __future__ import annotations

import base64
import contextlib
import mimetypes
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from oldphoto_core.errors import (
    ChangedWhileReading,
    DamagedOnTheWay,
    NoConditions,
    NoCredentials,
    SourceMissing,
    StorageError,
    UnsafeKey,
    WriteFailed,
)
from oldphoto_core.storage.etags import Digest, ETags, etag_of, md5_of, parts_of
from oldphoto_core.storage.keys import MAX_KEY_BYTES, TEMP_PREFIX, Folding, is_temporary
from oldphoto_core.storage.s3_client import TRIES, breaks, pause
from oldphoto_core.storage.s3_requests import Requests
from oldphoto_core.storage.store import ObjectInfo, Unfinished, chunks_of

PART_BYTES = 64 * 2**20
"""Objects of more bytes go up in parts of this size; S3 takes 10,000 parts at most (625 GiB)."""

_Sent = tuple[str, list[bytes]]
"""The ETag that the store gave, and the MD5 of each part that went up."""


class S3Store:
    """Objects of bucket `bucket` whose key begins with `prefix` + "/"."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._requests = Requests(bucket, prefix)
        self._etags = ETags()

    def is_there(self) -> bool:
        """Whether anything lies there; False, too, for a bucket that does not exist."""
        try:
            return bool(next(self._requests.pages(Prefix=self._requests.start())).get("Contents"))
        except SourceMissing:
            return False

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects, in S3's own order, which is that of the keys' bytes."""
        for page in self._requests.pages(Prefix=self._requests.start(prefix)):
            for entry in page.get("Contents", ()):
                key = entry["Key"][len(self._requests.start()) :]
                # "folder/" of no bytes is how consoles draw an empty folder
                is_folder = key.endswith("/") and not entry["Size"]
                if key and not is_folder and not is_temporary(key):
                    yield ObjectInfo(key, int(entry["Size"]), entry["ETag"].strip('"'))

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly inside."""
        start = self._requests.start(prefix)
        pages = self._requests.pages(Prefix=start, Delimiter="/")
        # S3 sorts them with their "/", which stands behind "-" and "."
        yield from sorted(
            entry["Prefix"][len(start) : -1] for page in pages for entry in page.get("CommonPrefixes", ())
        )

    def info(self, key: str) -> ObjectInfo | None:
        """The object as it is now, or None."""
        try:
            head = self._requests.call("head_object", key)
        except SourceMissing:
            return None
        return ObjectInfo(key, int(head["ContentLength"]), head["ETag"].strip('"'))

    def read(self, key: str, version: str | None) -> Iterator[bytes]:
        """All bytes; the store itself refuses when the object is no longer the pinned version.

        A body that breaks off is asked for again from there, until three in a row bring nothing: s3fs only tries whole
        requests again. What came is held against the ETag at the end.
        """
        came = failures = 0
        digest: Digest | None = None
        problem: Exception = TimeoutError("not all bytes came")
        while failures < TRIES:
            pause(failures)
            start, reply = came, self._get(key, version, came)
            version, size = reply["ETag"].strip('"'), came + int(reply["ContentLength"])
            digest = digest if came else self._digest(key, version, reply)
            try:
                for chunk in self._requests.body(reply):
                    came += len(chunk)
                    if digest:
                        digest.update(chunk)
                    yield chunk
            except breaks() as error:
                problem = error
            except Exception as error:  # the other place where errors of libraries come out
                raise self._requests.broke_off(key, error) from error
            if came == size:
                self._accept(key, version, digest)
                return
            failures = 0 if came > start else failures + 1
        raise self._requests.broke_off(key, problem) from problem

    def read_inside(self, key: str, version: str | None) -> Iterator[bytes]:
        """The same: there are no links."""
        return self.read(key, version)

    def read_range(self, key: str, version: str | None, start: int, end: int) -> bytes:
        """Some bytes in one request, which is made three times at most."""
        problem: Exception = TimeoutError("not all bytes came")
        for number in range(TRIES):
            pause(number)
            reply = self._get(key, version, start, end)
            try:
                data = b"".join(self._requests.body(reply))
            except breaks() as error:
                problem = error
                continue
            except Exception as error:
                raise self._requests.broke_off(key, error) from error
            if len(data) == end - start:
                return data
        raise self._requests.broke_off(key, problem) from problem

    def write(self, key: str, source: BinaryIO) -> None:
        """One PUT, or parts made visible together; both carry checksums that the store must confirm."""
        self._write(key, source, {})

    def create(self, key: str, source: BinaryIO) -> bool:
        """The same on the condition that the store finds nothing there (If-None-Match)."""
        try:
            self._write(key, source, {"IfNoneMatch": "*"})
        except WriteFailed as error:
            if isinstance(error.__cause__, ChangedWhileReading):
                return False
            raise
        return True

    def _write(self, key: str, source: BinaryIO, condition: dict[str, str]) -> None:
        problem: StorageError | None = None
        for number in range(TRIES):
            pause(number)
            try:
                size = source.seek(0, os.SEEK_END)
                etag, digests = (self._put if size <= PART_BYTES else self._put_parts)(key, source, condition)
                if etag == etag_of(digests):
                    return
                condition = {}  # what lies there now, whole or not, is ours
                self._compare(key, etag, source)
                return
            except DamagedOnTheWay as error:
                problem = error
            except (NoCredentials, NoConditions):
                raise
            except StorageError as error:
                raise WriteFailed(f"cannot write {self._requests.name(key)}: {error}") from error
        raise WriteFailed(f"cannot write {self._requests.name(key)}: {problem}") from problem

    def delete(self, key: str) -> None:
        """Removes the object if it is there."""
        self._requests.call("delete_object", key)

    def check_destination(self, key: str) -> None:
        """Keys are bounded, and the prefix of the bucket counts."""
        length = len(f"{self._requests.start()}{key}".encode())
        if length > MAX_KEY_BYTES:
            raise UnsafeKey(
                f"{self._requests.name(key)} would be a key of {length} bytes, and S3 takes {MAX_KEY_BYTES}: rename the"
                " object, or choose a shorter prefix for the target"
            )

    def folder_links(self, prefix: str) -> Iterator[str]:
        """None: there are no links."""
        yield from ()

    def folds_names(self) -> tuple[Folding, ...]:
        """Nothing: keys are bytes."""
        return ()

    def refuses(self, awkward: Iterable[str]) -> set[str]:
        """Nothing: keys are bytes."""
        return set()

    def unfinished(self, folders: tuple[str, ...]) -> Iterator[Unfinished]:
        """Probes, and uploads in parts, which cost their room until somebody aborts them."""
        start = self._requests.start()
        for page in self._requests.pages(Prefix=start + TEMP_PREFIX):
            for entry in page.get("Contents", ()):
                yield Unfinished(entry["Key"][len(start) :], entry["LastModified"].timestamp())
        for entry in self._requests.uploads(start):
            key = entry["Key"][len(start) :]
            if key.partition("/")[0] in folders:
                yield Unfinished(key, entry["Initiated"].timestamp(), entry["UploadId"])

    def discard(self, write: Unfinished) -> None:
        """Aborts the upload, or removes the probe."""
        if not write.upload:
            self.delete(write.key)
            return
        with contextlib.suppress(SourceMissing):
            self._requests.call("abort_multipart_upload", write.key, UploadId=write.upload)

    def _get(self, key: str, version: str | None, start: int, end: int | None = None) -> dict[str, Any]:
        pinned = {"IfMatch": f'"{version}"'} if version is not None else {}
        part = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        reply = self._requests.call("get_object", key, **pinned, **part)
        if part and "ContentRange" not in reply:
            reply["Body"].close()
            raise StorageError(
                f"{self._requests.name(key)} is wanted from byte {start}, and its store sends no rest; try again"
            )
        return reply

    def _digest(self, key: str, etag: str, reply: dict[str, Any]) -> Digest | None:
        """What is made of the bytes to hold them against their ETag; None where that tells nothing."""
        if not self._etags.are_comparable(etag, reply):
            return None
        if "-" not in etag:
            return Digest()
        size = int(reply["ContentLength"])
        if parts_of(etag) == 1:
            return Digest(max(size, 1))
        try:
            part = int(self._requests.call("head_object", key, PartNumber=1)["ContentLength"])
        except StorageError:
            return None
        # of parts of different sizes, or from a store that does not know of parts, nothing can be said
        return Digest(part) if part and -(-size // part) == parts_of(etag) else None

    def _accept(self, key: str, etag: str, digest: Digest | None) -> None:
        if digest and not self._etags.accept(key, etag, digest.etag()):
            raise DamagedOnTheWay(
                f"the bytes of {self._requests.name(key)} do not match their checksum (ETag {etag}): try again, and"
                " compare it with another copy"
            )

    def _put(self, key: str, source: BinaryIO, condition: dict[str, str]) -> _Sent:
        data = next(chunks_of(source, PART_BYTES), b"")
        digest = md5_of(data)
        kind = _content_type(key)
        reply = self._requests.call(
            "put_object", key, Body=data, ContentMD5=_base64(digest), ContentType=kind, **condition
        )
        return reply["ETag"].strip('"'), [digest]

    def _put_parts(self, key: str, source: BinaryIO, condition: dict[str, str]) -> _Sent:
        upload = self._requests.call("create_multipart_upload", key, ContentType=_content_type(key))["UploadId"]
        try:
            parts, digests = [], []
            for number, part in enumerate(chunks_of(source, PART_BYTES), start=1):
                digests.append(md5_of(part))
                numbers = {"UploadId": upload, "PartNumber": number}
                reply = self._requests.call("upload_part", key, Body=part, ContentMD5=_base64(digests[-1]), **numbers)
                parts.append({"PartNumber": number, "ETag": reply["ETag"]})
            done = self._complete(key, etag_of(digests), UploadId=upload, MultipartUpload={"Parts": parts}, **condition)
        except BaseException:
            with contextlib.suppress(StorageError):
                self._requests.call("abort_multipart_upload", key, UploadId=upload)
            raise
        return done["ETag"].strip('"'), digests

    def _complete(self, key: str, etag: str, **request: Any) -> dict[str, Any]:
        """Makes the parts one object. After a lost reply the upload is gone, and the object there."""
        try:
            return self._requests.call("complete_multipart_upload", key, **request)
        except SourceMissing:
            there = self.info(key)
            if there is None or there.version != etag:
                raise
            return {"ETag": etag}

    def _compare(self, key: str, etag: str, source: BinaryIO) -> None:
        """With KMS encryption, and on some stores, the ETag is no checksum: what lies there is compared itself."""
        source.seek(0)
        same = all(source.read(len(chunk)) == chunk for chunk in self.read(key, etag))
        if not same or source.read(1):
            raise DamagedOnTheWay(
                f"{self._requests.name(key)} does not hold the bytes that were written: write it again"
            )


def _content_type(key: str) -> str:
    # a browser shows what a bucket says is a page, and saves what it does not
    return mimetypes.guess_type(key, strict=False)[0] or "application/octet-stream"


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
