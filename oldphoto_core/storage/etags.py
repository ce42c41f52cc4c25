"""What an ETag says of the bytes: with nearly every store it is the MD5 of an object, or of the MD5s of its parts."""

from __future__ import annotations

import hashlib
import re
import threading
from typing import Any

_DIGEST = re.compile(r"[0-9a-f]{32}(?:-(\d+))?")
_ENCRYPTED = ("aws:kms", "aws:kms:dsse", "aws:fsx")
"""Of objects that a store says to have encrypted so, ETags are no digests."""

UNLIKE = 3
"""Objects in a row, each read twice with the same result, that it takes to see that a store's ETags are no digests."""


def parts_of(etag: str) -> int:
    """How many parts an object went up in, by its ETag; 1 for one piece; 0 where the ETag cannot be a digest."""
    match = _DIGEST.fullmatch(etag)
    return int(match[1] or 1) if match else 0


def md5_of(data: bytes) -> bytes:
    """16 bytes."""
    return bytes(_md5(data).digest())


def etag_of(digests: list[bytes]) -> str:
    """What S3 calls an object that went up whole, or in parts of these MD5s."""
    return digests[0].hex() if len(digests) == 1 else f"{md5_of(b''.join(digests)).hex()}-{len(digests)}"


class Digest:
    """The ETag of bytes that come piece by piece; `part` bytes make a part, None: it went up in one piece."""

    def __init__(self, part: int | None = None) -> None:
        self._part = part
        self._room = part or 0
        self._now = _md5()
        self._parts: list[bytes] = []

    def update(self, data: bytes) -> None:
        """Takes the next piece."""
        view = memoryview(data)
        while self._part and len(view) >= self._room:
            self._now.update(view[: self._room])
            self._parts.append(self._now.digest())
            view = view[self._room :]
            self._now, self._room = _md5(), self._part
        self._now.update(view)
        self._room -= len(view)

    def etag(self) -> str:
        """Of what came so far."""
        if self._part is None:
            return str(self._now.hexdigest())
        rest = [self._now.digest()] if self._room < self._part or not self._parts else []
        parts = self._parts + rest
        whole = _md5(b"".join(parts))
        return f"{whole.hexdigest()}-{len(parts)}"


class ETags:
    """Those of one store. Whether they are digests at all shows by itself: few stores tell when theirs are none.

    Bytes that do not match are read again. Who gets the same ones twice from a store none of whose ETags has matched
    yet takes them; where one has, it is the bytes that are wrong.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._matched = False
        self._unlike = 0
        self._before: dict[tuple[str, str], str] = {}

    def are_comparable(self, etag: str, reply: dict[str, Any]) -> bool:
        """Whether this ETag is worth comparing with the bytes, as far as is known."""
        secret = reply.get("ServerSideEncryption") in _ENCRYPTED or "SSECustomerAlgorithm" in reply
        return bool(parts_of(etag)) and not secret and (self._matched or self._unlike < UNLIKE)

    def accept(self, key: str, etag: str, found: str) -> bool:
        """Whether bytes of the digest `found` are the object of this ETag; False: read them again, or give up."""
        with self._lock:
            if found == etag:
                self._matched = True
                self._before.pop((key, etag), None)
                return True
            if not self._matched and self._before.pop((key, etag), None) == found:
                self._unlike += 1
                return True
            self._before[key, etag] = found
            return False


def _md5(data: bytes = b"") -> Any:
    return hashlib.md5(data, usedforsecurity=False)
