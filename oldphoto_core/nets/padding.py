"""Pictures continued to the sizes that networks take."""

from __future__ import annotations

import torch
from torch import Tensor


def side_for(side: int, multiple: int, minimum: int) -> int:
    """The least multiple of `multiple` that is neither below `side` nor below `minimum`."""
    return -(-max(side, minimum) // multiple) * multiple


def reflected(side: int, start: int, stop: int) -> Tensor:
    """Where positions `start` to `stop` of a side lie when it is continued by reflection, to and fro; int64."""
    period = max(2 * side - 2, 1)
    places = torch.arange(start, stop) % period
    return torch.minimum(places, period - places) if side > 1 else torch.zeros_like(places)


def mirrored(picture: Tensor, multiple: int, minimum: int) -> Tensor:
    """N C H W continued to the right and below by reflection, to and fro where it is smaller than what is missing."""
    for dim in (-2, -1):
        side = picture.shape[dim]
        target = side_for(side, multiple, minimum)
        if target > side:
            picture = picture.index_select(dim, reflected(side, 0, target).to(picture.device))
    return picture
