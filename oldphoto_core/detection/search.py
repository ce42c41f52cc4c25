"""From a detector's probabilities to a mask: hysteresis, and components judged as wholes; for pictures of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import Readable
from oldphoto_core.detection.components import SUMS, Components, Labels, Table, label, sums_of
from oldphoto_core.detection.decision import Decision
from oldphoto_core.detection.frame import Frame
from oldphoto_core.detection.surroundings import HALO, Range, grey_of, surroundings

SLAB = 2**20
"""Pixels that are looked at once, at least a row."""


class Writable(Readable, Protocol):
    """A picture that is also written in rows."""

    def write(self, top: int, rows: NDArray[Any]) -> None:
        """Puts HWC rows in place, from `top` on."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The pixels that may be damaged, of one picture."""

    photo: Readable
    """1 or 3 channels of uint8 or uint16."""
    levels: Writable
    """HW1: probabilities in 255ths."""
    weak: int
    """A pixel may be damaged from this level on."""
    strong: int
    """A component has at least a pixel from this level on."""
    frame: Frame
    own: Range

    def slabs(self) -> Iterator[tuple[int, int]]:
        """First and last row, exclusive, of what is looked at at once."""
        height, width = self.photo.shape[:2]
        step = max(1, SLAB // width)
        yield from ((top, min(top + step, height)) for top in range(0, height, step))

    def marked(self, top: int, bottom: int) -> NDArray[np.bool_]:
        """HW: what may be damaged in those rows."""
        may: NDArray[np.bool_] = self.levels.read(top, bottom)[..., 0] >= self.weak
        return may & self.frame.inside(top, bottom, self.photo.shape[1])

    def labels(self, top: int, bottom: int) -> tuple[int, Labels]:
        """How many components those rows have, and which pixel is of which."""
        return label(self.marked(top, bottom))

    def table(self, top: int, bottom: int, labels: Labels, count: int) -> Table:
        """What the components in those rows consist of."""
        if not count:
            return np.zeros((0, len(SUMS) + 4), np.int64)
        first, last = max(0, top - HALO), min(self.photo.shape[0], bottom + HALO)
        around = surroundings(grey_of(self.photo.read(first, last)), self.marked(first, last), self.own)
        maps = {name: values[top - first : bottom - first] for name, values in around.items()}
        levels = self.levels.read(top, bottom)[..., 0]
        maps["level"] = levels.astype(np.int64)
        maps["strong"] = (levels >= self.strong).astype(np.int64)
        return sums_of(labels, count, top, maps)


def mark(candidates: Candidates, decision: Decision) -> tuple[int, int]:
    """Replaces the levels by the mask, 1 = damaged; returns how many pixels are, and the sum of their levels."""
    long_side = max(candidates.photo.shape[:2])
    components = Components(lambda table: decision.keep(table, long_side))
    for top, bottom in candidates.slabs():
        count, labels = candidates.labels(top, bottom)
        components.add(labels, candidates.table(top, bottom, labels, count))
    marked = total = 0
    for (top, bottom), kept in zip(candidates.slabs(), components.finish(), strict=True):
        _, labels = candidates.labels(top, bottom)
        levels = candidates.levels.read(top, bottom)[..., 0]
        damaged = kept[labels]
        marked, total = marked + int(damaged.sum()), total + int(levels[damaged].sum(dtype=np.int64))
        candidates.levels.write(top, damaged.astype(np.uint8)[..., np.newaxis])
    return marked, total


def mark_by_threshold(
    rows: NDArray[np.uint8], least: int, inside: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], int, int]:
    """Rows HW1 of levels, each pixel decided by itself: the mask HW1, how many are damaged, and their levels' sum."""
    damaged = (rows[..., 0] >= least) & inside
    return damaged.astype(np.uint8)[..., np.newaxis], int(damaged.sum()), int(rows[damaged].sum(dtype=np.int64))
