"""From what a network made of a photo to the photo's own levels: corrected, mapped and, if it is monochrome, tinted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.tone.colours import Colours
from oldphoto_core.tone.curve import Curve
from oldphoto_core.tone.hold import Correction
from oldphoto_core.tone.luma import LUMA, TOP
from oldphoto_core.tone.tone_map import MappedColours, ToneMap, with_room


class Finish:
    """Puts the last hand to rows of a photo."""

    def __init__(self, colours: Colours, correction: Correction, channels: int, dtype: np.dtype[Any]) -> None:
        self._correction = correction
        self._top = np.float32(np.iinfo(dtype).max)
        self._dtype = dtype
        found = colours.tone_map
        self._table = tinted(colours.tint, channels, dtype, found) if colours.is_monochrome else None
        self._mapped = MappedColours(found) if found is not None and not colours.is_monochrome else None
        self._scale = np.float32(self._top if self._table is None and self._mapped is None else TOP)

    def rows(self, top: int, made: NDArray[np.uint16]) -> NDArray[Any]:
        """HWC in the photo's dtype of what the network made of its rows from `top` on, HW1 or HW3 in 16 bits."""
        values = self._correction.rows(top, top + len(made))
        values *= self._scale
        values += made * np.float32(self._scale / TOP)
        return self._levels(values)

    def own(self, seen: NDArray[Any]) -> NDArray[Any]:
        """The same of the photo's own rows as the network saw them, HW1 or HW3: tone and tint alone."""
        return self._levels(seen * np.float32(self._scale / np.iinfo(seen.dtype).max))

    def _levels(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """HWC in the photo's dtype of values from 0 to the scale."""
        scale = self._scale
        np.rint(values, out=values)
        np.clip(values, 0, scale, out=values)
        if self._mapped is not None:
            mapped: NDArray[Any] = np.rint(self._mapped(values.astype(np.uint16)) * self._top).astype(self._dtype)
            return mapped
        if self._table is None:
            return values.astype(self._dtype)
        levels: NDArray[Any] = self._table[values[..., 0].astype(np.uint16)]
        return levels


def tinted(tint: Curve | None, channels: int, dtype: np.dtype[Any], tone_map: ToneMap | None = None) -> NDArray[Any]:
    """65536 x C: the levels of each lightness. Without a tint all channels are equal.

    Beyond the lightness of the photo's own colours the tint goes on, as far as there are such colours: black and white
    have none. Its luma is the lightness, or what `tone_map` makes of it; the tint is that of the lightness before.
    """
    levels = np.linspace(0.0, 1.0, TOP + 1)
    lightness = levels if tone_map is None else tone_map.curve(0, levels).clip(0, 1)
    values = np.repeat(lightness[:, np.newaxis], channels, axis=1)
    if tint is not None:
        offsets = tint(levels)
        offsets -= (offsets @ LUMA)[:, np.newaxis]
        values = with_room(values, offsets)
    top = np.iinfo(dtype).max
    table: NDArray[Any] = np.rint(values.clip(0, 1) * top).astype(dtype)
    return table
