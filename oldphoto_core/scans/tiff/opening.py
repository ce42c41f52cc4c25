"""TIFFs given to libvips: opened and decoded, with what its loader would get wrong put right or refused."""

from __future__ import annotations

import contextlib
from typing import Any

from oldphoto_core.errors import ScanError, ScanTooLarge, UnreadableScan, UnsupportedScan
from oldphoto_core.scans.formats.reading import Take
from oldphoto_core.scans.metadata.ifd import BrokenIfdError, read_ifd
from oldphoto_core.scans.tiff import tags
from oldphoto_core.scans.views import Data
from oldphoto_core.scans.vips import open_image

_MOST_LAB = 512 * 2**20
"""Bytes of a file of 8-bit CIELab."""


def open_tiff(data: Data, strict: bool) -> Any:
    """`open_image`, also of 8-bit CIELab, for which libvips makes an image that it refuses itself."""
    with contextlib.suppress(BrokenIfdError):  # whoever opens it says what is wrong with it
        tags.check_coding(read_ifd(data, only=tags.OF_CODING))
    patch = tags.lab_as_rgb(data)
    if patch is None:
        image = open_image(data, "tiff", strict=strict)
        if image.interpretation == "cmyk" and image.bands == 5 and not tags.has_alpha(data):
            raise UnsupportedScan("a TIFF of CMYK and a fifth ink: save it as RGB")
        return image
    if len(data) > _MOST_LAB:
        raise ScanTooLarge(
            f"a TIFF of 8-bit CIELab of {len(data) / 2**20:.0f} MiB; it is decoded from a copy in memory, and "
            f"{_MOST_LAB / 2**20:.0f} MiB are the bound for that: save it as RGB"
        )
    at, as_rgb = patch
    patched = b"".join((data[:at], as_rgb, data[at + len(as_rgb) :]))
    return open_image(patched, "tiff", strict=strict).copy(interpretation="lab")


def decode(data: Data, image: Any, take: Take) -> tuple[Any, tuple[str, ...]]:
    """What `take` makes of an opened image, and no remarks; of a fax, warnings are errors.

    Of a strip that ends before its rows do libtiff only warns, and leaves the rest white.
    """
    if not tags.is_fax(data):
        return take(image), ()
    try:
        return take(open_tiff(data, strict=True)), ()
    except ScanTooLarge:
        raise
    except ScanError as error:
        raise UnreadableScan(f"damaged data inside its CCITT (fax) compression: copy it again ({error})") from error
