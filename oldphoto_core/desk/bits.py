"""Masks between page and server: a bit a pixel, row by row, compressed; exact, and bounded before it is unpacked."""

from __future__ import annotations

import gzip
import zlib

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import UsageError

MOST_BYTES = 96 * 2**20
"""Of a compressed mask: more than one of 500 megapixels takes in bits."""


def packed(mask: NDArray[np.bool_]) -> bytes:
    """HW bool -> bits, most significant first, each row filled up to whole bytes; gzip."""
    return gzip.compress(np.packbits(mask, axis=1).tobytes(), 1, mtime=0)


def unpacked(data: bytes, height: int, width: int) -> NDArray[np.bool_]:
    """The inverse. Raises UsageError for anything but a mask of this size; no more than that is unpacked."""
    row = -(-width // 8)
    expected = height * row
    try:
        inflating = zlib.decompressobj(wbits=31)
        raw = inflating.decompress(data, expected + 1)
    except zlib.error as error:
        raise UsageError(f"the mask is not compressed as gzip: {error}") from error
    if len(raw) != expected or not inflating.eof:
        raise UsageError(f"the mask is not one of {width} x {height} pixels, which has {expected} bytes")
    bits = np.frombuffer(raw, np.uint8).reshape(height, row)
    return np.unpackbits(bits, axis=1, count=width).astype(bool)
