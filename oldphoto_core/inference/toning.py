"""A photo's tones around the network: what it sees of a monochrome one, and what its output still goes through.

    photo -> (lightness alone, if it is monochrome) -> network -> draft in 16 bits
          -> low frequencies held to one map, tone mapped, tinted -> result

The draft is whole before its tones are known, so it is kept: in memory where the result is, else in a file.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import ArrayCanvas, Canvas
from oldphoto_core.folders import temporary_folder
from oldphoto_core.inference.strength import mixed
from oldphoto_core.scans import RawPixels
from oldphoto_core.tone.colours import Colours
from oldphoto_core.tone.finish import Finish
from oldphoto_core.tone.grid import Grid, slabs
from oldphoto_core.tone.hold import correction
from oldphoto_core.tone.luma import LUMA, TOP, lightness

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class LightnessOf:
    """The luma of a photo as a canvas that is only read: one channel of 16 bits."""

    photo: Canvas

    @property
    def shape(self) -> tuple[int, int, int]:
        """The photo's height and width, and 1."""
        return (*self.photo.shape[:2], 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint16: the luma of 8-bit colours lies between levels of 8 bits."""
        return np.dtype(np.uint16)

    def read(self, top: int, bottom: int) -> NDArray[Any]:
        """HW1 of the rows from `top` to before `bottom`."""
        return lightness(self.photo.read(top, bottom))

    def write(self, top: int, rows: NDArray[Any]) -> None:
        """Not possible."""
        raise TypeError("the lightness of a photo is only read")


def seen_by_network(photo: Canvas, colours: Colours) -> Canvas:
    """The photo itself, or its lightness where it is monochrome."""
    return LightnessOf(photo) if colours.is_monochrome else photo


class Draft:
    """What the network makes of a photo, in 16 bits. A context manager: a file goes when it ends."""

    def __init__(self, pixels: Canvas, folder: tempfile.TemporaryDirectory[str] | None) -> None:
        self.pixels = pixels
        self._folder = folder

    @classmethod
    def of(cls, photo: Canvas, result: Canvas, colours: Colours) -> Draft:
        """For a photo of those colours. Raises ScanTooLarge when a disk has no room for it."""
        height, width, channels = photo.shape
        channels = 1 if colours.is_monochrome else channels
        if isinstance(result, ArrayCanvas):
            return cls(ArrayCanvas(np.empty((height, width, channels), np.uint16)), None)
        folder = temporary_folder("toning")
        try:
            return cls(RawPixels.create(Path(folder.name) / "draft.tif", height, width, channels, np.uint16), folder)
        except BaseException:
            folder.cleanup()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self.pixels, RawPixels):
            self.pixels.close()
        if self._folder is not None:
            self._folder.cleanup()


def finish(draft: Canvas, result: Canvas, mask: Canvas | None, colours: Colours, seen: Canvas) -> None:
    """Writes every row of `result`: the draft, low frequencies held to a map of the photo's, tone mapped, and tinted.

    Args:
        draft: What the network made, 1 or 3 channels of uint16.
        seen: What the network saw, of as many channels.
        result: Of the photo's shape and dtype.
        mask: One channel, not 0 = damaged; None: nothing is.
        colours: Of the photo.
    """
    before = colours.survey.means
    if draft.shape[2] == 1 and before.shape[2] == 3:
        before = (before @ LUMA)[..., np.newaxis]
    made = Grid(*draft.shape)
    for top, bottom in slabs(draft):
        damaged = None if mask is None else mask.read(top, bottom)[..., 0] != 0
        made.add(top, draft.read(top, bottom), damaged)
    field = correction(before, made.means(TOP), made, identity=colours.options.own_tone)
    work = Finish(colours, field, result.shape[2], result.dtype)
    strength = colours.options.strength
    for top, bottom in slabs(draft):
        rows = work.rows(top, draft.read(top, bottom))
        if strength < 1:
            damaged = None if mask is None else mask.read(top, bottom)[..., 0] != 0
            rows = mixed(rows, work.own(seen.read(top, bottom)), strength, damaged)
        result.write(top, rows)
