"""TIFF and BigTIFF: the row; `scans/tiff/` parses them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from oldphoto_core.scans.formats import samples
from oldphoto_core.scans.formats.file_format import FileFormat, Sample
from oldphoto_core.scans.formats.reading import Reader, WholeDecoder
from oldphoto_core.scans.formats.writing import Writer

if TYPE_CHECKING:
    from oldphoto_core.scans.container_metadata import Encoding
    from oldphoto_core.scans.scan import Scan, SpooledScan
    from oldphoto_core.scans.views import Data

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WIDEST_TILE = 1024
"""Pixels; tiles of the master that are larger become smaller ones: a row of tiles is held in memory."""


@cache
def _reader() -> Reader:
    from oldphoto_core.scans.tiff import opening, pages, tags
    from oldphoto_core.scans.tiff.faults import bare

    return Reader(
        check_whole=pages.check_whole,
        read_container_metadata=tags.read_container_metadata,
        compression=tags.compression_of,
        loader="tiff",
        open=opening.open_tiff,
        whole_decoder=_of_packed_samples,
        sound_head=bare,
        bare=bare,
        decode=opening.decode,
    )


def _of_packed_samples(data: Data) -> WholeDecoder | None:
    """What decodes samples of 9 to 15 bits; of a file of several pages, the first page counts."""
    from oldphoto_core.scans.tiff import packed

    return packed.DECODER if packed.is_packed(data) else None


@cache
def _writer() -> Writer:
    from oldphoto_core.scans.tiff import tags

    return Writer(
        saver="tiff",
        options=_options,
        insert=tags.insert_container_metadata,
        insert_in_place=tags.insert_carried_in_place,
        holds_unspecified=True,
        holds_pyramid=True,
        mask_options={"compression": "deflate"},
    )


def _options(scan: Scan | SpooledScan, image: Any, _quality: int) -> dict[str, Any]:
    from oldphoto_core.scans.size_limit import needs_bigtiff

    encoding = scan.encoding
    compression = encoding.tiff_compression or "deflate"
    size = image.width * image.height * image.bands * scan.bits // 8
    levels = _levels(encoding)
    return {
        "compression": compression,
        "predictor": "horizontal",
        # the smaller levels of a pyramid have a third of its pixels, and edges of tiles
        "bigtiff": encoding.bigtiff or needs_bigtiff(2 * size if levels else size, compression, scan),
        "miniswhite": encoding.white_is_zero and image.bands < 3,
        **levels,
    }


def _levels(encoding: Encoding) -> dict[str, Any]:
    """A pyramid where the source has one, in tiles of the same size, its levels where they were."""
    if encoding.pyramid is None or encoding.tile is None:
        return {}
    width, height = (min(_WIDEST_TILE, -(-side // 16) * 16) for side in encoding.tile)
    subifds = encoding.pyramid == "subifds"
    return {"tile": True, "tile_width": width, "tile_height": height, "pyramid": True, "subifd": subifds}


ROW = FileFormat(
    name="tiff",
    title="TIFF",
    extensions=("tif", "tiff"),
    media_type="image/tiff",
    recognise=lambda head: head.startswith(_MAGIC),
    reader=_reader,
    writer=_writer,
    has_pages=True,
    states_length=True,
    bytes_per_pixel=3.0,  # uncompressed, 8-bit RGB
    samples=(
        Sample(name="TIFF, 8 bits", encode=lambda: samples.by_opencv(".tif")),
        Sample(name="TIFF, 16 bits", encode=lambda: samples.by_opencv(".tif", bits=16)),
        Sample(name="TIFF, grey", encode=lambda: samples.by_opencv(".tif", channels=1)),
        Sample(name="BigTIFF", encode=lambda: samples.by_opencv(".tif"), big=True),
    ),
)
