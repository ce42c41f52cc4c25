"""Masks between page and server: a bit a pixel, row by row, compressed; exact, and bounded before it is unpacked."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import UsageError

MOST_BYTES = 96 * 2**20
"""Of compressed masks: more than one of 500 megapixels takes in bits."""


def packed(*masks: NDArray[np.bool_]) -> bytes:
    """HW bool each -> bits, most significant first, each row filled up to whole bytes, one after another; gzip."""
    return gzip.compress(b"".join(np.packbits(mask, axis=1).tobytes() for mask in masks), 1, mtime=0)


def unpacked(data: bytes, height: int, width: int) -> NDArray[np.bool_]:
    """The inverse for one mask. Raises UsageError for anything else; no more than its size is unpacked."""
    (mask,) = unpacked_each(data, [(height, width)])
    return mask


def unpacked_each(data: bytes, sizes: Sequence[tuple[int, int]]) -> Iterator[NDArray[np.bool_]]:
    """The inverse for several masks, of which one is in memory at a time.

    Args:
        data: What `packed` returns.
        sizes: (height, width) of each.

    Raises:
        UsageError: anything but masks of these sizes; after the last one, if more follows.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        for height, width in sizes:
            row = -(-width // 8)
            raw = _read(file, height * row)
            if len(raw) != height * row:
                raise UsageError(f"the mask is not one of {width} x {height} pixels, which has {height * row} bytes")
            yield np.unpackbits(np.frombuffer(raw, np.uint8).reshape(height, row), axis=1, count=width).astype(bool)
        if _read(file, 1):
            raise UsageError(f"there is more than {len(sizes)} masks of the sizes that their pages have")


def _read(file: gzip.GzipFile, count: int) -> bytes:
    try:
        return file.read(count)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"the mask is not compressed as gzip: {error}") from error
