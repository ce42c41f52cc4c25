"""Masks of damage: pictures of a photo's size in which white is what is damaged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyvips

from oldphoto_core.errors import MaskMismatch
from oldphoto_core.scans.reader import read_scan
from oldphoto_core.scans.vips import translated


def read_mask(data: bytes, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """HW bool, True = damaged: where a channel reaches half its range and the mask is not transparent.

    Args:
        data: A file of any format that `read_scan` takes.
        size: (height, width) of the photo, in stored order.

    Raises:
        MaskMismatch: the mask has another size.
        ScanError: it cannot be read.
    """
    mask = read_scan(data)
    if (mask.height, mask.width) != size:
        raise MaskMismatch(
            f"the mask has {mask.width} x {mask.height} pixels, its photo {size[1]} x {size[0]}: make it the same size"
        )
    half = 1 << (mask.bits - 1)
    damaged: npt.NDArray[np.bool_] = mask.pixels.max(axis=2) >= half
    return damaged if mask.alpha is None else damaged & (mask.alpha >= half)


def write_mask(mask: npt.NDArray[np.bool_]) -> bytes:
    """An 8-bit grey PNG of an HW bool mask, 255 = damaged."""
    values = np.where(np.asarray(mask, dtype=bool), np.uint8(255), np.uint8(0))
    height, width = values.shape
    with translated("written"):
        image = pyvips.Image.new_from_memory(values.data, width, height, 1, "uchar").copy(interpretation="b-w")
        return bytes(image.pngsave_buffer(compression=6, keep=0))
