"""A file's bytes without reading them all: what the parsers of this room take beside `bytes`."""

from __future__ import annotations

import bisect
import io
import itertools
import os
from collections.abc import Iterator, Sequence
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


class AssembledView:
    """A file as it should have been written: parts of another one, and bytes of our own between them."""

    def __init__(self, parts: Sequence[bytes | tuple[Data, int, int]]) -> None:
        """Each part is bytes, or (whole, start, end) of the bytes from `start` to before `end` of another file."""
        self._parts = tuple((part, 0, len(part)) if isinstance(part, bytes) else part for part in parts)
        self._ends = tuple(itertools.accumulate(end - start for _, start, end in self._parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, part: slice) -> bytes:
        first, last, _ = part.indices(len(self))
        pieces, number = [], bisect.bisect_right(self._ends, first)
        while first < last:
            whole, _, end = self._parts[number]
            at = end - (self._ends[number] - first)
            pieces.append(whole[at : min(end, at + last - first)])
            first, number = self._ends[number], number + 1
        return b"".join(pieces)

    @property
    def is_in_memory(self) -> bool:
        """Whether none of it lies in a file."""
        wholes = (_innermost(whole) for whole, _, _ in self._parts)
        return all(
            isinstance(whole, bytes) or (not isinstance(whole, FileView) and whole.is_in_memory) for whole in wholes
        )

    def opened_anew(self) -> AssembledView:
        """The same over files of its own, for a reader that outlives the present one; a hole reads as zeros."""
        return AssembledView([(_opened_anew(whole), start, end) for whole, start, end in self._parts])


Data = bytes | FileView | PageView | AssembledView
"""A whole file."""


def _innermost(data: Data) -> bytes | FileView | AssembledView:
    return data.whole if isinstance(data, PageView) else data


def _opened_anew(data: Data) -> Data:
    whole = _innermost(data)
    if isinstance(whole, FileView):
        return FileView(whole.path)
    return whole.opened_anew() if isinstance(whole, AssembledView) else whole


def pieces_of(data: Data, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` to `end`, some at a time."""
    for at in range(start, end, _PIECE):
        yield data[at : min(at + _PIECE, end)]
