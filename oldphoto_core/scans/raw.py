"""Pixels on disk: written and read in rows, by any thread, so that a picture of any size takes no memory."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oldphoto_core.errors import ScanError, ScanTooLarge, UnsupportedScan
from oldphoto_core.scans.metadata.ifd import Entry, as_big_tiff, long8s, shorts

if TYPE_CHECKING:
    from types import TracebackType

_STRIP = 256 * 2**10
"""Bytes of pixels that libvips reads at once."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class RawPixels:
    """The pixels of one picture in a file: HWC, channels side by side, little-endian.

    The file is an uncompressed BigTIFF, so that libvips streams it and any viewer shows it. It is read and written by
    position and never mapped: nothing of it counts as this process's memory, and threads need no lock.
    """

    def __init__(self, path: str, shape: tuple[int, int, int], dtype: np.dtype[Any], *, is_there: bool = False) -> None:
        self.path = path
        self.height, self.width, self.channels = shape
        self.dtype = dtype
        self._row = self.width * self.channels * dtype.itemsize
        head = _head(shape, dtype)
        self._start = len(head)
        if is_there:
            with self._named("opened"):
                self._file = io.FileIO(path, "r+")
            return
        with self._named("created"):
            self._file = io.FileIO(path, "w+")
            try:
                self._put(memoryview(head), 0)
                self._file.truncate(self._start + self.height * self._row)
            except OSError:
                self.discard()
                raise

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], height: int, width: int, channels: int, dtype: npt.DTypeLike
    ) -> RawPixels:
        """Makes the file, all zeros and sparse, in place of any that is there.

        Args:
            path: In a folder that exists.
            height: Pixels.
            width: Pixels.
            channels: 1 or 3.
            dtype: uint8 or uint16.

        Raises:
            UnsupportedScan: pixels of another kind.
            ScanTooLarge: there is no room for it.
            ScanError: it cannot be created.
        """
        shape, dtype = (height, width, channels), np.dtype(dtype)
        if min(shape) < 1 or channels not in (1, 3) or dtype not in (np.uint8, np.uint16):
            raise UnsupportedScan(f"pixels {shape} {dtype} are none of a photo: 1 or 3 channels of uint8 or uint16")
        return cls(os.fspath(path), shape, dtype)

    @classmethod
    def open(cls, path: str | os.PathLike[str], shape: tuple[int, int, int], dtype: npt.DTypeLike) -> RawPixels:
        """A file that `create` made with this shape (height, width, channels) and dtype, in this process or another.

        Raises:
            ScanError: it cannot be opened.
        """
        return cls(os.fspath(path), shape, np.dtype(dtype), is_there=True)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    def read(self, top: int, bottom: int) -> npt.NDArray[Any]:
        """HWC of the rows from `top` to before `bottom`: an array of the caller's own.

        Raises:
            UnsupportedScan: rows that the picture does not have.
            ScanError: the file cannot be read, or was closed.
        """
        self._check_rows(top, bottom)
        rows = np.empty((bottom - top, self.width, self.channels), self.dtype)
        view, at = rows.data.cast("B"), self._start + top * self._row
        with self._named("read"):
            while view:
                # one read gives 2 GiB at most
                count = os.preadv(self._file.fileno(), [view], at)
                if not count:
                    raise OSError(errno.EIO, "it ends before its pixels do")
                view, at = view[count:], at + count
        return rows

    def write(self, top: int, rows: npt.NDArray[Any]) -> None:
        """Puts HWC rows in place, from `top` on.

        Raises:
            UnsupportedScan: rows of another width, channels or dtype, or that the picture does not have.
            ScanTooLarge: the disk is full.
            ScanError: the file cannot be written, or was closed.
        """
        if rows.ndim != 3 or rows.shape[1:] != self.shape[1:] or rows.dtype != self.dtype:
            raise UnsupportedScan(f"rows {rows.shape} {rows.dtype} do not fit into {self}: give whole rows of its kind")
        self._check_rows(top, top + rows.shape[0])
        with self._named("written"):
            self._put(np.ascontiguousarray(rows).data.cast("B"), self._start + top * self._row)

    def slabs(self, most: int = 8 * 2**20) -> Iterator[tuple[int, int]]:
        """(top, bottom) of slabs of rows that together are the picture, each of about `most` bytes."""
        step = max(1, most // self._row)
        yield from ((top, min(top + step, self.height)) for top in range(0, self.height, step))

    def close(self) -> None:
        """Lets go of the file, which stays; closing twice is no error."""
        self._file.close()

    def discard(self) -> None:
        """Closes and removes the file."""
        self.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _put(self, view: memoryview, at: int) -> None:
        while view:
            count = os.pwrite(self._file.fileno(), view, at)
            view, at = view[count:], at + count

    def _check_rows(self, top: int, bottom: int) -> None:
        if not 0 <= top < bottom <= self.height:
            raise UnsupportedScan(f"rows {top} to {bottom} are not in {self}: stay between 0 and {self.height}")

    @contextlib.contextmanager
    def _named(self, done: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            message = f"{self.path} cannot be {done}: {why}: make room there, or use another folder"
            raise (ScanTooLarge if getattr(error, "errno", None) in _FULL else ScanError)(message) from error

    def __enter__(self) -> RawPixels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return f"{self.path} {self.shape} {self.dtype}"


@contextlib.contextmanager
def new_pixels(
    folder: str | os.PathLike[str], name: str, shape: tuple[int, int, int], dtype: npt.DTypeLike
) -> Iterator[RawPixels]:
    """`RawPixels.create` in a folder, under a name that begins with `name` and that no other file has.

    What is done inside fills it: when that fails the file is discarded, else it stays, open.
    """
    pixels = new_pixels_at(folder, name, shape, dtype)
    try:
        yield pixels
    except BaseException:
        pixels.discard()
        raise


def new_pixels_at(
    folder: str | os.PathLike[str], name: str, shape: tuple[int, int, int], dtype: npt.DTypeLike
) -> RawPixels:
    """The same, for whoever discards it."""
    return RawPixels.create(os.path.join(folder, f"{name}-{secrets.token_hex(8)}.tif"), *shape, dtype)


def _head(shape: tuple[int, int, int], dtype: np.dtype[Any]) -> bytes:
    """What stands before the pixels: a TIFF header and a directory that finds them in strips behind it."""
    height, width, channels = shape
    row = width * channels * dtype.itemsize
    rows = max(1, _STRIP // row)
    tops = range(0, height, rows)

    def head(start: int) -> bytes:
        entries: dict[int, Entry] = {
            256: long8s(width),
            257: long8s(height),
            258: shorts(*[dtype.itemsize * 8] * channels),
            259: shorts(1),
            262: shorts(2 if channels == 3 else 1),
            273: long8s(*(start + top * row for top in tops)),
            277: shorts(channels),
            278: long8s(rows),
            279: long8s(*((min(top + rows, height) - top) * row for top in tops)),
        }
        return as_big_tiff(entries)

    return head(len(head(0)))
