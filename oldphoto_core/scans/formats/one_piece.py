"""What formats have in common whose files libvips does not decode row by row: a decoder takes each in one piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from oldphoto_core.errors import ScanTooLarge
from oldphoto_core.scans.formats.reading import Reader, WholeDecoder

if TYPE_CHECKING:
    from oldphoto_core.scans.container_metadata import ContainerMetadata
    from oldphoto_core.scans.scan import Pixels, ScanHeader
    from oldphoto_core.scans.views import Data

MOST_PIXELS = 100_000_000
"""Of a picture that is decoded in one piece, at up to some 19 bytes a pixel of 16-bit RGB."""
TO_SAVE = "save it as TIFF"
"""The way out for files that are not decoded, in messages."""


def one_piece_reader(
    title: str,
    *,
    check_whole: Callable[[Data], None],
    read_header: Callable[[Data], ScanHeader],
    stored_header: Callable[[Data], ScanHeader] | None = None,
    check_kind: Callable[[Data], None],
    decode: Callable[[Data], Pixels],
    read_container_metadata: Callable[[Data], ContainerMetadata],
    compression: Callable[[Data], str],
) -> Reader:
    """How files are read of a format of which every file is decoded in one piece.

    Args:
        title: Name of the format for people.
        check_whole, read_container_metadata, compression: As in `Reader`.
        read_header, check_kind, decode: As in `WholeDecoder`; the number of pixels is judged here.
        stored_header: As in `WholeDecoder`; None: as decoded.
    """

    def check(data: Data) -> None:
        check_pixels(read_header(data), f"a {title} of", TO_SAVE)
        check_kind(data)

    decoder = WholeDecoder(
        read_header=read_header,
        stored_header=stored_header or read_header,
        check_kind=check,
        decode=decode,
        read_container_metadata=read_container_metadata,
    )
    return Reader(
        check_whole=check_whole,
        read_container_metadata=read_container_metadata,
        compression=compression,
        whole_decoder=lambda _data: decoder,
    )


def check_pixels(header: ScanHeader, what: str, way_out: str) -> None:
    """Raises ScanTooLarge over MOST_PIXELS; `what`: the words before the number of megapixels."""
    if header.width * header.height > MOST_PIXELS:
        raise ScanTooLarge(
            f"{what} {header.megapixels:.1f} megapixels; it is decoded in one piece, and {MOST_PIXELS / 1e6:.0f} are"
            f" the bound for that: {way_out}"
        )
