"""A picture of any size through a network that looks only so far: in tiles with as much context as it looks at.

Preset `compact` has no statistic over space, so a tile with its halo equals the whole. Its nonlocal block alone looks
further: a sample of tiles spread over the picture goes first and leaves the positions that it found intact as the
evidence for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from math import ceil, sqrt

import numpy as np
import torch
from torch import Tensor

from oldphoto_core.canvas import Canvas
from oldphoto_core.inference.canvas import Subject, levels
from oldphoto_core.nets.nonlocal_attention import shared_evidence
from oldphoto_core.nets.tiles import Span, cut, spread

LARGEST = 2048
"""Side of a tile at most, in pixels: a larger one shares less context with its neighbours but leaves the caches."""
SAMPLE = 512
"""Side of the tiles that evidence is gathered from: small, so that they lie in many places."""
SAMPLES = 64
"""Of them at most: more find no more evidence than is looked at."""

Network = Callable[[Tensor, Tensor | None], Tensor]


def least_side(halo: int, multiple: int) -> int:
    """Of a tile that is worth its context: a third of it is inside."""
    return 2 * halo + multiple * ceil(halo / multiple)


class Tiles:
    """How one picture is cut."""

    def __init__(self, subject: Subject, halo: int, pixels: float) -> None:
        """`pixels`: as many as a tile, its context included, may have. Too few for a halo: the least that works."""
        self.subject = subject
        self.halo = halo
        self.pixels = pixels
        height, width, multiple = subject.height, subject.width, subject.multiple
        least = least_side(halo, multiple)
        side = max(least, min(LARGEST, int(sqrt(pixels))))
        # a low strip can have longer tiles
        rows = min(side, height)
        columns = max(least, min(int(pixels / rows), LARGEST * LARGEST // rows))
        self.rows = cut(height, rows // multiple * multiple, halo, multiple)
        self.columns = cut(width, columns // multiple * multiple, halo, multiple)

    @property
    def count(self) -> int:
        """Tiles."""
        return len(self.rows) * len(self.columns)

    @property
    def pixels_each(self) -> int:
        """Of one tile."""
        row, column = self.rows[0], self.columns[0]
        return (row.stop - row.start) * (column.stop - column.start)

    def samples(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Windows spread evenly over the picture, as many as fit into one tile's memory and are needed."""
        height, width, multiple = self.subject.height, self.subject.width, self.subject.multiple
        sides = min(SAMPLE, height), min(SAMPLE, width)
        count = max(1, min(SAMPLES, int(self.pixels / (sides[0] * sides[1]))))
        down = min(count, max(1, round(sqrt(count * height / width))))
        for top in spread(height, sides[0], down, multiple):
            rows = self.subject.rows(top, top + sides[0])
            for left in spread(width, sides[1], count // down, multiple):
                yield rows.window(left, left + sides[1])


def restore_tiles(
    network: Network, tiles: Tiles, result: Canvas, *, batch: int = 1, on_tile: Callable[[int, int], None]
) -> None:
    """Restores all tiles, `batch` at a time, and writes their insides; `on_tile` is called with how many are done."""
    done = 0
    with ExitStack() as stack:
        if tiles.subject.mask is not None:
            stack.enter_context(shared_evidence())
            images, masks = zip(*tiles.samples(), strict=True)
            network(torch.cat(images), _together(masks))
        for row in tiles.rows:
            subject = tiles.subject.rows(row.start, row.stop)
            kept = np.empty((row.inside_stop - row.inside_start, result.shape[1], result.shape[2]), result.dtype)
            for first in range(0, len(tiles.columns), batch):
                spans = tiles.columns[first : first + batch]
                windows = [subject.window(span.start, span.stop) for span in spans]
                image = torch.cat([window[0] for window in windows])
                mask = _together([window[1] for window in windows])
                for span, restored in zip(spans, network(image, mask), strict=True):
                    _keep(kept, restored, row, span, result)
                done += len(spans)
                on_tile(done, tiles.count)
            # what continues the picture beyond its border is not part of it
            bottom = min(row.inside_stop, result.shape[0])
            if bottom > row.inside_start:
                result.write(row.inside_start, kept[: bottom - row.inside_start])


def _together(masks: Sequence[Tensor | None]) -> Tensor | None:
    given = [mask for mask in masks if mask is not None]
    return torch.cat(given) if given else None


def _keep(kept: np.ndarray, restored: Tensor, row: Span, column: Span, result: Canvas) -> None:
    right = min(column.inside_stop, result.shape[1])
    inside = restored[
        :,
        row.inside_start - row.start : row.inside_stop - row.start,
        column.inside_start - column.start : right - column.start,
    ]
    kept[:, column.inside_start : right] = levels(inside, result)
