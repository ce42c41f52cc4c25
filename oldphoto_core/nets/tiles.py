"""Where the tiles of a picture lie: all of one size, each with as much context as the network looks at."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one side of the picture, in positions of the picture."""

    start: int
    stop: int
    """From here to there the tile is read."""
    inside_start: int
    inside_stop: int
    """From here to there its result is kept: the insides of all tiles are the picture, each position once."""


def cut(side: int, window: int, halo: int, multiple: int) -> list[Span]:
    """As few spans as possible of one length, `window` at most; what is kept has `halo` positions of context around it.

    `side`, `window` and `halo` are multiples of `multiple`, and so are all starts: a network that takes every
    `multiple`-th position takes the same ones in the tile as in the whole.
    """
    if side <= window:
        return [Span(0, side, 0, side)]
    if window < 2 * halo + multiple:
        raise ValueError(f"a window of {window} leaves nothing inside a halo of {halo}")
    count = -(-(side - 2 * halo) // (window - 2 * halo))
    window = _up(-(-(side + (count - 1) * 2 * halo) // count), multiple)
    starts = [index * (side - window) // (count - 1) // multiple * multiple for index in range(count)]
    borders = [0, *((here + window + following) // 2 for here, following in pairwise(starts)), side]
    return [
        Span(start, start + window, begin, end) for start, (begin, end) in zip(starts, pairwise(borders), strict=True)
    ]


def spread(side: int, window: int, count: int, multiple: int) -> list[int]:
    """Starts of `count` windows, evenly from one end of the side to the other; fewer where they would coincide."""
    if count == 1:
        return [(side - window) // 2 // multiple * multiple]
    return sorted({index * (side - window) // (count - 1) // multiple * multiple for index in range(count)})


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
