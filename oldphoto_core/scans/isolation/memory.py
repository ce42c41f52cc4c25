"""Files without a name, of which only a descriptor travels: all that is large lies in them.

Nothing of them could be left behind, and the kernel frees them with the last process that holds them. This process
makes them all and fixes their size (seals, Linux): to cut one short while it is mapped would end whoever maps it.
Their bytes are not sealed: that can take the kernel a millisecond, and a decoder may give any pixels anyway.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oldphoto_core.folders import private_folder

with contextlib.suppress(ImportError):  # Windows has neither, and no decoders
    import fcntl
    import resource

_CAN_SEAL = hasattr(os, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """Pixels that a decoder made, one row behind the other."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape, dtype=object)) * np.dtype(self.dtype).itemsize


@contextlib.contextmanager
def holding(data: bytes) -> Iterator[int]:
    """A descriptor of such a file that holds these bytes."""
    with _nameless(len(data)) as file:
        _write(file, memoryview(data), 0)
        yield file


@contextlib.contextmanager
def room(size: int) -> Iterator[int]:
    """A descriptor of such a file of so many bytes, for another process to fill; it takes what is filled of it."""
    with _nameless(size) as file:
        yield file


@contextlib.contextmanager
def _nameless(size: int) -> Iterator[int]:
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("oldphoto", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        file, path = tempfile.mkstemp(dir=private_folder())
        os.unlink(path)
    try:
        os.ftruncate(file, size)
        if _CAN_SEAL:
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
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


def put(file: int, arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Fills such a file with arrays, one behind the other."""
    at = 0
    for array in arrays:
        if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == 0:
            _map(file, array, at)
        else:
            _write(file, np.ascontiguousarray(array).data.cast("B"), at)
        at += array.nbytes


def _write(file: int, view: memoryview, at: int) -> None:
    while view:
        # one write takes 2 GiB at most
        count = os.pwrite(file, view, at)
        view, at = view[count:], at + count


def _map(file: int, array: npt.NDArray[Any], at: int) -> None:
    """The same by a mapping, which costs twice as much and is allowed where no file may be written to."""
    page = at % mmap.ALLOCATIONGRANULARITY
    with mmap.mmap(file, page + array.nbytes, mmap.MAP_SHARED, offset=at - page) as memory:
        np.frombuffer(memory, array.dtype, array.size, page).reshape(array.shape)[...] = array


def planes_of(file: int, planes: Sequence[Plane]) -> list[npt.NDArray[Any]]:
    """Arrays that are the memory of such a file, without a copy; it is freed with the last of them."""
    size = sum(plane.size for plane in planes)
    # private: what is written into the arrays is the writer's own copy
    memory = mmap.mmap(file, size, access=mmap.ACCESS_COPY) if _CAN_SEAL else _copied(file, size)
    return list(_arrays(memory, planes))


def rows_of(file: int, planes: Sequence[Plane]) -> list[npt.NDArray[Any]]:
    """Copies of the arrays, of memory that will be filled again."""
    return list(_arrays(_copied(file, sum(plane.size for plane in planes)), planes))


def _copied(file: int, size: int) -> bytearray:
    copy, at = bytearray(size), 0
    while at < size:
        # one read gives 2 GiB at most
        if not (count := os.preadv(file, [memoryview(copy)[at:]], at)):
            raise EOFError("the process that filled the memory cut it short")
        at += count
    return copy


def _arrays(memory: Any, planes: Sequence[Plane]) -> Iterator[npt.NDArray[Any]]:
    at = 0
    for plane in planes:
        dtype = np.dtype(plane.dtype)
        yield np.frombuffer(memory, dtype, plane.size // dtype.itemsize, at).reshape(plane.shape)
        at += plane.size
