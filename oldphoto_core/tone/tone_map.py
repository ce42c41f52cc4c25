"""One smooth map of tones for a whole photo: what a tone network predicts, a record keeps, and anybody can apply.

A curve has `black`, its value at level 0, and `slopes` at evenly spaced levels from 0 to 1, between which the slope is
linear. So its value at the k-th of n + 1 levels is black + sum over j < k of (slopes[j] + slopes[j + 1]) / (2 n).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import ArrayCanvas, highest_level
from oldphoto_core.errors import ConfigError, UnsupportedScan
from oldphoto_core.tone.grid import slabs
from oldphoto_core.tone.luma import TOP, lightness

Floats = NDArray[np.float64]

_DECIMALS = 6
"""Of the numbers of a map: a record has all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToneMap:
    """Curves, then a matrix. Levels are those of sRGB from 0 to 1; what comes out is clipped to them."""

    black: tuple[float, ...]
    """Value at level 0 of the curve of each channel, or of the one curve of lightness."""
    slopes: tuple[tuple[float, ...], ...]
    """Of each curve."""
    matrix: tuple[tuple[float, ...], ...] = ()
    """Three rows: red, green and blue as sums of what the curves give. Empty: a curve of lightness alone."""

    @classmethod
    def of(cls, curves: Sequence[Sequence[float]], matrix: Sequence[Sequence[float]] = ()) -> Self:
        """From numbers of any precision; the first of each curve is its value at 0, the others are its slopes."""
        rounded = [tuple(round(float(number), _DECIMALS) for number in curve) for curve in curves]
        rows = tuple(tuple(round(float(number), _DECIMALS) for number in row) for row in matrix)
        return cls(black=tuple(row[0] for row in rounded), slopes=tuple(row[1:] for row in rounded), matrix=rows)

    @classmethod
    def identity(cls, *, monochrome: bool) -> Self:
        """Changes nothing."""
        if monochrome:
            return cls.of([(0.0, 1.0, 1.0)])
        return cls.of([(0.0, 1.0, 1.0)] * 3, np.eye(3).tolist())

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `record`. Raises ConfigError where it is no map."""
        try:
            black, slopes, matrix = record["black"], record["slopes"], record["matrix"] or ()
            found = cls.of([(start, *curve) for start, curve in zip(black, slopes, strict=True)], matrix)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the tone map {record!r} cannot be read; give the `map` of a record's `tone`") from error
        rows = [len(row) for row in found.matrix]
        if (len(found.black), rows) not in ((1, []), (3, [3, 3, 3])) or min(map(len, found.slopes)) < 2:
            raise ConfigError(
                f"a tone map of {len(found.black)} curves and {len(rows)} rows of a matrix; give 3 and 3, or 1 and none"
            )
        return found

    def record(self) -> dict[str, Any]:
        """JSON-ready; `matrix` is null for a curve of lightness."""
        return {
            "black": list(self.black),
            "slopes": [list(curve) for curve in self.slopes],
            "matrix": [list(row) for row in self.matrix] or None,
        }

    @property
    def is_monochrome(self) -> bool:
        """Whether it is a curve of lightness alone."""
        return not self.matrix

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        straight = all(slope == 1 for curve in self.slopes for slope in curve)
        return not any(self.black) and straight and list(map(list, self.matrix)) in ([], np.eye(3).tolist())

    def blended(self, amount: float) -> ToneMap:
        """The map that is between the identity (0) and this one (1)."""
        if not self.matrix:
            rows: list[list[float]] = []
        else:
            rows = (np.eye(3) * (1 - amount) + np.array(self.matrix) * amount).tolist()
        curves = [
            [start * amount, *(1 - amount + amount * slope for slope in curve)]
            for start, curve in zip(self.black, self.slopes, strict=True)
        ]
        return ToneMap.of(curves, rows)

    def curve(self, channel: int, levels: Floats) -> Floats:
        """`levels` from 0 to 1 through the curve of a channel; not clipped."""
        slopes = np.array(self.slopes[channel])
        count = len(slopes) - 1
        starts = self.black[channel] + np.concatenate([[0.0], ((slopes[1:] + slopes[:-1]) / (2 * count)).cumsum()])
        places = levels.clip(0, 1) * count
        below = np.minimum(places.astype(np.int64), count - 1)
        share = places - below
        rise = slopes[below] * share + (slopes[below + 1] - slopes[below]) * share**2 / 2
        found: Floats = starts[below] + rise / count
        return found

    def tables(self) -> list[NDArray[np.float32]]:
        """Of each curve: what becomes of each of the 65536 levels of 16 bits, from 0 to 1, not clipped."""
        levels = np.linspace(0.0, 1.0, TOP + 1)
        return [self.curve(channel, levels).astype(np.float32) for channel in range(len(self.black))]


class MappedColours:
    """Puts colours through a map, rows at a time: the same for each pixel wherever it is."""

    def __init__(self, tone_map: ToneMap) -> None:
        self._tables = tone_map.tables()
        self._matrix = np.array(tone_map.matrix, np.float32)

    def __call__(self, levels: NDArray[np.uint16]) -> NDArray[np.float32]:
        """`levels_HW3` in 16 bits -> HW3 from 0 to 1."""
        curved = [table[levels[..., channel]] for channel, table in enumerate(self._tables)]
        mixed = np.empty(levels.shape, np.float32)
        for channel, row in enumerate(self._matrix):
            # sums written out: a matrix product may add in another order for another number of rows
            mixed[..., channel] = row[0] * curved[0] + row[1] * curved[1] + row[2] * curved[2]
        return mixed.clip(0, 1)


def with_room(lightness_: NDArray[Any], offsets: NDArray[Any]) -> NDArray[Any]:
    """Colours whose luma is `lightness_N1` and that differ from it by `offsets_NC`, as far as such colours exist."""
    room = np.where(offsets > 0, 1 - lightness_, lightness_) / np.maximum(np.abs(offsets), 1e-9)
    found: NDArray[Any] = lightness_ + offsets * room.min(axis=-1, keepdims=True).clip(0, 1)
    return found


def apply_map(pixels: NDArray[Any], tone_map: ToneMap, amount: float = 1.0) -> NDArray[Any]:
    """A photo put through a map: what `--tone` does, without the network.

    Args:
        pixels: HW or HWC of 1 or 3 channels, uint8 or uint16, in sRGB.
        tone_map: `ToneMap.from_record(record["tone"]["map"])`. A curve of lightness leaves what channels differ from
            their luma; R = G = B stays so.
        amount: How much of it, from 0 (none) to 1.

    Returns:
        The same shape and dtype.
    """
    image = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype not in (np.uint8, np.uint16):
        raise UnsupportedScan(
            f"pixels are {pixels.dtype} of shape {pixels.shape}; give uint8 or uint16 of 1 or 3 channels"
        )
    if image.shape[2] == 1 and not tone_map.is_monochrome:
        raise UnsupportedScan(
            "the tone map is one of colours, the photo has one channel; give the map of its own record"
        )
    if amount == 0:
        return pixels.copy()
    work = _Lightened(tone_map.blended(amount)) if tone_map.is_monochrome else MappedColours(tone_map.blended(amount))
    top = highest_level(image.dtype)
    result = np.empty_like(image)
    for first, last in slabs(ArrayCanvas(image)):
        wide = image[first:last].astype(np.uint16) * np.uint16(TOP // top)
        result[first:last] = np.rint(work(wide) * np.float32(top)).astype(image.dtype)
    return result.reshape(pixels.shape)


class _Lightened:
    """The same of a curve of lightness."""

    def __init__(self, tone_map: ToneMap) -> None:
        (self._table,) = tone_map.tables()

    def __call__(self, levels: NDArray[np.uint16]) -> NDArray[np.float32]:
        luma = lightness(levels)
        offsets = (levels.astype(np.float32) - luma.astype(np.float32)) / np.float32(TOP)
        return with_room(self._table.clip(0, 1)[luma], offsets).astype(np.float32)
