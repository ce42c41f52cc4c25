"""TIFFs of several pages, made of pages that are files of their own, or that are taken over as they are coded."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO, Self

from oldphoto_core.errors import UnreadableScan
from oldphoto_core.scans.metadata.ifd import Entry, Layout, long8s, longs, next_ifd, read_ifd, write_ifd
from oldphoto_core.scans.tiff.faults import inspect
from oldphoto_core.scans.tiff.pages import pages_of
from oldphoto_core.scans.tiff.parts import OFFSETS_AND_COUNTS
from oldphoto_core.scans.tiff.tags import compression_code
from oldphoto_core.scans.views import Data, FileView, pieces_of
from oldphoto_core.scans.vips import translated

if TYPE_CHECKING:
    from types import TracebackType

_BITS, _SUB_IFDS = 258, 330
_POINTERS = frozenset({288, 289, 513, 514, 519, 520, 521})
"""Tags that name places in the file, and are of no use in another: free space, and JPEG as it was before 1995."""
_OLD_JPEG = 6


class TiffBook:
    """A little-endian TIFF that grows page by page. Use it as a context manager; the file stays when something fails.

    What is added is read by parsers of this room alone: no decoder sees it.
    """

    def __init__(self, path: str | os.PathLike[str], *, big: bool) -> None:
        """`big`: a BigTIFF, whose places are numbers of 64 bits."""
        self._file: BinaryIO = open(path, "w+b")  # noqa: SIM115 - closed by `close`
        self._big = big
        self._file.write(b"II+\0\x08\0\0\0" + bytes(8) if big else b"II*\0" + bytes(4))
        self._pointer = 8 if big else 4
        """Where the place of the next directory must be written."""

    def add_file(self, path: str | os.PathLike[str]) -> None:
        """Adds what is in a little-endian TIFF of one page, with the levels of its pyramid if it is one."""
        with translated("written"), FileView(path) as data:
            layout = Layout.of(data)
            at = layout.first
            while at:
                self._link(*self._put(data, layout, read_ifd(data, layout, at), with_levels=True))
                at = next_ifd(data, layout, at)

    def add_copy(self, data: Data, number: int) -> None:
        """Adds a page of another TIFF, byte for byte as it is coded, with its tags and without smaller copies.

        Raises:
            UnreadableScan: what its directory says of its parts makes no sense, or it is none that `can_copy`.
        """
        if not can_copy(data, number):
            raise UnreadableScan(f"page {number} cannot be taken over as it is coded: decode it")
        with translated("written"):
            layout, offset = Layout.of(data), pages_of(data)[number - 1].offset
            at, pointer = self._put(data, layout, dict(inspect(data, offset).entries), with_levels=False)
            self._link(at, pointer)

    def close(self) -> None:
        """Closing twice is no error."""
        self._file.close()

    def _link(self, at: int, pointer: int) -> None:
        """Makes the directory at `at`, which names the one behind it at `pointer`, the last of the chain."""
        self._file.seek(self._pointer)
        self._file.write(struct.pack(self._word, at))
        self._pointer = pointer

    def _put(self, data: Data, layout: Layout, found: Mapping[int, Entry], *, with_levels: bool) -> tuple[int, int]:
        """Puts a directory and its parts at the end; returns where it lies, and where it names the one behind it."""
        entries = {tag: entry for tag, entry in found.items() if tag not in _POINTERS}
        below = entries.pop(_SUB_IFDS, None)
        for places, counts in OFFSETS_AND_COUNTS:
            if places in entries and counts in entries:
                lengths = entries[counts].integers()
                entries[places] = self._numbers(self._parts(data, entries[places].integers(), lengths))
                entries[counts] = self._numbers(lengths)
        if below is not None and with_levels:
            below_it = (read_ifd(data, layout, level) for level in below.integers())
            levels = [self._put(data, layout, level, with_levels=False)[0] for level in below_it]
            entries[_SUB_IFDS] = self._numbers(levels)
        at = self._end()
        self._file.write(write_ifd(entries, at, big=self._big))
        return at, at + (8 + 20 * len(entries) if self._big else 2 + 12 * len(entries))

    def _parts(self, data: Data, places: tuple[int, ...], lengths: tuple[int, ...]) -> list[int]:
        """Copies strips or tiles; returns where they lie now."""
        if len(places) != len(lengths) or sum(lengths) > len(data):
            raise UnreadableScan("the parts of a page overlap, or are of no known size: save it again")
        moved = []
        for place, length in zip(places, lengths, strict=True):
            moved.append(self._end() if length else 0)
            self._file.writelines(pieces_of(data, place, place + length))
        return moved

    def _end(self) -> int:
        """Where something may be put: behind all, at an even byte."""
        end = self._file.seek(0, os.SEEK_END)
        return end + self._file.write(b"\0" * (end % 2))

    def _numbers(self, values: list[int] | tuple[int, ...]) -> Entry:
        return (long8s if self._big else longs)(*values)

    @property
    def _word(self) -> str:
        return "<Q" if self._big else "<I"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def can_copy(data: Data, number: int) -> bool:
    """Whether a page's coded bytes mean the same in a little-endian TIFF, and all that they need goes along.

    Raises as `pages_of`.
    """
    with translated("read"):
        layout = Layout.of(data)
        entries = inspect(data, pages_of(data)[number - 1].offset).entries
    if compression_code(entries) == _OLD_JPEG or not _has_parts(entries):
        return False
    wide = _BITS in entries and max(entries[_BITS].integers(), default=1) > 8
    return layout.order == "<" or not wide


def _has_parts(entries: Mapping[int, Entry]) -> bool:
    pairs = [(entries[a], entries[b]) for a, b in OFFSETS_AND_COUNTS if a in entries and b in entries]
    return bool(pairs) and all(len(a.integers()) == len(b.integers()) for a, b in pairs)
