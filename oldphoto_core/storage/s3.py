"""A bucket in S3, or in anything that speaks its protocol, through s3fs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import mimetypes
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from oldphoto_core.errors import (
    ChangedWhileReading,
    DamagedOnTheWay,
    NoCredentials,
    SourceMissing,
    StorageError,
    WriteFailed,
)
from oldphoto_core.storage.etags import Digest, ETags, parts_of
from oldphoto_core.storage.keys import TEMP_PREFIX, Folding, is_temporary, printable
from oldphoto_core.storage.s3_client import EXPIRED, GARBLED, TRIES, breaks, clean, code_of, current_client, pause
from oldphoto_core.storage.store import CHUNK, ObjectInfo, Unfinished, chunks_of

PART_BYTES = 64 * 2**20
"""Objects of more bytes go up in parts of this size; S3 takes 10,000 parts at most (625 GiB)."""
PAGE_KEYS = 1000
"""Objects that one request lists; S3 gives no more."""
_REFUSED = {
    "AccessDenied",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "403",
}
_NONE_FOUND = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"}
_WAY_IN = (
    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL for a store that is not AWS)"
)

_Sent = tuple[str, list[bytes]]
"""The ETag that the store gave, and the MD5 of each part that went up."""


class S3Store:
    """Objects of bucket `bucket` whose key begins with `prefix` + "/"."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self._files = current_client()
        self._etags = ETags()

    def is_there(self) -> bool:
        """Whether anything lies there; False, too, for a bucket that does not exist."""
        try:
            return bool(next(self._pages(Prefix=self._start(""))).get("Contents"))
        except SourceMissing:
            return False

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects, in S3's own order, which is that of the keys' bytes."""
        for page in self._pages(Prefix=self._start(prefix)):
            for entry in page.get("Contents", ()):
                key = entry["Key"][len(self._start("")) :]
                # "folder/" of no bytes is how consoles draw an empty folder
                if key and not key.endswith("/") and not is_temporary(key):
                    yield ObjectInfo(key, int(entry["Size"]), entry["ETag"].strip('"'))

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly inside."""
        start = self._start(prefix)
        pages = self._pages(Prefix=start, Delimiter="/")
        # S3 sorts them with their "/", which stands behind "-" and "."
        yield from sorted(
            entry["Prefix"][len(start) : -1] for page in pages for entry in page.get("CommonPrefixes", ())
        )

    def info(self, key: str) -> ObjectInfo | None:
        """The object as it is now, or None."""
        try:
            head = self._call("head_object", key)
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
                for chunk in self._body(reply):
                    came += len(chunk)
                    if digest:
                        digest.update(chunk)
                    yield chunk
            except breaks() as error:
                problem = error
            except Exception as error:  # the other place where errors of libraries come out
                raise self._broke_off(key, error) from error
            if came == size:
                self._accept(key, version, digest)
                return
            failures = 0 if came > start else failures + 1
        raise self._broke_off(key, problem) from problem

    def read_range(self, key: str, version: str | None, start: int, end: int) -> bytes:
        """Some bytes in one request, which is made three times at most."""
        problem: Exception = TimeoutError("not all bytes came")
        for number in range(TRIES):
            pause(number)
            reply = self._get(key, version, start, end)
            try:
                data = b"".join(self._body(reply))
            except breaks() as error:
                problem = error
                continue
            except Exception as error:
                raise self._broke_off(key, error) from error
            if len(data) == end - start:
                return data
        raise self._broke_off(key, problem) from problem

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
                if etag == _etag(digests):
                    return
                condition = {}  # what lies there now, whole or not, is ours
                self._compare(key, etag, source)
                return
            except DamagedOnTheWay as error:
                problem = error
            except NoCredentials:
                raise
            except StorageError as error:
                raise WriteFailed(f"cannot write {self._name(key)}: {error}") from error
        raise WriteFailed(f"cannot write {self._name(key)}: {problem}") from problem

    def delete(self, key: str) -> None:
        """Removes the object if it is there."""
        self._call("delete_object", key)

    def folds_names(self) -> tuple[Folding, ...]:
        """Nothing: keys are bytes."""
        return ()

    def unfinished(self, folders: tuple[str, ...]) -> Iterator[Unfinished]:
        """Probes, and uploads in parts, which cost their room until somebody aborts them."""
        start = self._start("")
        for page in self._pages(Prefix=start + TEMP_PREFIX):
            for entry in page.get("Contents", ()):
                yield Unfinished(entry["Key"][len(start) :], entry["LastModified"].timestamp())
        for entry in self._uploads(start):
            key = entry["Key"][len(start) :]
            if key.partition("/")[0] in folders:
                yield Unfinished(key, entry["Initiated"].timestamp(), entry["UploadId"])

    def discard(self, write: Unfinished) -> None:
        """Aborts the upload, or removes the probe."""
        if not write.upload:
            self.delete(write.key)
            return
        with contextlib.suppress(SourceMissing):
            self._call("abort_multipart_upload", write.key, UploadId=write.upload)

    def _get(self, key: str, version: str | None, start: int, end: int | None = None) -> dict[str, Any]:
        pinned = {"IfMatch": f'"{version}"'} if version is not None else {}
        part = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        reply = self._call("get_object", key, **pinned, **part)
        if part and "ContentRange" not in reply:
            reply["Body"].close()
            raise StorageError(f"{self._name(key)} is wanted from byte {start}, and its store sends no rest; try again")
        return reply

    def _digest(self, key: str, etag: str, reply: dict[str, Any]) -> Digest | None:
        """What is made of the bytes to hold them against their ETag; None where that tells nothing."""
        if not self._etags.tell(etag, reply):
            return None
        if "-" not in etag:
            return Digest()
        size = int(reply["ContentLength"])
        if parts_of(etag) == 1:
            return Digest(max(size, 1))
        try:
            part = int(self._call("head_object", key, PartNumber=1)["ContentLength"])
        except StorageError:
            return None
        # of parts of different sizes, or from a store that does not know of parts, nothing can be said
        return Digest(part) if part and -(-size // part) == parts_of(etag) else None

    def _accept(self, key: str, etag: str, digest: Digest | None) -> None:
        if digest and not self._etags.accept(key, etag, digest.etag()):
            raise DamagedOnTheWay(
                f"the bytes of {self._name(key)} do not match their checksum (ETag {etag}): try again, and compare it"
                " with another copy"
            )

    def _broke_off(self, key: str, problem: Exception) -> StorageError:
        return StorageError(f"{self._name(key)} breaks off while reading: {clean(problem)}; try again")

    def _body(self, reply: dict[str, Any]) -> Iterator[bytes]:
        from fsspec.asyn import sync

        body = reply["Body"]
        try:
            while chunk := sync(self._files.loop, _chunk, body):
                yield chunk
        finally:
            body.close()

    def _put(self, key: str, source: BinaryIO, condition: dict[str, str]) -> _Sent:
        data = next(chunks_of(source, PART_BYTES), b"")
        digest = _md5(data)
        kind = _content_type(key)
        reply = self._call("put_object", key, Body=data, ContentMD5=_base64(digest), ContentType=kind, **condition)
        return reply["ETag"].strip('"'), [digest]

    def _put_parts(self, key: str, source: BinaryIO, condition: dict[str, str]) -> _Sent:
        upload = self._call("create_multipart_upload", key, ContentType=_content_type(key))["UploadId"]
        try:
            parts, digests = [], []
            for number, part in enumerate(chunks_of(source, PART_BYTES), start=1):
                digests.append(_md5(part))
                numbers = {"UploadId": upload, "PartNumber": number}
                reply = self._call("upload_part", key, Body=part, ContentMD5=_base64(digests[-1]), **numbers)
                parts.append({"PartNumber": number, "ETag": reply["ETag"]})
            done = self._complete(key, _etag(digests), UploadId=upload, MultipartUpload={"Parts": parts}, **condition)
        except BaseException:
            with contextlib.suppress(StorageError):
                self._call("abort_multipart_upload", key, UploadId=upload)
            raise
        return done["ETag"].strip('"'), digests

    def _complete(self, key: str, etag: str, **request: Any) -> dict[str, Any]:
        """Makes the parts one object. After a lost reply the upload is gone, and the object there."""
        try:
            return self._call("complete_multipart_upload", key, **request)
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
            raise DamagedOnTheWay(f"{self._name(key)} does not hold the bytes that were written: write it again")

    def _start(self, prefix: str) -> str:
        return "".join(f"{part}/" for part in (self.prefix, prefix) if part)

    def _name(self, key: str) -> str:
        return printable(f"s3://{self.bucket}/{self._start('')}{key}")

    def _pages(self, **request: Any) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", None, MaxKeys=PAGE_KEYS, **request, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _uploads(self, start: str) -> Iterator[dict[str, Any]]:
        markers: dict[str, str] = {}
        while True:
            page = self._call("list_multipart_uploads", None, Prefix=start, **markers)
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _call(self, method: str, key: str | None, **request: Any) -> dict[str, Any]:
        if key is not None:
            request["Key"] = self._start("") + key
        for number in range(1, TRIES + 1):
            files = self._files
            try:
                reply: dict[str, Any] = files.call_s3(method, Bucket=self.bucket, **request)
                return reply
            except Exception as error:  # the one seam: whatever s3fs, botocore and aiohttp raise is translated here
                # HEAD has no body to say more in
                expired = code_of(error) in EXPIRED or (method == "head_object" and code_of(error) == "400")
                if not expired or number == TRIES:
                    raise self._translated(error, key) from error
                pause(number)
                self._files = current_client(instead_of=files)
        raise AssertionError("the last try returns or raises")

    def _translated(self, error: Exception, key: str | None) -> StorageError:
        code = code_of(error)
        name = self._name(key or "")
        if type(error).__name__ in _NONE_FOUND:
            return NoCredentials(f"no credentials for s3://{self.bucket}: {_WAY_IN}")
        if code in _REFUSED or isinstance(error, PermissionError):
            return NoCredentials(f"{name}: the store refused these credentials ({code or 'denied'}): {_WAY_IN}")
        if code == "NoSuchBucket" or (key is None and isinstance(error, FileNotFoundError)):
            return SourceMissing(f"there is no bucket s3://{self.bucket}: check the name and AWS_ENDPOINT_URL")
        if code in GARBLED:
            return DamagedOnTheWay(f"{name} did not arrive as it was sent ({code}): write it again")
        if code in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
            return ChangedWhileReading(f"{name} was replaced since it was listed: run again for a new inventory")
        if isinstance(error, FileNotFoundError):
            return SourceMissing(f"{name} is not there, or no longer: run again for a new inventory")
        return StorageError(f"{name}: {clean(error)}")


async def _chunk(body: Any) -> bytes:
    """The next CHUNK bytes of a reply, fewer at its end; a single read gives what has just come."""
    pieces: list[bytes] = []
    missing = CHUNK
    while missing and (piece := await body.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _content_type(key: str) -> str:
    # a browser shows what a bucket says is a page, and saves what it does not
    return mimetypes.guess_type(key, strict=False)[0] or "application/octet-stream"


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _etag(digests: list[bytes]) -> str:
    """What S3 calls an object that went up whole, or in parts of these MD5s."""
    return digests[0].hex() if len(digests) == 1 else f"{_md5(b''.join(digests)).hex()}-{len(digests)}"
