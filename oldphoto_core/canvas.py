"""Pictures that are read and written in rows, wherever their pixels are: arrays in memory, or `scans.RawPixels`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Readable(Protocol):
    """Pixels of a picture that are read in rows, HWC uint8 or uint16 with 1 or 3 channels."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16."""

    def read(self, top: int, bottom: int) -> NDArray[Any]:
        """HWC of the rows from `top` to before `bottom`."""


class Canvas(Readable, Protocol):
    """The same, also written in rows."""

    def write(self, top: int, rows: NDArray[Any]) -> None:
        """Puts HWC rows in place, from `top` on."""


@dataclass(frozen=True, slots=True)
class ArrayCanvas:
    """An array in memory."""

    pixels: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.pixels.shape
        return height, width, channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return self.pixels.dtype

    def read(self, top: int, bottom: int) -> NDArray[Any]:
        """A view."""
        return self.pixels[top:bottom]

    def write(self, top: int, rows: NDArray[Any]) -> None:
        """Copied in."""
        self.pixels[top : top + len(rows)] = rows


def highest_level(dtype: np.dtype[Any]) -> int:
    """Of uint8 or uint16: 255 or 65535."""
    return 65535 if dtype == np.uint16 else 255
