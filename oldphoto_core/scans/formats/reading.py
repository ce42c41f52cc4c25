"""`Reader`: how the files of one format are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import TruncatedScan

if TYPE_CHECKING:
    from oldphoto_core.scans.container_metadata import ContainerMetadata
    from oldphoto_core.scans.scan import Pixels, ScanHeader
    from oldphoto_core.scans.views import Data

Take = Callable[[Any], Any]
"""Consumes a pyvips image, which decodes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeDecoder:
    """Decodes a picture in one piece, where libvips does not decode it row by row. All functions raise ScanError."""

    read_header: Callable[[Data], ScanHeader]
    """The header as decoded."""
    stored_header: Callable[[Data], ScanHeader]
    """The header as the file states it: samples of 9 to 15 bits keep that number."""
    check_kind: Callable[[Data], None]
    """Raises UnsupportedScan for pictures that are not decoded, ScanTooLarge for those too large for one piece."""
    decode: Callable[[Data], Pixels]
    """HWC, uint8 or uint16."""
    read_container_metadata: Callable[[Data], ContainerMetadata]
    """Everything but the pixels."""


def cut(data: Data) -> TruncatedScan:
    """The error for a file that ends within its picture."""
    return TruncatedScan(f"the file ends at byte {len(data)}, before the picture does: copy it again")


def _no_whole_decoder(_data: Data) -> None:
    return None


def _unchecked(_data: Data) -> None:
    return


def _unchanged(data: Data) -> Data:
    return data


def _as_opened(_data: Data, image: Any, take: Take) -> tuple[Any, tuple[str, ...]]:
    return take(image), ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """How the files of one format are read. Functions take bytes or a view of a file, and raise ScanError."""

    check_whole: Callable[[Data], None]
    """Raises TruncatedScan or UnreadableScan when the structure shows that something is missing."""
    read_container_metadata: Callable[[Data], ContainerMetadata]
    """Container metadata: everything but the pixels."""
    compression: Callable[[Data], str]
    """Name of the compression, as records state it."""
    loader: str = ""
    """libvips' name of its loader, unless a whole decoder reads all files."""
    open: Callable[[Data, bool], Any] | None = None
    """Opens a pyvips image (`strict`: warnings are errors), where the loader alone is not enough."""
    whole_decoder: Callable[[Data], WholeDecoder | None] = _no_whole_decoder
    """What decodes this file in one piece; None: libvips decodes it row by row."""
    read_header: Callable[[Data], ScanHeader] | None = None
    """Reads the header, where opening the file with libvips would go on to its pixels."""
    check_coding: Callable[[Data], None] = _unchecked
    """Raises UnsupportedScan for a coding that libvips would take for another one."""
    sound: Callable[[Data], Data] = _unchanged
    """The file without faults over which the decoder would stumble, for decoding."""
    sound_head: Callable[[Data], Data] | None = None
    """The same for the header alone, tried where opening the file fails."""
    bare: Callable[[Data], Data] | None = None
    """The file with nothing but what decodes the pixels, tried where decoding fails."""
    decode: Callable[[Data, Any, Take], tuple[Any, tuple[str, ...]]] = _as_opened
    """Gives an opened image, or one opened anew, to a consumer; returns its result, and remarks for people."""
    start_of_pixels: Callable[[Data], int] | None = None
    """Where the header ends, where that may be far from the beginning of the file."""

    def opened(self, data: Data, *, strict: bool = False) -> Any:
        """A pyvips image whose header has been read and whose pixels have not; `strict` fails on warnings, too."""
        from oldphoto_core.scans.vips import open_image

        return self.open(data, strict) if self.open else open_image(data, self.loader, strict=strict)
