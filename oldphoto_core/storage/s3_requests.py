"""Requests to S3 about one bucket folder: the seam to s3fs, where whatever goes wrong becomes a StorageError."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oldphoto_core.errors import (
    ChangedWhileReading,
    DamagedOnTheWay,
    NoConditions,
    NoCredentials,
    SourceMissing,
    StorageError,
)
from oldphoto_core.storage.keys import printable
from oldphoto_core.storage.s3_client import (
    EXPIRED,
    GARBLED,
    TRIES,
    clean,
    code_of,
    current_client,
    pause,
    response_of,
    status_of,
)
from oldphoto_core.storage.store import CHUNK

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
_ARCHIVED = "InvalidObjectState"
_NOT_KNOWN = {"NotImplemented", "XNotImplemented", "MethodNotAllowed", "UnsupportedOperation", "501", "405"}
"""What stores say of a request with a condition that they do not know."""
_NOT_KNOWN_PERHAPS = {"InvalidArgument", "InvalidRequest", "BadRequest", "NotSupported"}
"""What some of them say with status 400."""
_NONE_FOUND = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"}
_WAY_IN = (
    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL for a store that is not AWS)"
)


class Requests:
    """About the objects of bucket `bucket` whose key begins with `prefix` + "/"; keys are relative to that."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix
        self._files = current_client()

    def call(self, method: str, key: str | None, **request: Any) -> dict[str, Any]:
        """The reply to a request about one object, or (None) about the bucket. Raises StorageError."""
        if key is not None:
            request["Key"] = self.start() + key
        for number in range(1, TRIES + 1):
            files = self._files
            try:
                reply: dict[str, Any] = files.call_s3(method, Bucket=self._bucket, **request)
                return reply
            except Exception as error:  # the one seam: whatever s3fs, botocore and aiohttp raise is translated here
                # HEAD has no body to say more in
                expired = code_of(error) in EXPIRED or (method == "head_object" and code_of(error) == "400")
                if "IfNoneMatch" in request and _knows_no_condition(error):
                    raise NoConditions(
                        f"s3://{self._bucket} does not know the condition If-None-Match ({code_of(error)}), so nothing"
                        " can be created there only if it is absent; use a store that knows it to have that"
                    ) from error
                if not expired or number == TRIES:
                    raise self._translated(error, key) from error
                pause(number)
                self._files = current_client(instead_of=files)
        raise AssertionError("the last try returns or raises")

    def pages(self, **request: Any) -> Iterator[dict[str, Any]]:
        """Replies to one request for a listing, until all is listed."""
        token: dict[str, str] = {}
        while True:
            page = self.call("list_objects_v2", None, MaxKeys=PAGE_KEYS, **request, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def uploads(self, start: str) -> Iterator[dict[str, Any]]:
        """What S3 says of each upload in parts that has not ended, of keys of the bucket that begin with `start`."""
        markers: dict[str, str] = {}
        while True:
            page = self.call("list_multipart_uploads", None, Prefix=start, **markers)
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def body(self, reply: dict[str, Any]) -> Iterator[bytes]:
        """What a reply brings, CHUNK bytes at a time; what its libraries raise leaves as it is (`s3_client.breaks`)."""
        from fsspec.asyn import sync

        body = reply["Body"]
        try:
            while chunk := sync(self._files.loop, _chunk, body):
                yield chunk
        finally:
            body.close()

    def broke_off(self, key: str, problem: Exception) -> StorageError:
        """The error that says so of an object's body."""
        return StorageError(f"{self.name(key)} breaks off while reading: {clean(problem)}; try again")

    def start(self, prefix: str = "") -> str:
        """How keys in the folder `prefix` begin in the bucket."""
        return "".join(f"{part}/" for part in (self._prefix, prefix) if part)

    def name(self, key: str) -> str:
        """The URL of an object, for messages."""
        return printable(f"s3://{self._bucket}/{self.start()}{key}")

    def _translated(self, error: Exception, key: str | None) -> StorageError:
        code = code_of(error)
        name = self.name(key or "")
        if type(error).__name__ in _NONE_FOUND:
            return NoCredentials(f"no credentials for s3://{self._bucket}: {_WAY_IN}")
        if code == _ARCHIVED:
            return StorageError(f"{name} is in an archive class{_archive_class(error)}: restore it there first")
        if code in _REFUSED or isinstance(error, PermissionError):
            return NoCredentials(f"{name}: the store refused these credentials ({code or 'denied'}): {_WAY_IN}")
        if code == "NoSuchBucket" or (key is None and isinstance(error, FileNotFoundError)):
            return SourceMissing(f"there is no bucket s3://{self._bucket}: check the name and AWS_ENDPOINT_URL")
        if code in GARBLED:
            return DamagedOnTheWay(f"{name} did not arrive as it was sent ({code}): write it again")
        if code in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
            return ChangedWhileReading(f"{name} was replaced since it was listed: run again to list it anew")
        if isinstance(error, FileNotFoundError):
            return SourceMissing(f"{name} is not there, or no longer: run again to list it anew")
        return StorageError(f"{name}: {clean(error)}")


def _knows_no_condition(error: Exception) -> bool:
    code = code_of(error)
    return code in _NOT_KNOWN or status_of(error) in (405, 501) or code in _NOT_KNOWN_PERHAPS


def _archive_class(error: Exception) -> str:
    """Which one, in brackets, where the store says it."""
    said = response_of(error).get("Error", {})
    named = [str(said[name]) for name in ("StorageClass", "AccessTier") if said.get(name)]
    return f" ({', '.join(named)})" if named else ""


async def _chunk(body: Any) -> bytes:
    """The next CHUNK bytes of a reply, fewer at its end; a single read gives what has just come."""
    pieces: list[bytes] = []
    missing = CHUNK
    while missing and (piece := await body.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
