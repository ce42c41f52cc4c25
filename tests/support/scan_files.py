"""Image files that the tests of `scans` make."""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import pyvips
from PIL import Image, ImageCms, TiffImagePlugin


def photo(bands: int, bits: int) -> np.ndarray:
    """HWC of 64 x 96 pixels, smooth with a little grain, the same every time."""
    y, x = np.mgrid[0:64, 0:96]
    waves = np.stack([128 + 80 * np.sin(x / 17 + band) + 40 * np.cos(y / (9 + band)) for band in range(bands)], axis=2)
    grain = np.random.default_rng(bands).normal(0, 4, waves.shape)
    values = (waves + grain).clip(0, 255)
    return (values * 257).astype(np.uint16) if bits == 16 else values.astype(np.uint8)


def encoded(
    pixels: np.ndarray, format_: str, *, kind: str | None = None, lab: str | None = None, **options: Any
) -> bytes:
    """A file made by libvips, grey or RGB unless another kind is named; `lab` converts into a kind of CIELab."""
    height, width, bands = pixels.shape
    wide = pixels.dtype == np.uint16
    kind = kind or (("grey16" if wide else "b-w") if bands < 3 else ("rgb16" if wide else "srgb"))
    depth = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}[str(pixels.dtype)]
    image = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, bands, depth)
    image = image.copy(interpretation=kind)
    return bytes(getattr(image.colourspace(lab) if lab else image, f"{format_}save_buffer")(**options))


def jpeg2000(pixels: np.ndarray, **options: Any) -> bytes:
    """A lossless JPEG 2000 made by Pillow, or of 16 bits by OpenCV."""
    if pixels.dtype == np.uint16:
        order = [0] if pixels.shape[2] == 1 else [2, 1, 0]
        return bytes(cv2.imencode(".jp2", pixels[..., order], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1])
    buffer = io.BytesIO()
    Image.fromarray(np.squeeze(pixels)).save(buffer, "JPEG2000", **options)
    return buffer.getvalue()


def jpeg2000_of_bits(pixels: np.ndarray, bits: int) -> bytes:
    """The same of 9 to 15 bits: of `pixels`, uint16, the upper ones are kept.

    Nothing here writes that, but it is a matter of the number in the header and of the level that samples are counted
    from, half of the range: they are shifted so that the decoder, which adds half of the smaller range, finds them.
    """
    samples = (pixels >> (16 - bits)).astype(np.int64)
    data = bytearray(jpeg2000((samples - 2 ** (bits - 1) + 2**15).astype(np.uint16)))
    at = data.index(b"\xff\x4f\xff\x51") + 42
    for channel in range(pixels.shape[2]):
        data[at + 3 * channel] = bits - 1
    data[data.index(b"ihdr") + 14] = bits - 1
    return bytes(data)


def box(kind: bytes, content: bytes) -> bytes:
    """A box of a JPEG 2000 file."""
    return struct.pack(">I4s", len(content) + 8, kind) + content


def exif_block() -> bytes:
    """EXIF (a TIFF structure) with orientation 6, 300 dpi, an artist and a date in the EXIF directory."""
    exif = Image.Exif()
    exif.endian = "<"
    exif[274] = 6
    exif[282] = exif[283] = 300.0
    exif[296] = 2
    exif[315] = "A. Photographer"
    exif.get_ifd(0x8769)[36867] = "1901:02:03 04:05:06"
    return exif.tobytes().removeprefix(b"Exif\0\0")


def paged(*pages: tuple[Image.Image, dict[str, Any]]) -> bytes:
    """A TIFF of several pages made by Pillow, each an image and the options that it is saved with."""
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer) as book:
        for image, options in pages:
            image.save(book, "TIFF", **options)
            book.newFrame()
    return buffer.getvalue()


@lru_cache
def mixed_pages() -> bytes:
    """The same three pages: RGB of 8 bits at 300 dpi with a profile; grey of 16 bits at 600, turned; one bit, CCITT."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    turned = TiffImagePlugin.ImageFileDirectory_v2()
    turned[274], turned[315] = 6, "A. Photographer"
    return paged(
        (Image.fromarray(photo(3, 8)), {"dpi": (300, 300), "icc_profile": profile, "compression": "tiff_lzw"}),
        (Image.fromarray(photo(1, 16)[:40, :50, 0]), {"dpi": (600, 600), "tiffinfo": turned}),
        (Image.fromarray(photo(1, 8)[..., 0]).convert("1"), {"compression": "group4"}),
    )


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """With its length and its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
