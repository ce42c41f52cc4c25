"""The noise of a picture that need not lie in memory: measured in strips of rows, before the first tile."""

from __future__ import annotations

import torch
from torch import Tensor

from oldphoto_core.inference.canvas import Subject
from oldphoto_core.nets.noise_level import BLOCK, level_of, spreads
from oldphoto_core.nets.tiles import spread

STRIP = 4 * BLOCK
"""Rows of a strip."""
STRIPS = 48
"""Strips at most, spread evenly: noise is everywhere, so more of them say the same. Up to 3,072 rows are all read."""


def noise_of(subject: Subject) -> Tensor:
    """1 x 2, `noise_level` of a whole photo, the same however it is cut into tiles."""
    height = subject.height
    rows = min(STRIP, height)
    starts = spread(height, rows, min(STRIPS, -(-height // rows)), 1)
    parts = [spreads(*subject.rows(top, top + rows).window(0, subject.width)) for top in starts]
    found, counts = (torch.cat(both, dim=1) for both in zip(*parts, strict=True))
    return level_of(found, counts)
