"""A file's bytes without reading them all: what the parsers of this room take beside `bytes`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

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


Data = bytes | FileView
"""A whole file."""


def pieces_of(data: Data, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` to `end`, some at a time."""
    for at in range(start, end, _PIECE):
        yield data[at : min(at + _PIECE, end)]
