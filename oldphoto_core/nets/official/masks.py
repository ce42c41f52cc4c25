"""Masks at the latent's size as the published networks were trained with them.

`vae.mask_to_latent` counts a position as damaged as soon as one pixel under it is. The published code looks at fewer
pixels (of each 4 x 4: the middle four, and for the nonlocal block the first), so a hairline can slip between them.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def blended_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """`mask_N1HW` made smaller by bilinear interpolation; every non-zero becomes 1."""
    return (F.interpolate(mask, size, mode="bilinear", align_corners=False) > 0).to(mask.dtype)


def nonlocal_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """What the partial nonlocal block fills: 1 unless both the blended and the nearest mask call a position intact."""
    nearest = F.interpolate(mask, size, mode="nearest")
    return 1 - (1 - blended_mask(mask, size)) * (1 - nearest)
