"""What a local network may do to tones: its output's low frequencies are held to one affine map of its input's.

A network that sees a small window guesses how much was faded, a little differently in each place: clouds in skies and
walls. So the map from the input's colours to the output's is fitted over the whole photo, and where the output is
brighter or darker than it says, over distances of more than about a sixteenth of the long side, that is taken back.
What is finer stays the network's. Damaged pixels have no part in it: they get the correction of their surroundings.

The map is affine because blurring an affine map of a photo gives the same as mapping the blurred photo. With a curve it
would not, and what differs would be a halo along every border of light and dark.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.tone.grid import CELLS, Floats, Grid

BLUR = CELLS / 64
"""Standard deviation in cells of the Gaussian that says what counts as low frequencies."""
_REACHES = ((1.0, 1.0), (4.0, 1e-2), (16.0, 1e-4))
"""(times BLUR, weight): intact surroundings of damage count as far as they must be looked for."""
_EVERY = 3
"""Every so many cells of each side are fitted: blurred ones tell nothing new in between."""


class Correction:
    """A smooth field that is added to a photo, row by row."""

    def __init__(self, field: Floats, grid: Grid) -> None:
        """`field_HWC` of the grid's cells, in levels from 0 to 1."""
        self.field = field
        self._down = _between(_places(grid.rows), int(grid.rows[-1]))
        low, high, share = _between(_places(grid.columns), int(grid.columns[-1]))
        # along the rows at once, down the columns as rows come
        across = field[:, low] * (1 - share)[:, np.newaxis] + field[:, high] * share[:, np.newaxis]
        self._across = np.ascontiguousarray(across, np.float32)

    def rows(self, top: int, bottom: int) -> NDArray[np.float32]:
        """HWC of the picture's rows from `top` to before `bottom`."""
        low, high, share = (part[top:bottom] for part in self._down)
        weight = share.astype(np.float32)[:, np.newaxis, np.newaxis]
        result = self._across[high]
        result -= self._across[low]
        result *= weight
        result += self._across[low]
        return result


def correction(before: Floats, after: Floats, grid: Grid, *, identity: bool = False) -> Correction:
    """What must be added to a restored photo.

    Args:
        before: HWC of the cells of the photo that the network saw, from 0 to 1.
        after: The same of what it made.
        grid: Whose cells they are; it knows how much of each is intact.
        identity: The output's low frequencies are held to the input's own, and not to a map of them.
    """
    shares = grid.shares()
    if not shares.any():
        return Correction(np.zeros_like(after), grid)
    aim = before if identity else _mapped(before, after, shares)
    return Correction(_smooth(aim - after, shares), grid)


def _mapped(before: Floats, after: Floats, shares: Floats) -> Floats:
    """`before` through the map whose low frequencies are nearest to those of `after`."""
    terms = np.concatenate([before, np.ones_like(before[..., :1])], axis=2)
    weights = cv2.GaussianBlur(shares, (0, 0), BLUR, borderType=cv2.BORDER_CONSTANT)
    both = np.concatenate([terms, after], axis=2) * shares[..., np.newaxis]
    blurred = np.stack([_gaussian(both[..., plane]) for plane in range(both.shape[2])], axis=2)
    known = (blurred / np.maximum(weights, 1e-6)[..., np.newaxis])[::_EVERY, ::_EVERY]
    counts = np.sqrt(weights[::_EVERY, ::_EVERY].reshape(-1, 1))
    points = known.reshape(-1, both.shape[2]) * counts
    count = terms.shape[2]
    coefficients = np.linalg.lstsq(points[:, :count], points[:, count:], rcond=1e-5)[0]
    mapped: Floats = terms @ coefficients
    return mapped


def _smooth(values: Floats, shares: Floats) -> Floats:
    """The low frequencies of `values_HWC` over what is intact; where nothing is near, of what is nearest."""
    total: NDArray[Any] = np.zeros_like(shares)
    summed: NDArray[Any] = np.zeros_like(values)
    damaged = bool((shares < 1).any())
    for times, weight in _REACHES if damaged else _REACHES[:1]:
        total += weight * _gaussian(shares, times)
        for plane in range(values.shape[2]):
            summed[..., plane] += weight * _gaussian(values[..., plane] * shares, times)
    if damaged:
        summed += 1e-8 * (values * shares[..., np.newaxis]).sum(axis=(0, 1)) / shares.sum()
        total += 1e-8
    smooth: Floats = summed / total[..., np.newaxis]
    return smooth


def _gaussian(plane: Floats, times: float = 1.0) -> Floats:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), BLUR * times, borderType=cv2.BORDER_CONSTANT), np.float64)


def _places(edges: NDArray[np.int64]) -> Floats:
    """Of the middles of cells, in pixels."""
    return (edges[:-1] + edges[1:] - 1) / 2


def _between(places: Floats, side: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """For each pixel of a side: the two nearest cells, and the share of the second."""
    at = np.interp(np.arange(side), places, np.arange(len(places)))
    low = np.floor(at).astype(np.int64)
    return low, np.minimum(low + 1, len(places) - 1), at - low
