"""What goes between this process and its decoders: short messages, and files without a name for all that is large.

A file's bytes and the pixels made of them are never pickled. They lie in anonymous memory, of which only a descriptor
travels: nothing of it has a name that could be left behind, and the kernel frees it with the last process that holds
it, however that one ends.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import pickle
import socket
import struct
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from oldphoto_core.errors import ScanError
from oldphoto_core.folders import private_folder
from oldphoto_core.scans.scan import Format, Pixels
from oldphoto_core.scans.selection import ALL_PAGES, PageSelection

_HEAD = struct.Struct("<Q")
_CLOSED_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a decoder is asked to do."""

    what: Literal["header", "pages", "foresee", "facts", "scan", "spool"]
    path: str = ""
    """Of the file; empty: its bytes come along."""
    page: int | None = None
    """Which one is meant; None: the only one."""
    selection: PageSelection = ALL_PAGES
    """Which ones are judged, where all are looked at."""
    there: frozenset[int] = frozenset()
    """Of a file elsewhere, the blocks that were fetched."""
    folder: str = ""
    """Where pixels are to be put on disk."""
    max_pixels: int | None = None
    """Bound on width x height."""
    seconds: float
    """Time that it may take; its CPU time is bounded accordingly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """Pixels that a decoder made: the next ones of the memory that comes along, or in a file of `RawPixels`."""

    shape: tuple[int, ...]
    dtype: str
    path: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A decoded file without its pixels."""

    format: Format
    pixels: Plane
    alpha: Plane | None
    carried: dict[str, Any]
    """The fields of `Carried`."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Blocks of a file elsewhere that must be fetched before there is an answer."""

    blocks: tuple[int, ...]


def send(line: socket.socket, message: object, file: int | None = None) -> None:
    """One message, with the descriptor of an open file if one is named; the receiver gets its own."""
    body = pickle.dumps(_said(message) if isinstance(message, Exception) else message)
    head = _HEAD.pack(len(body))
    if file is None:
        line.sendall(head)
    else:
        socket.send_fds(line, [head], [file])
    line.sendall(body)


def receive(line: socket.socket) -> tuple[Any, int | None]:
    """The next message and the descriptor that came with it, which the caller closes.

    Raises:
        EOFError: the other side is gone.
        OSError: the same, or (TimeoutError) nothing came within the line's timeout.
    """
    head, files, _, _ = socket.recv_fds(line, _HEAD.size, 1, _CLOSED_ON_EXEC)
    if len(head) < _HEAD.size:
        raise EOFError
    body = bytearray(_HEAD.unpack(head)[0])
    view = memoryview(body)
    while view:
        count = line.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    message = _Message(io.BytesIO(body)).load()
    return message.error() if isinstance(message, Failure) else message, files[0] if files else None


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in words: libraries change how errors themselves are pickled."""

    module: str
    name: str
    text: str

    def error(self) -> Exception:
        """The error again; what is none of this project's is a RuntimeError."""
        found = _loaded(self.module, self.name)
        return found(self.text) if found and issubclass(found, ScanError) else RuntimeError(self.text)


def _said(error: Exception) -> Failure:
    return Failure(type(error).__module__, type(error).__qualname__, str(error))


class _Message(pickle.Unpickler):
    """Reads what `send` wrote and calls nothing else: a file may have taken over the decoder that answers for it."""

    def find_class(self, module: str, name: str) -> Any:
        """Dataclasses of the rooms that decoders know, alone."""
        found = _loaded(module, name) if module.startswith("oldphoto_core.scans.") else None
        if found is None or not is_dataclass(found):
            raise pickle.UnpicklingError(f"a message names {module}.{name}, which none should")
        return found


def _loaded(module: str, name: str) -> type | None:
    """A class of a module that this process has loaded already: no message makes it import anything."""
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else None


@contextlib.contextmanager
def in_memory(parts: Iterable[bytes | Pixels]) -> Iterator[int]:
    """A descriptor of a file without a name that holds these parts, one behind the other."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("oldphoto")
    else:
        file, path = tempfile.mkstemp(dir=private_folder())
        os.unlink(path)
    try:
        for part in parts:
            view = (part.data if isinstance(part, np.ndarray) else memoryview(part)).cast("B")
            while view:
                # one write takes 2 GiB at most
                view = view[os.write(file, view) :]
        yield file
    finally:
        os.close(file)


def all_of(file: int) -> bytes:
    """All bytes of such a file."""
    size, pieces, at = os.fstat(file).st_size, [], 0
    while at < size and (piece := os.pread(file, size - at, at)):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)


def planes_of(file: int, planes: Iterable[Plane]) -> list[npt.NDArray[Any]]:
    """Arrays that are the memory of such a file, without a copy; it is freed with the last of them."""
    # private: what is written into the arrays is the writer's own copy
    memory, at, arrays = mmap.mmap(file, 0, access=mmap.ACCESS_COPY), 0, []
    for plane in planes:
        dtype = np.dtype(plane.dtype)
        count = int(np.prod(plane.shape))
        arrays.append(np.frombuffer(memory, dtype, count, at).reshape(plane.shape))
        at += count * dtype.itemsize
    return arrays
