"""Connected components of a map of any size, in slabs of rows, with what each of them consists of.

A component may reach over many slabs. Its pixels are found again in a second pass, which labels every slab as the first
one did, so no labels are kept: a component costs one bit, and its sums only as long as it is open at a slab's edge. All
sums are of whole numbers, so neither they nor the result depend on the height of the slabs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

SUMS = ("area", "strong", "level", "perimeter", "known", "contrast", "texture", "sided", "sides", "outside")
"""What is summed over the pixels of a component: their number, those from the seed on, their probabilities in 255ths,
and what lies around them (`surroundings`)."""
_BOX = 4
"""Columns after SUMS: least and largest row, least and largest column."""

Table = NDArray[np.int64]
"""A row for each component: SUMS, then the box."""
Labels = NDArray[np.int32]


def label(marked: NDArray[np.bool_]) -> tuple[int, Labels]:
    """How many components a slab HW has (8 neighbours), and the labels of its pixels; 0 is none."""
    found, labels = cv2.connectedComponents(marked.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return found - 1, np.asarray(labels, np.int32)


def sums_of(labels: Labels, count: int, top: int, maps: dict[str, NDArray[np.int64]]) -> Table:
    """The table of a slab that begins at row `top`; `maps` HW has all of SUMS but the area."""
    table = np.zeros((count, len(SUMS) + _BOX), np.int64)
    rows, columns = np.nonzero(labels)
    places = labels[rows, columns] - 1
    for number, name in enumerate(SUMS):
        weights = None if name == "area" else maps[name][rows, columns]
        table[:, number] = np.rint(np.bincount(places, weights, minlength=count)).astype(np.int64)
    rows = rows + top
    least, most = np.full((count, 2), np.iinfo(np.int64).max), np.full((count, 2), -1)
    for side, values in enumerate((rows, columns)):
        np.minimum.at(least[:, side], places, values)
        np.maximum.at(most[:, side], places, values)
    table[:, len(SUMS) :] = np.stack([least[:, 0], most[:, 0], least[:, 1], most[:, 1]], axis=1)
    return table


@dataclass(slots=True)
class _Open:
    """A component that reaches the last row seen so far."""

    row: NDArray[np.int64]
    parts: list[tuple[int, NDArray[np.int64]]]
    """Slabs, and its labels in each of them."""


def _joined(above: list[_Open], table: Table, slab: int, labels: list[int]) -> _Open:
    """Open components, and those of a slab that continue them or begin there, as one."""
    rows = np.concatenate([table, *(one.row[np.newaxis] for one in above)])
    box = rows[:, len(SUMS) :]
    ends = [box[:, 0].min(), box[:, 1].max(), box[:, 2].min(), box[:, 3].max()]
    parts = [part for one in above for part in one.parts]
    if labels:
        parts.append((slab, np.array(labels, np.int64)))
    return _Open(np.concatenate([rows[:, : len(SUMS)].sum(axis=0), np.array(ends, np.int64)]), parts)


@dataclass(slots=True)
class Components:
    """Judges components as soon as they end. Slabs are added from the top; `finish` once all are."""

    judge: Callable[[Table], NDArray[np.bool_]]
    """Which components of a table are kept."""
    _kept: list[NDArray[np.uint8]] = field(default_factory=list)
    """For each slab a bit for each label."""
    _counts: list[int] = field(default_factory=list)
    _open: dict[int, _Open] = field(default_factory=dict)
    """By its label in the last slab."""
    _edge: Labels | None = None
    """Labels of the last row."""

    def add(self, labels: Labels, table: Table) -> None:
        """Takes the next slab: its labels HW and their table."""
        slab, before = len(self._counts), self._open
        groups = self._groups(labels[0]) if before else []
        ending = set(np.unique(labels[-1][labels[-1] > 0]).tolist())
        taken = {one for _, here in groups for one in here}
        groups += [([], [one]) for one in ending - taken]
        alone = np.ones(len(table), bool)
        alone[[one - 1 for one in taken | ending]] = False
        kept = np.zeros(len(table), bool)
        kept[alone] = self.judge(table[alone])
        self._counts.append(len(table))
        self._kept.append(np.packbits(kept))
        self._edge, self._open = labels[-1].copy(), {}
        closed = []
        for above, here in groups:
            joined = _joined([before[one] for one in above], table[[one - 1 for one in here]], slab, here)
            goes_on = [one for one in here if one in ending]
            self._open |= dict.fromkeys(goes_on, joined)
            closed += [] if goes_on else [joined]
        self._close(closed)

    def finish(self) -> Iterator[NDArray[np.bool_]]:
        """For each slab, from the top, which of its labels are kept: element 0 is of no component."""
        self._close(list({id(one): one for one in self._open.values()}.values()))
        self._open = {}
        for count, kept in zip(self._counts, self._kept, strict=True):
            yield np.concatenate([[False], np.unpackbits(kept, count=count).astype(bool)])

    def _close(self, closed: list[_Open]) -> None:
        if not closed:
            return
        verdicts = self.judge(np.stack([one.row for one in closed]))
        for one in (one for one, keep in zip(closed, verdicts, strict=True) if keep):
            for slab, numbers in one.parts:
                bits = np.unpackbits(self._kept[slab])
                bits[numbers - 1] = 1
                self._kept[slab] = np.packbits(bits)

    def _groups(self, first: Labels) -> list[tuple[list[int], list[int]]]:
        """Open components and labels of the next row that belong together: (labels above, labels here)."""
        assert self._edge is not None
        parent: dict[tuple[str, int], tuple[str, int]] = {}

        def root(one: tuple[str, int]) -> tuple[str, int]:
            while parent.setdefault(one, one) != one:
                parent[one] = parent[parent[one]]
                one = parent[one]
            return one

        first_of: dict[int, int] = {}
        for number, one in self._open.items():
            # labels of one open component are one already
            parent[root(("above", number))] = root(("above", first_of.setdefault(id(one), number)))
        for above, here in _touching(self._edge, first):
            parent[root(("here", here))] = root(("above", above))
        groups: dict[tuple[str, int], tuple[list[int], list[int]]] = {}
        for side, label_ in list(parent):
            above_, here_ = groups.setdefault(root((side, label_)), ([], []))
            if side == "here":
                here_.append(label_)
            elif first_of[id(self._open[label_])] == label_:
                above_.append(label_)
        return list(groups.values())


def _touching(edge: Labels, first: Labels) -> set[tuple[int, int]]:
    """Pairs of labels in the last row of a slab and the first of the next that touch, also across a corner."""
    pairs: set[tuple[int, int]] = set()
    for above, here in ((edge, first), (edge[1:], first[:-1]), (edge[:-1], first[1:])):
        both = (above > 0) & (here > 0)
        pairs |= set(zip(above[both].tolist(), here[both].tolist(), strict=True))
    return pairs
