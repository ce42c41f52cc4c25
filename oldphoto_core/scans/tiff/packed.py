"""TIFFs whose samples have 9 to 15 bits and lie packed, as some scanners write them: unpacked, and rescaled to 16 bits.

libvips reads whole bytes only. So the file is described to it anew, as rows of bytes: it undoes the compression, and
the samples are taken out of the bytes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import UnsupportedScan
from oldphoto_core.scans.container_metadata import ContainerMetadata
from oldphoto_core.scans.depths import bits_as_kind, spread
from oldphoto_core.scans.formats.one_piece import check_pixels
from oldphoto_core.scans.formats.reading import WholeDecoder
from oldphoto_core.scans.metadata.ifd import BrokenIfdError, Entry, first_integer, longs, read_ifd, shorts
from oldphoto_core.scans.scan import Pixels, ScanHeader
from oldphoto_core.scans.tiff import tags
from oldphoto_core.scans.tiff.faults import corrected, inspect
from oldphoto_core.scans.tiff.parts import Grid
from oldphoto_core.scans.views import Data
from oldphoto_core.scans.vips import open_image, translated

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _CHANNELS = 256, 257, 258, 259, 262, 277
_PREDICTOR, _PLANAR, _TILE_WIDTH, _EXTRA, _SAMPLE = 317, 284, 322, 338, 339
_TO_SAVE = "save it with 8 or 16 bits"
_OF_BYTES = (1, 5, 8, 32773, 32946, 34925, 50000)
"""Compressions that know nothing of samples: none, LZW, Deflate, PackBits, LZMA, Zstandard."""
_AT_ONCE = 2**20
"""Samples that are taken out of their bytes together: each of their bits is a byte meanwhile."""


def is_packed(data: Data) -> bool:
    """Whether the first directory's samples have 9 to 15 bits."""
    try:
        return 8 < first_integer(read_ifd(data, only=(_BITS,)), _BITS, 1) < 16
    except BrokenIfdError:
        return False


def read_header(data: Data) -> ScanHeader:
    """Size, channels and depth, as decoded, without decoding a pixel."""
    return replace(stored_header(data), bits=16)


def stored_header(data: Data) -> ScanHeader:
    """The same with the depth that the file has."""
    entries = inspect(data).entries
    width, height, channels = (first_integer(entries, tag, 1) for tag in (_WIDTH, _HEIGHT, _CHANNELS))
    return ScanHeader("tiff", width, height, channels, first_integer(entries, _BITS, 1))


def check_kind(data: Data) -> None:
    """Raises UnsupportedScan for what is not grey or RGB in whole numbers, ScanTooLarge over `MOST_PIXELS`."""
    entries, header = inspect(data).entries, stored_header(data)
    check_pixels(header, f"a TIFF of {header.bits} bits a channel and", _TO_SAVE)
    kind, code = first_integer(entries, _PHOTOMETRIC, -1), first_integer(entries, _COMPRESSION, 1)
    colours = {0: 1, 1: 1, 2: 3}.get(kind)
    if colours is None or header.bands - colours not in (0, 1):
        raise UnsupportedScan(f"{header.bits} bits a channel, {header.bands} channels of kind {kind}: {_TO_SAVE}")
    if code not in _OF_BYTES or first_integer(entries, _PREDICTOR, 1) != 1:
        raise UnsupportedScan(f"{header.bits} bits a channel compressed as {tags.compression_of(data)}: {_TO_SAVE}")
    if {*entries[_BITS].integers()} != {header.bits} or first_integer(entries, _SAMPLE, 1) != 1:
        raise UnsupportedScan(f"channels of different depths, or of other numbers than whole ones: {_TO_SAVE}")


def decode(data: Data) -> Pixels:
    """HWC uint16: grey or RGB, and the channel beside them if there is one; rescaled from the depth of the file."""
    entries, header = inspect(data).entries, stored_header(data)
    grid = Grid.of(entries)
    assert grid is not None
    with translated("decoded"):
        image = open_image(corrected(data, _as_bytes(entries, grid, header.width)), "tiff")
        rows: NDArray[np.uint8] = image.numpy().reshape(header.height, -1, grid.planes)
    pixels = np.empty((header.height, header.width, header.bands), np.uint16)
    across = -(-header.width // grid.width)
    step = max(1, _AT_ONCE // (header.width * header.bands))
    for top in range(0, header.height, step):
        part = rows[top : top + step].transpose(0, 2, 1).reshape(-1, grid.planes, across, rows.shape[1] // across)
        samples = _samples(part, grid.bits)[..., : grid.width * grid.channels]
        samples = samples.reshape(len(part), grid.planes, across * grid.width, grid.channels)[:, :, : header.width]
        pixels[top : top + step] = samples.transpose(0, 2, 1, 3).reshape(len(part), header.width, header.bands)
    levels = spread(pixels, grid.bits)
    if first_integer(entries, _PHOTOMETRIC, 1) == 0:
        levels[..., 0] = 65_535 - levels[..., 0]
    return levels


def read_container_metadata(data: Data) -> ContainerMetadata:
    """Everything but the pixels."""
    return replace(tags.read_container_metadata(data), converted=bits_as_kind(stored_header(data).bits))


def _as_bytes(entries: Mapping[int, Entry], grid: Grid, width: int) -> dict[int, Entry]:
    """The directory of the same file, as if each byte were a pixel."""
    row = -(-grid.width * grid.channels * grid.bits // 8)
    other = {tag: entry for tag, entry in entries.items() if tag not in (_EXTRA, _PREDICTOR, _SAMPLE)}
    other |= {_WIDTH: longs(row * -(-width // grid.width)), _BITS: shorts(*[8] * grid.planes)}
    other |= {_CHANNELS: shorts(grid.planes), _PHOTOMETRIC: shorts(2 if grid.planes > 2 else 1)}
    if grid.planes in (2, 4):
        other[_EXTRA] = shorts(0)
    return {**other, _TILE_WIDTH: longs(row)} if grid.tiled else other


def _samples(rows: NDArray[np.uint8], bits: int) -> NDArray[np.uint16]:
    """Whole samples out of the last axis' bytes, of which the upper bit comes first."""
    count = rows.shape[-1] * 8 // bits
    each = np.unpackbits(rows, axis=-1)[..., : count * bits].reshape(*rows.shape[:-1], count, bits)
    samples: NDArray[np.uint16] = np.zeros(each.shape[:-1], np.uint16)
    for bit in range(bits):
        samples |= each[..., bit].astype(np.uint16) << np.uint16(bits - 1 - bit)
    return samples


DECODER = WholeDecoder(
    read_header=read_header,
    stored_header=stored_header,
    check_kind=check_kind,
    decode=decode,
    read_container_metadata=read_container_metadata,
)
