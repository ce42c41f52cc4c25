"""TIFFs and JPEGs as writers with errors make them: built byte by byte, so that each has one error and no other."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oldphoto_core.scans.metadata.ifd import Entry, longs, shorts, write_ifd

Tags = Mapping[int, Entry | None]


def tiff(*pictures: tuple[np.ndarray, Tags], following: int = 0, order: str = "<", big: bool = False) -> bytes:
    """An uncompressed TIFF of pages, each HWC pixels in one strip and tags in addition to its own (None: without it).

    `following`: what the last directory says of the next one.
    """
    data = (b"II" if order == "<" else b"MM") + struct.pack(order + ("HHHQ" if big else "HI"), *_head(big))
    pointer = 8 if big else 4
    for number, (pixels, tags) in enumerate(pictures, start=1):
        at = len(data)
        strip = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        data += strip + b"\0" * (len(strip) % 2)
        entries = {tag: entry for tag, entry in {**_tags(pixels, at, len(strip)), **tags}.items() if entry is not None}
        start, word = len(data), "Q" if big else "I"
        link = following if number == len(pictures) else 0
        data = data[:pointer] + struct.pack(order + word, start) + data[pointer + struct.calcsize(word) :]
        data += write_ifd(entries, start, big=big, order=order, following=link)
        pointer = start + (8 + 20 * len(entries) if big else 2 + 12 * len(entries))
        data += b"\0" * (len(data) % 2)
    return data


def packed(pixels: np.ndarray, bits: int) -> bytes:
    """Rows of samples of so many bits without a gap between them, the upper bit first; each row ends with its byte."""
    rows = pixels.reshape(len(pixels), -1)
    each = rows[..., np.newaxis] >> np.arange(bits - 1, -1, -1) & 1
    return np.packbits(each.astype(np.uint8).reshape(len(rows), -1), axis=1).tobytes()


def of_strip(strip: bytes, size: tuple[int, int], tags: Tags) -> bytes:
    """A TIFF of one strip that is coded already; `size` is (height, width)."""
    body = strip + b"\0" * (len(strip) % 2)
    own: dict[int, Any] = {256: longs(size[1]), 257: longs(size[0]), 273: longs(8), 278: longs(size[0])}
    entries = {tag: entry for tag, entry in {**own, 279: longs(len(strip)), **tags}.items() if entry is not None}
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + write_ifd(entries, 8 + len(body))


def shuffled(data: bytes) -> bytes:
    """A little-endian TIFF with the tags of its directory the other way round."""
    at = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[at : at + 2])[0]
    table = [data[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(count)]
    return data[: at + 2] + b"".join(reversed(table)) + data[at + 2 + 12 * count :]


def segment(marker: int, payload: bytes, length: int | None = None) -> bytes:
    """A segment of a JPEG; `length`: what it states, in place of its own."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2 if length is None else length) + payload


def mpf(sizes: Sequence[tuple[int, int]], picture: int) -> bytes:
    """The index of an MPO as a segment behind SOI; `sizes`: (type, bytes) of each picture behind a first of `picture`
    bytes, this segment included."""
    count = len(sizes) + 1
    place, table = max(10, picture) - 10, struct.pack("<IIIHH", 0x030000, picture, 0, 0, 0)
    for kind, size in sizes:
        table += struct.pack("<IIIHH", kind, size, place, 0, 0)
        place += size
    entries = {0xB000: Entry(7, b"0100"), 0xB001: longs(count), 0xB002: Entry(7, table)}
    return segment(0xE2, b"MPF\0" + b"II*\0\x08\0\0\0" + write_ifd(entries, 8))


def _head(big: bool) -> tuple[int, ...]:
    return (43, 8, 0, 0) if big else (42, 0)


def _tags(pixels: np.ndarray, at: int, size: int) -> dict[int, Entry]:
    height, width, channels = pixels.shape
    return {
        256: longs(width),
        257: longs(height),
        258: shorts(*[8 * pixels.itemsize] * channels),
        259: shorts(1),
        262: shorts(2 if channels > 2 else 1),
        273: longs(at),
        277: shorts(channels),
        278: longs(height),
        279: longs(size),
    }
