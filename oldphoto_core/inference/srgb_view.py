"""A master as networks see it, row by row: read in sRGB, and what they make of it put back into its own profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from oldphoto_core.canvas import Canvas
    from oldphoto_core.scans import WorkingSpace


@dataclass(frozen=True, slots=True)
class SrgbView:
    """A canvas for pictures on disk: `photo` and `result` of a network in one, and nothing of it is stored."""

    photo: Canvas
    """The master's pixels."""
    result: Canvas
    """The derivative's pixels."""
    mask: Canvas | None
    """Not 0 = damaged: nothing of the master counts there."""
    space: WorkingSpace
    equal_channels: bool = False
    """Whether the derivative gets R = G = B in its profile's own levels; the way to sRGB and back may differ by one."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.photo.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint16, also for masters of 8 bits: their colours lie between sRGB's levels of 8 bits."""
        return np.dtype(np.uint16)

    def read(self, top: int, bottom: int) -> NDArray[Any]:
        """HWC of the master's rows in sRGB."""
        return self.space.shown(self.photo.read(top, bottom))

    def write(self, top: int, rows: NDArray[Any]) -> None:
        """Puts restored HWC rows of sRGB into the result, in the master's profile."""
        bottom = top + len(rows)
        master = self.photo.read(top, bottom)
        damaged = None if self.mask is None else self.mask.read(top, bottom)[..., 0] != 0
        back = self.space.brought_back(master, self.space.shown(master), rows, damaged)
        self.result.write(top, equalised(back) if self.equal_channels else back)


def equalised(pixels: NDArray[Any]) -> NDArray[Any]:
    """`pixels_HW3` with green's levels in all channels."""
    return np.repeat(pixels[..., 1:2], pixels.shape[2], axis=2)
