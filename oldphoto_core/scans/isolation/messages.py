"""What goes between this process and its decoders: short messages; all that is large lies in `memory`.

A decoder may have been taken over by a file. What it says is bounded in length, names nothing but the messages below,
and must have their types (`wire`). Descriptors and paths are never taken from it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from oldphoto_core import errors
from oldphoto_core.errors import ScanError
from oldphoto_core.scans.container_metadata import ContainerMetadata
from oldphoto_core.scans.header_probe import HeaderProbe, TooScattered
from oldphoto_core.scans.isolation.confinement import Confinement
from oldphoto_core.scans.isolation.memory import Plane
from oldphoto_core.scans.isolation.wire import MOST_CHARACTERS, BadMessage, packed, unpacked
from oldphoto_core.scans.metadata.icc import UnusableProfileError
from oldphoto_core.scans.scan import ScanHeader
from oldphoto_core.scans.selection import ALL_PAGES, PageSelection
from oldphoto_core.scans.technical_metadata import TechnicalMetadata

MOST_BYTES = 16 * 2**20
"""Of a message without what belongs behind it. What JSON makes of them may take some thirty times as much memory."""
MOST_BLOB_BYTES = 64 * 2**20
"""Of metadata and profiles that belong behind a message, the size of the file that it is about not counted."""
_HEAD = struct.Struct("<24sQQ")
_CLOSED_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a decoder is asked to do."""

    what: Literal["header", "pages", "probe", "facts", "scan", "spool"]
    path: str = ""
    """Of the file; empty: its bytes come along."""
    page: int | None = None
    """Which one is meant; None: the only one."""
    selection: PageSelection = ALL_PAGES
    """Which ones are judged, where all are looked at."""
    there: frozenset[int] = frozenset()
    """Of a file elsewhere, the blocks that were fetched."""
    room: int = 0
    """Bytes of the memory for pixels that comes along, behind the file's bytes."""
    max_pixels: int | None = None
    """Bound on width x height."""
    facts: bool = False
    """Whether facts are to come with the pixels."""
    seconds: float
    """Time that it may take; its CPU time is bounded accordingly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """The first thing that a decoder says."""

    confinement: Confinement


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A decoded file without its pixels."""

    format: str
    pixels: Plane
    alpha: Plane | None
    container: ContainerMetadata
    facts: TechnicalMetadata | None = None
    """Where they were asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slab:
    """Rows of a picture too large for memory; they are in the room until this is answered, alpha behind them."""

    pixels: Plane
    """Of the whole picture."""
    alpha: Plane | None
    top: int
    bottom: int
    """The row behind the last one."""


@dataclass(frozen=True, slots=True)
class Headers:
    """Of all pages of a file."""

    pages: tuple[ScanHeader, ...]


@dataclass(frozen=True, slots=True)
class GoOn:
    """The rows of a `Slab` were taken."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Blocks of a file elsewhere that must be fetched before there is an answer."""

    blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of this project's in words, by the name of its class."""

    name: str
    text: str

    def error(self) -> Exception:
        """The error again, its text cut to MOST_CHARACTERS; what is none of a scan's is a RuntimeError."""
        text = self.text[:MOST_CHARACTERS]
        found = getattr(errors, self.name, None) or _OTHER_ERRORS.get(self.name)
        if isinstance(found, type) and issubclass(found, ScanError):
            return found(text)
        return RuntimeError(text)


_OTHER_ERRORS = {kind.__name__: kind for kind in (TooScattered, UnusableProfileError)}
"""Errors of scans that are not in the tree's own module."""
_KINDS: dict[bytes, type] = {
    kind.__name__.encode(): kind
    for kind in (
        Request,
        Ready,
        Reply,
        Slab,
        Headers,
        GoOn,
        Missing,
        Failure,
        ScanHeader,
        TechnicalMetadata,
        HeaderProbe,
    )
}


def send(line: socket.socket, message: object, files: Sequence[int] = ()) -> None:
    """One message, with the descriptors of open files; the receiver gets its own."""
    if isinstance(message, Exception):
        message = Failure(type(message).__name__, str(message))
    body, blobs = packed(message)
    head = _HEAD.pack(type(message).__name__.encode(), len(body), sum(map(len, blobs)))
    first = head + body
    sent = socket.send_fds(line, [first], list(files)) if files else 0
    line.sendall(memoryview(first)[sent:])
    for blob in blobs:
        line.sendall(blob)


def receive(line: socket.socket, *, blob_bytes: int = MOST_BLOB_BYTES, wait: Callable[[], None] = lambda: None) -> Any:
    """The next message. `wait` is called before anything is read, and raises what ends the waiting.

    Raises:
        EOFError: the other side is gone.
        OSError: the same, or (TimeoutError) nothing came within the line's timeout.
        BadMessage: it is too long, or none of the messages above.
    """
    return _message(line, _read(line, _HEAD.size, wait), blob_bytes, wait)


def receive_files(line: socket.socket, most: int = 2) -> tuple[Any, list[int]]:
    """The next message and the descriptors that came with it, which the caller closes. For decoders: they trust it.

    Raises: as `receive`.
    """
    head, files, _, _ = socket.recv_fds(line, _HEAD.size, most, _CLOSED_ON_EXEC)
    if len(head) < _HEAD.size:
        raise EOFError
    return _message(line, head, MOST_BLOB_BYTES, lambda: None), files


def _message(line: socket.socket, head: bytes | bytearray, blob_bytes: int, wait: Callable[[], None]) -> Any:
    name, size, rest = _HEAD.unpack(head)
    if size > MOST_BYTES or rest > blob_bytes:
        raise BadMessage(
            f"a message of {size} bytes and {rest} behind it, where {MOST_BYTES} and {blob_bytes} may come"
        )
    if (kind := _KINDS.get(name.rstrip(b"\0"))) is None:
        raise BadMessage(f"a message that calls itself {name!r}")
    body = memoryview(_read(line, size + rest, wait))
    message = unpacked(bytes(body[:size]), body[size:], kind)
    return message.error() if type(message) is Failure else message


def _read(line: socket.socket, size: int, wait: Callable[[], None]) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        wait()
        count = line.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return data
