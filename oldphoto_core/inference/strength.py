"""How much of a restoration is taken where nothing is damaged: the rest is the photo, its tone and tint applied.

What is damaged is always the network's. Whole numbers come from single rows, so tiles and pictures on disk get the same
bytes as one in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from oldphoto_core.canvas import Canvas


def mixed(
    made: NDArray[Any], photo: NDArray[Any], strength: float, damaged: NDArray[np.bool_] | None = None
) -> NDArray[Any]:
    """`strength` of what was made and the rest of the photo, rounded; all of what was made where it is damaged.

    Args:
        made: HWC uint8 or uint16, restored.
        photo: The same without the restoration.
        strength: From 0 to 1.
        damaged: HW; None: nothing is.
    """
    own = photo.astype(np.float32)
    own += np.float32(strength) * (made.astype(np.float32) - own)
    result: NDArray[Any] = np.rint(own).astype(made.dtype)
    if damaged is not None:
        result[damaged] = made[damaged]
    return result


@dataclass(frozen=True, slots=True)
class MixedWith:
    """A result whose rows are mixed with the photo as they are written."""

    result: Canvas
    photo: Canvas
    mask: Canvas | None
    """One channel, not 0 = damaged; None: nothing is."""
    strength: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.result.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result."""
        return self.result.dtype

    def read(self, top: int, bottom: int) -> NDArray[Any]:
        """Rows of the result, as they were mixed."""
        return self.result.read(top, bottom)

    def write(self, top: int, rows: NDArray[Any]) -> None:
        """Put rows that the network made in place, mixed."""
        bottom = top + len(rows)
        damaged = None if self.mask is None else self.mask.read(top, bottom)[..., 0] != 0
        self.result.write(top, mixed(rows, self.photo.read(top, bottom), self.strength, damaged))
