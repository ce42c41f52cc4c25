"""The seam to libvips: its calls go through here, and its errors leave as ScanErrors."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyvips

from oldphoto_core.errors import OldPhotoError, ScanTooLarge, TruncatedScan, UnreadableScan, UnsupportedScan
from oldphoto_core.scans.raw import RawPixels
from oldphoto_core.scans.scan import Pixels
from oldphoto_core.scans.views import AssembledView, Data, FileView, PageView

# libvips remembers its last operations, and with them whole scans: in a batch nothing is ever asked twice
pyvips.cache_set_max(0)
logging.getLogger("pyvips").setLevel(logging.ERROR)

_CUT_SHORT = (
    "premature end",
    "truncated",
    "unexpected end",
    "end of file",
    "end-of-file",
    "not enough data",
    "short read",
)
_NOT_BUILT_IN = ("not configured", "not implemented", "unsupported")
_OTHER_SAMPLES = {"samples out of range": "64-bit float", "not a whole number of bytes": "samples of an odd depth"}
"""What libvips says of samples that it does not read, and what they are."""
_IN_ONE_PIECE = "cumulated memory allocation"
"""libtiff takes 50 MiB at most for a strip or tile, compressed or not."""
_DISK_FULL = ("no space left", "disk quota exceeded", "file too large")
_SLAB = 8 * 2**20
"""Bytes of pixels that are decoded at once."""


def open_image(data: Data, loader: str, *, strict: bool = False) -> Any:
    """A pyvips image whose header has been read and whose pixels have not. `strict` fails on warnings, too.

    `loader` is libvips' name of it.
    """
    how: dict[str, Any] = {"fail_on": "warning" if strict else "error", "access": "sequential"}
    if isinstance(data, PageView):
        how["page"] = data.index
        data = data.whole
    with translated("read"):
        if isinstance(data, AssembledView) and data.is_in_memory:
            data = data[:]
        if isinstance(data, bytes):
            return getattr(pyvips.Image, f"{loader}load_buffer")(data, **how)
        if isinstance(data, AssembledView):
            source = _source_of(data)
        else:
            # by descriptor, so that messages name no path, as they name none for bytes; opened anew, as images move it
            with open(data.path, "rb") as file:
                source = pyvips.Source.new_from_descriptor(file.fileno())
        image = getattr(pyvips.Image, f"{loader}load_source")(source, **how)
        image._references.append(source)  # as pyvips' own `new_from_source` does: its handlers must outlive the image
        return image


def _source_of(data: AssembledView) -> Any:
    """What libvips reads as it would the assembled file. (No copy is made: decoders may write to no file.)"""
    whole, at = data.opened_anew(), 0

    def read(size: int) -> bytes:
        nonlocal at
        piece = whole[at : at + size]
        at += len(piece)
        return piece

    def seek(offset: int, whence: int) -> int:
        nonlocal at
        at = (0, at, len(whole))[whence] + offset
        return at

    source = pyvips.SourceCustom()
    source.on_read(read)
    source.on_seek(seek)
    return source


def image_of(pixels: Pixels | RawPixels) -> Any:
    """A pyvips image of HWC or HW pixels, with 1 or 3 channels; those on disk are read as the image is."""
    height, width, channels = (*pixels.shape, 1)[:3]
    wide = pixels.dtype == np.uint16
    if isinstance(pixels, RawPixels):
        with FileView(pixels.path) as data:
            image = open_image(data, "tiff")
    else:
        rows = np.ascontiguousarray(pixels)
        image = pyvips.Image.new_from_memory(rows.data, width, height, channels, "ushort" if wide else "uchar")
    kind = ("grey16" if wide else "b-w") if channels == 1 else ("rgb16" if wide else "srgb")
    return image.copy(interpretation=kind)


def srgb_profile() -> bytes:
    """Return libvips's own sRGB profile, which colours are converted into."""
    return bytes(pyvips.Operation.call("profile_load", "srgb"))


def black(height: int, width: int) -> Any:
    """A pyvips image of grey of 8 bits that is 0 everywhere, and takes no memory."""
    return pyvips.Image.black(width, height).copy(interpretation="b-w")


def dtype_of(image: Any) -> np.dtype[Any]:
    """uint8, uint16 or float32, for an image of one of them."""
    return np.dtype({"ushort": np.uint16, "float": np.float32}.get(image.format, np.uint8))


def slabs_of(image: Any) -> Iterator[tuple[int, Pixels]]:
    """The pixels from top to bottom as (top, HWC rows), so that only some are in memory at any time."""
    dtype = dtype_of(image)
    step = max(1, _SLAB // (image.width * image.bands * dtype.itemsize))
    region = pyvips.Region.new(image)
    for top in range(0, image.height, step):
        height = min(step, image.height - top)
        with translated("decoded"):
            data = region.fetch(0, top, image.width, height)
        yield top, np.frombuffer(data, dtype).reshape(height, image.width, image.bands)


@contextlib.contextmanager
def translated(done: str) -> Iterator[None]:
    """Raises what goes wrong inside as a ScanError.

    Pillow and the parsers of this room answer damaged files with errors of half a dozen kinds: all of them mean that
    the file is not what it says.
    """
    try:
        yield
    except OldPhotoError:
        raise
    except MemoryError as error:
        raise ScanTooLarge("the machine has not enough memory for this scan: lower the bound on megapixels") from error
    except Exception as error:
        message = _one_line(error)
        if "out of memory" in message.lower():
            raise ScanTooLarge(f"cannot be {done}: {message}: lower the bound on megapixels") from error
        if any(phrase in message.lower() for phrase in _DISK_FULL):
            raise ScanTooLarge(f"cannot be {done}: {message}: make room there, or use another folder") from error
        if _IN_ONE_PIECE in message.lower():
            way_out = "save it again in more, smaller ones"
            raise UnsupportedScan(f"cannot be {done}: a strip or tile of more than 50 MiB: {way_out}") from error
        if samples := [name for phrase, name in _OTHER_SAMPLES.items() if phrase in message.lower()]:
            way_out = f"{samples[0]}: save it as grey or RGB of 8 or 16 bits"
            raise UnsupportedScan(f"cannot be {done}: {message}: {way_out}") from error
        if any(phrase in message.lower() for phrase in _NOT_BUILT_IN):
            raise UnsupportedScan(f"cannot be {done}: {message}: save it again with another compression") from error
        kind = TruncatedScan if any(phrase in message.lower() for phrase in _CUT_SHORT) else UnreadableScan
        way_out = ": open it in another program, or copy it again" if done != "written" else ""
        raise kind(f"cannot be {done}: {message}{way_out}") from error


def _one_line(error: Exception) -> str:
    text = error.detail if isinstance(error, pyvips.Error) and error.detail else str(error)
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(lines)) or type(error).__name__
