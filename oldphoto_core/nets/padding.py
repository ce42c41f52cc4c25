"""Pictures continued to the sizes that networks take."""

from __future__ import annotations

import torch
from torch import Tensor


def side_for(side: int, multiple: int, minimum: int) -> int:
    """The least multiple of `multiple` that is neither below `side` nor below `minimum`."""
    return -(-max(side, minimum) // multiple) * multiple


def mirrored(picture: Tensor, multiple: int, minimum: int) -> Tensor:
    """N C H W continued to the right and below by reflection, to and fro where it is smaller than what is missing."""
    for dim in (-2, -1):
        side = picture.shape[dim]
        target = side_for(side, multiple, minimum)
        if target > side:
            period = max(2 * side - 2, 1)
            place = torch.arange(target, device=picture.device) % period
            picture = picture.index_select(dim, torch.minimum(place, period - place) if side > 1 else place)
    return picture
