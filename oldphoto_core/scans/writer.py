"""Encoding: new pixels in a file that keeps everything else of the scan."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from oldphoto_core.errors import ScanError, ScanTooLarge, UnsupportedScan
from oldphoto_core.scans import growth
from oldphoto_core.scans.carried import Encoding
from oldphoto_core.scans.formats import png, webp
from oldphoto_core.scans.jpeg import metadata as jpeg_metadata
from oldphoto_core.scans.metadata.xmp import Label, with_label
from oldphoto_core.scans.raw import RawPixels
from oldphoto_core.scans.scan import ONLY_READ, Format, OutputFormat, Pixels, Scan, SpooledScan
from oldphoto_core.scans.tiff import tags
from oldphoto_core.scans.views import Data, FileView
from oldphoto_core.scans.vips import image_of, translated

_DEFAULT_QUALITY = 95
_WEBP_QUALITY = 92
_WIDEST_TILE = 1024
"""Pixels; tiles of the master that are larger become smaller ones: a row of tiles is held in memory."""
_LOSSLESS = 0
"""Stands for a quality where there is none."""


def _unheard(_warning: str) -> None:
    return


def write_scan(
    scan: Scan,
    pixels: Pixels,
    *,
    format: OutputFormat = "keep",  # noqa: A002
    label: Label | None = None,
    max_bytes: int | None = None,
    warn: Callable[[str], None] = _unheard,
) -> bytes:
    """A file with these pixels and everything else from the scan: alpha, profile, resolution, orientation, metadata.

    The same input gives the same bytes. What was lossless stays so; a JPEG is no coarser than its source.

    Args:
        scan: What the file is derived from.
        pixels: HWC (or HW for grey) of the scan's own size, channels and dtype.
        format: "keep" for the scan's format (TIFF for JPEG 2000, HEIF, AVIF). JPEG holds 8 bits a channel: 16 are
            rounded to 8.
        label: What the file's XMP is to say of its making, besides what the scan's says.
        max_bytes: Of a JPEG or lossy WebP, the label apart: its quality gives way to this, down to 50.
        warn: Hears what could not be kept: quality, metadata that do not fit, XMP that cannot be read.

    Raises:
        UnsupportedScan: pixels that do not fit the scan, transparency in a JPEG, a side too long for the format.
        ScanTooLarge: the memory does not suffice.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    target = _target(scan, pixels, format)
    encoded = b""

    def encode(quality: int) -> int:
        nonlocal encoded
        image = _file_image(scan, pixels, target)
        encoded = bytes(getattr(image, f"{target}save_buffer")(**_options(scan, image, target, quality)))
        return len(encoded)

    with _written_as(target):
        carrying = replace(scan, metadata=_metadata(scan, target, label, warn))
        growth.encode_within(encode, _quality(scan, target), max_bytes, growth.carried_bytes(scan), warn)
        return b"".join(_with_carried(carrying, encoded, target))


def write_spooled(
    scan: SpooledScan,
    pixels: RawPixels,
    path: str | os.PathLike[str],
    *,
    format: OutputFormat = "keep",  # noqa: A002
    label: Label | None = None,
    max_bytes: int | None = None,
    warn: Callable[[str], None] = _unheard,
) -> None:
    """`write_scan` from file to file: makes the file `path`, the same bytes, without the picture in memory.

    Args:
        scan: What the file is derived from.
        pixels: Of the scan's own size, channels and dtype.
        path: In a folder that exists; a file that is there is replaced, and none is left when this fails.
        format: "keep" for the scan's format (TIFF for JPEG 2000, HEIF, AVIF). JPEG holds 8 bits a channel: 16 are
            rounded to 8.
        label: As for `write_scan`, and so are the next two.
        max_bytes: Of a lossy file.
        warn: Hears what could not be kept.

    Raises:
        UnsupportedScan: pixels that do not fit the scan, transparency in a JPEG, a side too long for the format.
        ScanTooLarge: the disk is full.
    """
    path = os.fspath(path)
    target = _target(scan, pixels, format)
    with _written_as(target), _removed_on_failure(path):
        carrying = replace(scan, metadata=_metadata(scan, target, label, warn))
        if target == "tiff":  # takes what is carried where it lies
            _save(scan, pixels, path, target, _LOSSLESS)
            tags.insert_carried_in_place(path, carrying)
            return
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path) or ".") as encoded:

            def encode(quality: int) -> int:
                _save(scan, pixels, encoded.name, target, quality)
                return os.path.getsize(encoded.name)

            growth.encode_within(encode, _quality(scan, target), max_bytes, growth.carried_bytes(scan), warn)
            with FileView(encoded.name) as data, open(path, "wb") as file:
                file.writelines(_with_carried(carrying, data, target))


def _save(scan: SpooledScan, pixels: RawPixels, path: str, target: Format, quality: int) -> None:
    # anew each time, as an image that comes from a file goes from top to bottom once
    image = _file_image(scan, pixels, target)
    getattr(image, f"{target}save")(path, **_options(scan, image, target, quality))


