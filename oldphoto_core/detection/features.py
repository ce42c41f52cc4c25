"""What is known of a component as numbers without a unit, so that they mean the same on scans of any size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.detection.components import SUMS, Table
from oldphoto_core.detection.surroundings import SCALE

Floats = NDArray[np.float64]

FEATURES = ("probability", "strong", "length", "width", "elongation", "distinct", "texture", "edge", "outside")
"""In the order of the columns of `features_of`."""
_FLOOR = 4.0
"""Levels that are added to what is divided by: below, a ratio says nothing."""


def features_of(table: Table, long_side: int) -> Floats:
    """A row for each component and a column for each of FEATURES.

    probability: mean over its pixels. strong: share of them from the seed on. length: half of its perimeter, and width:
    area by length; logarithms of both in thousandths of the long side. elongation: logarithm of length by width.
    distinct: its contrast to the intact pixels around it, by their standard deviation. texture: that, in tenths of the
    range of levels. edge: by how much its two sides differ, by its contrast: much where it lies along an edge of the
    picture. outside: share of its pixels beyond the levels of the picture itself.
    """
    of = {name: table[:, number].astype(np.float64) for number, name in enumerate(SUMS)}
    area = np.maximum(of["area"], 1.0)
    length = np.maximum(of["perimeter"] / 2.0, 1.0)
    width = area / length
    known, sided = np.maximum(of["known"], 1.0), np.maximum(of["sided"], 1.0)
    contrast = np.abs(of["contrast"]) / known / SCALE
    texture = of["texture"] / known / SCALE
    thousandth = max(1.0, long_side / 1000.0)
    columns = {
        "probability": of["level"] / area / 255.0,
        "strong": of["strong"] / area,
        "length": np.log(length / thousandth),
        "width": np.log(width / thousandth),
        "elongation": np.log(np.maximum(length / width, 1e-3)),
        "distinct": contrast / (texture + _FLOOR),
        "texture": texture / 25.5,
        "edge": of["sides"] / sided / SCALE / (contrast + _FLOOR),
        "outside": of["outside"] / area,
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)
