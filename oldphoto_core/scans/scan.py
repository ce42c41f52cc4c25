"""One scanned photograph, with everything about its file that a derivative must keep."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy.typing as npt

from oldphoto_core.scans.container_metadata import ContainerMetadata
from oldphoto_core.scans.raw import RawPixels

if TYPE_CHECKING:
    from types import TracebackType

Pixels = npt.NDArray[Any]
"""uint8 or uint16."""
P = TypeVar("P", Pixels, RawPixels)
"""Where the pixels are: in memory, or in a file."""


@dataclass(frozen=True, slots=True)
class ScanHeader:
    """What a file says of itself before any pixel is decoded."""

    format: str
    """Name of its format: a key of `formats.FORMATS`."""
    width: int
    height: int
    bands: int
    """Channels, alpha included."""
    bits: int
    """Of a channel, as decoded: 8 or 16; other depths are named for the message that refuses them."""
    pages: int = 1
    """Pictures in the file; of several, the rest is about the first one."""
    is_mask: bool = False
    """Of a page of several: whether it says that it is a mask of another one, as infrared pages do. No photo."""

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.width * self.height / 1e6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Decoded(ContainerMetadata, Generic[P]):
    """What `Scan` and `SpooledScan` have in common: pixels, wherever they are, and what their file carried.

    Pixels are in the file's stored order: the orientation tag is kept, not applied.
    """

    pixels: P
    """HWC, uint8 or uint16, C = 1 (grey) or 3 (RGB)."""
    alpha: P | None
    """Same size and dtype, or None; pixels that a TIFF stores multiplied by it were divided again on reading."""
    format: str
    """Name of its format: a key of `formats.FORMATS`."""

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB); alpha does not count."""
        return int(self.pixels.shape[2])

    @property
    def bits(self) -> int:
        """8 or 16."""
        return int(self.pixels.dtype.itemsize) * 8

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.width * self.height / 1e6

    @property
    def is_grey(self) -> bool:
        """Whether the file holds one channel. (A grey photo stored as RGB, as in every WebP, is not grey here.)"""
        return self.channels == 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scan(Decoded[Pixels]):
    """A decoded scan in memory: `pixels` is an HWC array, `alpha` an HW array or None."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SpooledScan(Decoded[RawPixels]):
    """A decoded scan on disk: `pixels`, and `alpha` of one channel or None, are files that are read in rows.

    Use it as a context manager, or call `close`: the files stay, as they belong to the folder that they were put into.
    """

    def close(self) -> None:
        """Lets go of the files; closing twice is no error."""
        self.pixels.close()
        if self.alpha is not None:
            self.alpha.close()

    def discard(self) -> None:
        """Closes and removes the files."""
        self.pixels.discard()
        if self.alpha is not None:
            self.alpha.discard()

    def __enter__(self) -> SpooledScan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def fields_of(container: ContainerMetadata) -> dict[str, Any]:
    """The arguments that `Scan` and `SpooledScan` take over from what their file carried."""
    return {field.name: getattr(container, field.name) for field in fields(ContainerMetadata)}