def _target(scan: Scan | SpooledScan, pixels: Pixels | RawPixels, format_: OutputFormat) -> Format:
    """The format to write, when the pixels are those of such a scan."""
    if pixels.shape != scan.pixels.shape or pixels.dtype != scan.pixels.dtype:
        raise UnsupportedScan(
            f"pixels {pixels.shape} {pixels.dtype} do not fit their scan {scan.pixels.shape} {scan.pixels.dtype}: "
            "restore to the same size, channels and depth"
        )
    if format_ != "keep":
        return format_
    # a TIFF holds all that they can hold
    return "tiff" if scan.format in ONLY_READ else scan.format


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
    alpha = image_of(scan.alpha) if scan.alpha is not None and _holds_channel(scan, target) else None
    if target != "jpeg":
        return image if alpha is None else image.bandjoin(alpha)
    if alpha is not None and alpha.min() < 2**scan.bits - 1:
        raise UnsupportedScan("a JPEG cannot hold this scan's transparency: choose png or tiff")
    return image if scan.bits == 8 else _rounded(image)


def _holds_channel(scan: Scan | SpooledScan, target: Format) -> bool:
    """Whether a format can say of the channel beside the colours what it is: all but TIFF would call it alpha."""
    return target == "tiff" or not scan.encoding.unspecified_channel


def _rounded(image: Any) -> Any:
    levels = ((np.arange(65_536) + 128) // 257).astype(np.uint8)
    return image.maplut(image_of(levels[np.newaxis])).copy(interpretation="b-w" if image.bands == 1 else "srgb")


def _quality(scan: Scan | SpooledScan, target: Format) -> int:
    """1 to 100, or _LOSSLESS."""
    if target == "jpeg":
        return scan.encoding.jpeg_quality or _DEFAULT_QUALITY
    return _WEBP_QUALITY if target == "webp" and not scan.encoding.lossless else _LOSSLESS


def _options(scan: Scan | SpooledScan, image: Any, target: Format, quality: int) -> dict[str, Any]:
    """How libvips is to encode; no metadata, as what the source carried is put in byte for byte afterwards."""
    encoding = scan.encoding
    if target == "jpeg":
        how = {
            "Q": quality,
            "subsample_mode": "on" if encoding.chroma == "4:2:0" else "off",
            "interlace": encoding.progressive,
            "optimize_coding": True,
        }
    elif target == "png":
        how = {"compression": 6, "filter": "all"}
    elif target == "webp":
        how = {"lossless": True, "exact": True} if quality == _LOSSLESS else {"Q": quality, "alpha_q": 100}
    else:
        compression = encoding.tiff_compression or "deflate"
        size = image.width * image.height * image.bands * scan.bits // 8
        levels = _levels(encoding)
        how = {
            "compression": compression,
            "predictor": "horizontal",
            # the smaller levels of a pyramid have a third of its pixels, and edges of tiles
            "bigtiff": encoding.bigtiff or growth.needs_bigtiff(2 * size if levels else size, compression, scan),
            "miniswhite": encoding.white_is_zero and image.bands < 3,
            **levels,
        }
    return {"keep": 0, **how}


def _levels(encoding: Encoding) -> dict[str, Any]:
    """A pyramid where the source has one, in tiles of the same size, its levels where they were."""
    if encoding.pyramid is None or encoding.tile is None:
        return {}
    width, height = (min(_WIDEST_TILE, -(-side // 16) * 16) for side in encoding.tile)
    subifds = encoding.pyramid == "subifds"
    return {"tile": True, "tile_width": width, "tile_height": height, "pyramid": True, "subifd": subifds}


def _metadata(
    scan: Scan | SpooledScan, target: Format, label: Label | None, warn: Callable[[str], None]
) -> Mapping[str, bytes]:
    """What the file is to carry: what the scan does, and the label."""
    if scan.encoding.pyramid and target != "tiff":
        warn(f"its pyramid of smaller copies was left out, as {target} holds none")
    if not _holds_channel(scan, target):
        warn(f"its channel beside the colours was left out, as {target} would take it for alpha")
    metadata = scan.metadata
    if label is not None:
        metadata = {**metadata, "xmp": with_label(metadata.get("xmp"), label, warn)}
    return jpeg_metadata.in_segments(metadata, warn) if target == "jpeg" else metadata


def _with_carried(scan: Scan | SpooledScan, encoded: Data, target: Format) -> Iterator[bytes]:
    """The encoder's file with what the scan carried, in pieces."""
    if target == "jpeg":
        return jpeg_metadata.insert_carried(encoded, scan)
    if target == "png":
        return png.insert_carried(encoded, scan)
    if target == "webp":
        return webp.insert_carried(encoded, scan, scan.width, scan.height)
    return tags.insert_carried(encoded, scan)
