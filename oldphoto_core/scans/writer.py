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
from oldphoto_core.scans import size_limit
from oldphoto_core.scans.formats import FORMATS, Format, OutputFormat, derivative_format, writer_of
from oldphoto_core.scans.formats.writing import LOSSLESS
from oldphoto_core.scans.metadata.xmp import Label, with_label
from oldphoto_core.scans.raw import RawPixels
from oldphoto_core.scans.scan import Pixels, Scan, ScanHeader, SpooledScan
from oldphoto_core.scans.views import FileView
from oldphoto_core.scans.vips import image_of, translated


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
        format: "keep" for the scan's format (TIFF for one that is only read). JPEG holds 8 bits a channel: 16 are
            rounded to 8.
        label: What the file's XMP is to say of its making, besides what the scan's says.
        max_bytes: Of a JPEG or lossy WebP, the label apart: its quality gives way to this, down to 50.
        warn: Called with what could not be kept: quality, metadata that do not fit, XMP that cannot be read.

    Raises:
        UnsupportedScan: pixels that do not fit the scan, transparency in a JPEG, a side too long for the format.
        ScanTooLarge: the memory does not suffice.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    target = _target(scan, pixels, format)
    writer, encoded = writer_of(target), b""

    def encode(quality: int) -> int:
        nonlocal encoded
        image = _file_image(scan, pixels, target)
        encoded = bytes(getattr(image, f"{writer.saver}save_buffer")(**_options(scan, image, target, quality)))
        return len(encoded)

    with _written_as(target):
        carrying = replace(scan, metadata=_metadata(scan, target, label, warn))
        size_limit.encode_within(
            encode, writer.quality(scan.encoding), max_bytes, size_limit.container_bytes(scan), warn
        )
        return b"".join(writer.insert(encoded, carrying))


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
        format: "keep" for the scan's format (TIFF for one that is only read). JPEG holds 8 bits a channel: 16 are
            rounded to 8.
        label: As for `write_scan`, and so are the next two.
        max_bytes: Of a lossy file.
        warn: Called with what could not be kept.

    Raises:
        UnsupportedScan: pixels that do not fit the scan, transparency in a JPEG, a side too long for the format.
        ScanTooLarge: the disk is full.
    """
    path = os.fspath(path)
    target = _target(scan, pixels, format)
    writer = writer_of(target)
    with _written_as(target), _removed_on_failure(path):
        carrying = replace(scan, metadata=_metadata(scan, target, label, warn))
        if writer.insert_in_place is not None:
            _save(scan, pixels, path, target, LOSSLESS)
            writer.insert_in_place(path, carrying)
            return
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path) or ".") as encoded:

            def encode(quality: int) -> int:
                _save(scan, pixels, encoded.name, target, quality)
                return os.path.getsize(encoded.name)

            size_limit.encode_within(
                encode, writer.quality(scan.encoding), max_bytes, size_limit.container_bytes(scan), warn
            )
            with FileView(encoded.name) as data, open(path, "wb") as file:
                file.writelines(writer.insert(data, carrying))


def stated_header(scan: Scan | SpooledScan, target: Format) -> ScanHeader:
    """What a derivative of that format says of itself: size, channels and depth of its picture."""
    writer = writer_of(target)
    alpha = scan.alpha is not None and writer.holds_alpha and _holds_channel(scan, target)
    bits = scan.bits if writer.holds_16_bits else 8
    return ScanHeader(target, scan.width, scan.height, scan.channels + alpha, bits)


def _save(scan: SpooledScan, pixels: RawPixels, path: str, target: Format, quality: int) -> None:
    # anew each time, as an image that comes from a file goes from top to bottom once
    image = _file_image(scan, pixels, target)
    getattr(image, f"{writer_of(target).saver}save")(path, **_options(scan, image, target, quality))


def _target(scan: Scan | SpooledScan, pixels: Pixels | RawPixels, format_: OutputFormat) -> Format:
    """The format to write, when the pixels are those of such a scan."""
    if pixels.shape != scan.pixels.shape or pixels.dtype != scan.pixels.dtype:
        raise UnsupportedScan(
            f"pixels {pixels.shape} {pixels.dtype} do not fit their scan {scan.pixels.shape} {scan.pixels.dtype}: "
            "restore to the same size, channels and depth"
        )
    return derivative_format(scan.format) if format_ == "keep" else format_


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
    writer, image = writer_of(target), image_of(pixels)
    alpha = image_of(scan.alpha) if scan.alpha is not None and _holds_channel(scan, target) else None
    if alpha is not None and writer.holds_alpha:
        image = image.bandjoin(alpha)
    elif alpha is not None and alpha.min() < 2**scan.bits - 1:
        raise UnsupportedScan(f"a {FORMATS[target].title} cannot hold this scan's transparency: choose png or tiff")
    return image if scan.bits == 8 or writer.holds_16_bits else _rounded(image)


def _holds_channel(scan: Scan | SpooledScan, target: Format) -> bool:
    """Whether a format can say of the channel beside the colours what it is: all but TIFF would call it alpha."""
    return writer_of(target).holds_unspecified or not scan.encoding.unspecified_channel


def _rounded(image: Any) -> Any:
    levels = ((np.arange(65_536) + 128) // 257).astype(np.uint8)
    return image.maplut(image_of(levels[np.newaxis])).copy(interpretation="b-w" if image.bands == 1 else "srgb")


def _options(scan: Scan | SpooledScan, image: Any, target: Format, quality: int) -> dict[str, Any]:
    """How libvips is to encode; no metadata, as what the source carried is put in byte for byte afterwards."""
    return {"keep": 0, **writer_of(target).options(scan, image, quality)}


def _metadata(
    scan: Scan | SpooledScan, target: Format, label: Label | None, warn: Callable[[str], None]
) -> Mapping[str, bytes]:
    """What the file is to carry: what the scan does, and the label."""
    writer = writer_of(target)
    if scan.encoding.pyramid and not writer.holds_pyramid:
        warn(f"its pyramid of smaller copies was left out, as {target} holds none")
    if not _holds_channel(scan, target):
        warn(f"its channel beside the colours was left out, as {target} would take it for alpha")
    metadata = scan.metadata
    if label is not None:
        metadata = {**metadata, "xmp": with_label(metadata.get("xmp"), label, warn)}
    return writer.fitted(metadata, warn)
