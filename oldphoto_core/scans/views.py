"""A file's bytes without reading them all: what the parsers of this room take beside `bytes`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from oldphoto_core.errors import OldPhotoError

if TYPE_CHECKING:
    from types import TracebackType

_PIECE = 2**20


class FileView:
    """A file that is sliced like `bytes` and read only where it is sliced. Use it as a context manager.

    Raises:
        OSError: the file cannot be opened or read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._file = io.FileIO(self.path)
        self._size = os.fstat(self._file.fileno()).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, end, _ = part.indices(self._size)
        pieces = []
        # one read gives 2 GiB at most
        while start < end and (piece := os.pread(self._file.fileno(), end - start, start)):
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)

    def rfind(self, wanted: bytes, start: int) -> int:
        """Where `wanted` stands last, not before `start`; -1 when nowhere."""
        end = self._size
        while end - start >= len(wanted):
            at = max(start, end - _PIECE)
            if (found := self[at:end].rfind(wanted)) >= 0:
                return at + found
            # what is wanted may lie across the border of two pieces
            end = at + len(wanted) - 1 if at > start else start
        return -1

    def close(self) -> None:
        """Closing twice is no error."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


BLOCK = 2**16
"""Bytes that are fetched together, of a file elsewhere."""


class NotThere(OldPhotoError):
    """Somebody wants bytes of a file elsewhere that were not fetched yet. It never leaves the room."""

    def __init__(self, blocks: tuple[int, ...]) -> None:
        super().__init__(f"{len(blocks)} blocks were not fetched yet")
        self.blocks = blocks
        """Numbers of blocks, from 0."""


class HoledCopy(FileView):
    """A copy of which only some blocks are there: slicing the others raises NotThere."""

    def __init__(self, path: str | os.PathLike[str], there: frozenset[int] = frozenset()) -> None:
        super().__init__(path)
        self.there = there

    def __getitem__(self, part: slice) -> bytes:
        start, end, _ = part.indices(len(self))
        self.fill(start, end)
        return super().__getitem__(part)

    def fill(self, start: int, end: int) -> None:
        """Sees to it that these bytes are there, or raises NotThere."""
        if missing := self.missing(start, end):
            raise NotThere(missing)

    def missing(self, start: int, end: int) -> tuple[int, ...]:
        """The blocks of these bytes that are not there."""
        blocks = range(start // BLOCK, -(-min(end, len(self)) // BLOCK))
        return tuple(block for block in blocks if block not in self.there)


class PageView:
    """A TIFF of several pages as if one of them came first: its header names the directory of that page."""

    def __init__(self, whole: bytes | FileView, index: int, header: bytes) -> None:
        """`index`: of the page's directory among all, from 0; `header`: what the file begins with instead."""
        self.whole, self.index = whole, index
        self._header = header

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, part: slice) -> bytes:
        start, end, _ = part.indices(len(self.whole))
        piece = self.whole[start:end]
        if start >= len(self._header):
            return piece
        own = self._header[start:end]
        return own + piece[len(own) :]

    def rfind(self, wanted: bytes, start: int) -> int:
        """As of the whole file."""
        return self.whole.rfind(wanted, start)


Data = bytes | FileView | PageView
"""A whole file."""


def pieces_of(data: Data, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` to `end`, some at a time."""
    for at in range(start, end, _PIECE):
        yield data[at : min(at + _PIECE, end)]
