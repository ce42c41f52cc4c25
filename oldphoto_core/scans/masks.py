"""Masks of damage: pictures of a photo's size in which white is what is damaged."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from oldphoto_core.errors import MaskMismatch
from oldphoto_core.scans.formats import writer_of
from oldphoto_core.scans.raw import RawPixels, new_pixels
from oldphoto_core.scans.reader import read_scan, spool_scan
from oldphoto_core.scans.scan import Pixels, Scan, ScanHeader, SpooledScan
from oldphoto_core.scans.vips import black, image_of, translated

MaskFormat = Literal["png", "tiff"]
"""Formats whose writers have `mask_options`."""


def read_mask(data: bytes, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """HW bool, True = damaged: where a channel reaches half its range and the mask is not transparent.

    Args:
        data: A file of any format that `read_scan` takes.
        size: (height, width) of the photo, in stored order.

    Raises:
        MaskMismatch: the mask has another size.
        ScanError: it cannot be read.
    """
    return damage_of(read_scan(data), size)


def damage_of(mask: Scan, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """`read_mask` of a file that was read."""
    check_mask_size(mask, size)
    return _damaged(mask.pixels, None if mask.encoding.unspecified_channel else mask.alpha, mask.bits)


def spool_mask(path: str | os.PathLike[str], folder: str | os.PathLike[str], size: tuple[int, int]) -> RawPixels:
    """`read_mask` from file to file: a file in `folder` of one channel, uint8, 255 = damaged and 0 = not.

    Args:
        path: A file of any format that `spool_scan` takes.
        folder: Where the file is made; the caller removes it.
        size: (height, width) of the photo, in stored order.

    Raises:
        MaskMismatch: the mask has another size.
        ScanError: it cannot be read, or the folder has no room; nothing is left there.
    """
    return spool_damage(spool_scan(path, folder), folder, size)


def spool_damage(mask: SpooledScan, folder: str | os.PathLike[str], size: tuple[int, int]) -> RawPixels:
    """`spool_mask` of a file that was spooled, whose own pixels are removed."""
    try:
        check_mask_size(mask, size)
        with new_pixels(folder, "mask", (*size, 1), np.uint8) as damage:
            transparency = None if mask.encoding.unspecified_channel else mask.alpha
            for top, bottom in mask.pixels.slabs():
                alpha = None if transparency is None else transparency.read(top, bottom)[..., 0]
                damage.write(top, _as_white(_damaged(mask.pixels.read(top, bottom), alpha, mask.bits))[..., np.newaxis])
        return damage
    finally:
        mask.discard()


def write_mask(mask: npt.NDArray[np.bool_], format: MaskFormat = "png") -> bytes:  # noqa: A002
    """An 8-bit grey PNG (or TIFF, a page of the masks of a whole file) of an HW bool mask, 255 = damaged."""
    with translated("written"):
        image = image_of(_as_white(np.asarray(mask, dtype=bool)))
        return bytes(getattr(image, f"{format}save_buffer")(**_options(format)))


def write_mask_file(mask: RawPixels, path: str | os.PathLike[str], format: MaskFormat = "png") -> None:  # noqa: A002
    """The same as a file, from a mask on disk as `spool_mask` makes it.

    Raises:
        ScanTooLarge: the disk is full.
        ScanError: it cannot be written.
    """
    with translated("written"):
        getattr(image_of(mask), f"{format}save")(os.fspath(path), **_options(format))


def write_empty_mask(path: str | os.PathLike[str], size: tuple[int, int]) -> None:
    """A TIFF of a mask in which nothing is damaged; `size` is (height, width). Errors as `write_mask_file`."""
    with translated("written"):
        black(*size).tiffsave(os.fspath(path), **_options("tiff"))


def _options(format_: MaskFormat) -> dict[str, Any]:
    return {"keep": 0, **writer_of(format_).mask_options}


def check_mask_size(mask: Scan | SpooledScan | ScanHeader, size: tuple[int, int]) -> None:
    """Raises MaskMismatch when a mask has not the photo's size, (height, width)."""
    if (mask.height, mask.width) != size:
        raise MaskMismatch(
            f"the mask has {mask.width} x {mask.height} pixels, its photo {size[1]} x {size[0]}: make it the same size"
        )


def _damaged(pixels: Pixels, alpha: Pixels | None, bits: int) -> npt.NDArray[np.bool_]:
    half = 1 << (bits - 1)
    damaged: npt.NDArray[np.bool_] = pixels.max(axis=2) >= half
    return damaged if alpha is None else damaged & (alpha >= half)


def _as_white(damaged: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """255 where the mask is True, else 0."""
    return np.where(damaged, np.uint8(255), np.uint8(0))
