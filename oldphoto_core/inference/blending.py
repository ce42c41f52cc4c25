"""Filling what is damaged and nothing else: planes of damage, their soft edge, and the two pictures put together.

A plane says of each pixel how much of it is the network's: 0 = the master's, bit for bit, 255 = the network's, and
between them a mixture. Everything works in slabs of rows and in integers, so a picture on disk gets the same bytes as
one in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import highest_level

if TYPE_CHECKING:
    from oldphoto_core.canvas import Canvas

DAMAGED = 255
"""In a plane: all of the pixel is the network's."""
WIDEST = 100
"""Pixels of the soft edge at most; its steps would not fit into eight bits much above."""

_SLAB = 4 * 2**20
"""Bytes of the photo that are worked on at once."""
# in turn they grow an octagon, which is nearer to a disc than either
_SQUARE = np.ones((3, 3), np.uint8)
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def margin_of(height: int, width: int) -> int:
    """Pixels by which damage is widened: a thousandth of the long side, one at least."""
    return min(WIDEST, max(1, round(max(height, width) / 1000)))


def slabs(canvas: Canvas) -> Iterator[tuple[int, int]]:
    """(top, bottom) of slabs of rows that together are the picture."""
    height, width, channels = canvas.shape
    step = max(1, _SLAB // (width * channels * canvas.dtype.itemsize))
    yield from ((top, min(top + step, height)) for top in range(0, height, step))


def feathered(damaged: NDArray[np.bool_], margin: int) -> NDArray[np.uint8]:
    """A plane in which damage is widened, and fades outwards over what was added.

    Args:
        damaged: HW.
        margin: Pixels to add on every side, 0 to 100.

    Returns:
        HW: 255 where damaged, less with every pixel away from there, 0 from `margin` + 1 pixels on.
    """
    reached = damaged.astype(np.uint8)
    rings = reached.copy()
    for step in range(margin):
        reached = cv2.dilate(reached, _CROSS if step % 2 else _SQUARE).astype(np.uint8, copy=False)
        rings += reached
    levels: NDArray[np.uint8] = np.rint(np.arange(margin + 2) * DAMAGED / (margin + 1)).astype(np.uint8)
    return levels[rings]


def widen(damage: Canvas, plane: Canvas, margin: int) -> None:
    """`feathered` for canvases of one channel: every row of `plane` is written.

    `damage` is of the same size, not 0 = damaged.
    """
    height = damage.shape[0]
    for top, bottom in slabs(damage):
        first, last = max(0, top - margin), min(height, bottom + margin)
        damaged = damage.read(first, last)[..., 0] != 0
        plane.write(top, feathered(damaged, margin)[top - first : bottom - first, :, np.newaxis])


def add_damage(damage: Canvas, more: Canvas | None) -> None:
    """Makes `damage` (one channel, not 0 = damaged) a plane in which also what `more` calls damaged is damaged."""
    for top, bottom in slabs(damage):
        damaged = damage.read(top, bottom) != 0
        if more is not None:
            damaged |= more.read(top, bottom) != 0
        damage.write(top, np.where(damaged, np.uint8(DAMAGED), np.uint8(0)))


def coverage(plane: Canvas) -> float:
    """Share of the pixels that are not 0, from 0 to 1."""
    height, width, _ = plane.shape
    return sum(int(np.count_nonzero(plane.read(*slab))) for slab in slabs(plane)) / (height * width)


def blend(master: Canvas, restored: Canvas, plane: Canvas) -> None:
    """Makes `restored` the master's wherever the plane is 0, and the plane's mixture of both elsewhere."""
    for top, bottom in slabs(master):
        mixed = master.read(top, bottom).copy()
        weight = plane.read(top, bottom)[..., 0]
        inside = weight != 0
        if inside.any():
            mixed[inside] = _mixture(mixed[inside], restored.read(top, bottom)[inside], weight[inside, np.newaxis])
        restored.write(top, mixed)


def clear_regions(plane: Canvas, regions: Sequence[tuple[int, int, int, int]]) -> None:
    """Makes a plane 0 in regions (left, top, width, height); what of them lies outside of it does not count."""
    for left, top, width, height in regions:
        for first, last in _slabs_between(plane, top, top + height):
            rows = plane.read(first, last).copy()
            rows[:, left : left + width] = 0
            plane.write(first, rows)


def copy_regions(master: Canvas, restored: Canvas, regions: Sequence[tuple[int, int, int, int]]) -> None:
    """Makes `restored` the master's, bit for bit, in regions (left, top, width, height)."""
    for left, top, width, height in regions:
        for first, last in _slabs_between(master, top, top + height):
            rows = restored.read(first, last).copy()
            rows[:, left : left + width] = master.read(first, last)[:, left : left + width]
            restored.write(first, rows)


def _slabs_between(canvas: Canvas, top: int, bottom: int) -> Iterator[tuple[int, int]]:
    """Slabs of the rows from `top` to before `bottom`, as far as the picture has them."""
    for first, last in slabs(canvas):
        if max(first, top) < min(last, bottom):
            yield max(first, top), min(last, bottom)


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two pictures are from each other: |derivative - master|, in levels of their depth."""

    peak: int
    """The highest level, 255 or 65535."""
    pixels: int
    changed: int
    """Pixels that differ in any channel."""
    sums: tuple[int, ...]
    """Of the differences, per channel."""
    squares: tuple[int, ...]
    """Of the squared differences, summed, per channel."""
    maxima: tuple[int, ...]
    """The largest difference, per channel."""

    @property
    def changed_share(self) -> float:
        """Share of the pixels that differ in any channel, from 0 to 1."""
        return self.changed / self.pixels

    @property
    def means(self) -> tuple[float, ...]:
        """Of the differences, per channel."""
        return tuple(total / self.pixels for total in self.sums)

    @property
    def rms(self) -> float:
        """Root of the mean square over all channels."""
        return math.sqrt(sum(self.squares) / (self.pixels * len(self.squares)))

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB; infinite where nothing differs."""
        return 20 * math.log10(self.peak / self.rms) if self.rms else math.inf


def difference(master: Canvas, restored: Canvas) -> Difference:
    """In sums of integers, so that a picture on disk gets the same numbers as one in memory."""
    height, width, _ = master.shape
    parts = (_differences(master.read(*slab), restored.read(*slab)) for slab in slabs(master))
    changed, sums, squares, maxima = zip(*parts, strict=True)
    return Difference(
        highest_level(master.dtype),
        height * width,
        sum(changed),
        tuple(map(sum, zip(*sums, strict=True))),
        tuple(map(sum, zip(*squares, strict=True))),
        tuple(map(max, zip(*maxima, strict=True))),
    )


def summed(differences: Sequence[Difference]) -> Difference | None:
    """Of several pictures together; None where there are none, or their depths or channels are not the same."""
    if len({(one.peak, len(one.sums)) for one in differences}) != 1:
        return None
    return Difference(
        differences[0].peak,
        sum(one.pixels for one in differences),
        sum(one.changed for one in differences),
        tuple(map(sum, zip(*(one.sums for one in differences), strict=True))),
        tuple(map(sum, zip(*(one.squares for one in differences), strict=True))),
        tuple(map(max, zip(*(one.maxima for one in differences), strict=True))),
    )


def _differences(old: NDArray[Any], new: NDArray[Any]) -> tuple[int, list[int], list[int], list[int]]:
    """Of some rows: pixels that differ; sums, squared sums and maxima per channel."""
    planes = cv2.split(cv2.absdiff(old, new))
    differs = planes[0]
    for plane in planes[1:]:
        differs = cv2.bitwise_or(differs, plane)
    sums = [round(cv2.sumElems(plane)[0]) for plane in planes]
    squares = [round(cv2.norm(plane, cv2.NORM_L2SQR)) for plane in planes]
    return cv2.countNonZero(differs), sums, squares, [int(plane.max()) for plane in planes]


def _mixture(old: NDArray[Any], new: NDArray[Any], weight: NDArray[np.uint8]) -> NDArray[Any]:
    """Rounded; exactly the new at 255."""
    share = weight.astype(np.uint32)
    return ((old * (DAMAGED - share) + new * share + DAMAGED // 2) // DAMAGED).astype(old.dtype)
