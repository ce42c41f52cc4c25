"""Encoding: new pixels in a file that keeps everything else of the scan."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from oldphoto_core.errors import ScanError, ScanTooLarge, UnsupportedScan
from oldphoto_core.scans import jpeg, png, tiff, webp
from oldphoto_core.scans.raw import RawPixels
from oldphoto_core.scans.scan import Format, Pixels, Scan, SpooledScan
from oldphoto_core.scans.views import Data, FileView
from oldphoto_core.scans.vips import image_of, translated

OutputFormat = Literal["keep", "tiff", "png", "jpeg"]

_DEFAULT_QUALITY = 95
_WEBP_QUALITY = 92
_BIGTIFF_FROM = 3_900_000_000
"""Bytes of pixels from which offsets may not fit into 32 bits."""


def write_scan(scan: Scan, pixels: Pixels, *, format: OutputFormat = "keep") -> bytes:  # noqa: A002
    """A file with these pixels and everything else from the scan: alpha, profile, resolution, orientation, metadata.

    The same input gives the same bytes. What was lossless stays so; a JPEG is no coarser than its source.

    Args:
        scan: What the file is derived from.
        pixels: HWC (or HW for grey) of the scan's own size, channels and dtype.
        format: "keep" for the scan's format (TIFF for JPEG 2000). JPEG holds 8 bits a channel, so 16 are rounded to 8.

    Raises:
        UnsupportedScan: pixels that do not fit the scan, transparency in a JPEG, a side too long for the format.
        ScanTooLarge: the memory does not suffice.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    target = _target(scan, pixels, format)
    with _written_as(target):
        image = _file_image(scan, pixels, target)
        encoded = bytes(getattr(image, f"{target}save_buffer")(**_options(scan, image, target)))
        return b"".join(_with_carried(scan, encoded, target))


def write_spooled(
    scan: SpooledScan,
    pixels: RawPixels,
    path: str | os.PathLike[str],
    *,
    format: OutputFormat = "keep",  # noqa: A002
) -> None:
    """`write_scan` from file to file: makes the file `path`, the same bytes, without the picture in memory.

    Args:
        scan: What the file is derived from.
        pixels: Of the scan's own size, channels and dtype.
        path: In a folder that exists; a file that is there is replaced, and none is left when this fails.
        format: "keep" for the scan's format (TIFF for JPEG 2000). JPEG holds 8 bits a channel, so 16 are rounded to 8.

    Raises:
        UnsupportedScan: pixels that do not fit the scan, transparency in a JPEG, a side too long for the format.
        ScanTooLarge: the disk is full.
    """
    path = os.fspath(path)
    target = _target(scan, pixels, format)
    with _written_as(target), _removed_on_failure(path):
        image = _file_image(scan, pixels, target)
        save, options = getattr(image, f"{target}save"), _options(scan, image, target)
        if target == "tiff":  # takes what is carried where it lies
            save(path, **options)
            tiff.insert_carried_in_place(path, scan)
            return
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path) or ".") as encoded:
            save(encoded.name, **options)
            with FileView(encoded.name) as data, open(path, "wb") as file:
                file.writelines(_with_carried(scan, data, target))


def _target(scan: Scan | SpooledScan, pixels: Pixels | RawPixels, format_: OutputFormat) -> Format:
    """The format to write, when the pixels are those of such a scan."""
    if pixels.shape != scan.pixels.shape or pixels.dtype != scan.pixels.dtype:
        raise UnsupportedScan(
            f"pixels {pixels.shape} {pixels.dtype} do not fit their scan {scan.pixels.shape} {scan.pixels.dtype}: "
            "restore to the same size, channels and depth"
        )
    if format_ != "keep":
        return format_
    # nothing here writes JPEG 2000; a TIFF holds all that it can hold
    return "tiff" if scan.format == "jpeg2000" else scan.format


@contextlib.contextmanager
def _written_as(target: Format) -> Iterator[None]:
    try:
        with translated("written"):
            yield
    except (UnsupportedScan, ScanTooLarge):
        raise
    except ScanError as error:
        raise UnsupportedScan(f"as {target} it {error}: choose another format") from error


@contextlib.contextmanager
def _removed_on_failure(path: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def _file_image(scan: Scan | SpooledScan, pixels: Pixels | RawPixels, target: Format) -> Any:
    """A pyvips image of all bands that the file will hold."""
    image = image_of(pixels)
    alpha = None if scan.alpha is None else image_of(scan.alpha)
    if target != "jpeg":
        return image if alpha is None else image.bandjoin(alpha)
    if alpha is not None and alpha.min() < 2**scan.bits - 1:
        raise UnsupportedScan("a JPEG cannot hold this scan's transparency: choose png or tiff")
    return image if scan.bits == 8 else _rounded(image)


def _rounded(image: Any) -> Any:
    levels = ((np.arange(65_536) + 128) // 257).astype(np.uint8)
    return image.maplut(image_of(levels[np.newaxis])).copy(interpretation="b-w" if image.bands == 1 else "srgb")


def _options(scan: Scan | SpooledScan, image: Any, target: Format) -> dict[str, Any]:
    """How libvips is to encode; no metadata, as what the source carried is put in byte for byte afterwards."""
    encoding = scan.encoding
    if target == "jpeg":
        how = {
            "Q": encoding.jpeg_quality or _DEFAULT_QUALITY,
            "subsample_mode": "on" if encoding.chroma == "4:2:0" else "off",
            "interlace": encoding.progressive,
            "optimize_coding": True,
        }
    elif target == "png":
        how = {"compression": 6, "filter": "all"}
    elif target == "webp":
        how = {"lossless": True, "exact": True} if encoding.lossless else {"Q": _WEBP_QUALITY, "alpha_q": 100}
    else:
        size = image.width * image.height * image.bands * scan.bits // 8
        how = {
            "compression": encoding.tiff_compression or "deflate",
            "predictor": "horizontal",
            "bigtiff": encoding.bigtiff or size > _BIGTIFF_FROM,
        }
    return {"keep": 0, **how}


def _with_carried(scan: Scan | SpooledScan, encoded: Data, target: Format) -> Iterator[bytes]:
    """The encoder's file with what the scan carried, in pieces."""
    if target == "jpeg":
        return jpeg.insert_carried(encoded, scan)
    if target == "png":
        return png.insert_carried(encoded, scan)
    if target == "webp":
        return webp.insert_carried(encoded, scan, scan.width, scan.height)
    return tiff.insert_carried(encoded, scan)
