"""The grey picture in which damage is looked for."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Rec. 601 weights of red, green and blue."""


def luminance(image: Tensor) -> Tensor:
    """`image_N3HW` -> N1HW in the same range; N1HW is returned as it is."""
    if image.shape[1] == 1:
        return image
    weights = torch.tensor(LUMA, dtype=image.dtype, device=image.device)
    return torch.einsum("nchw,c->nhw", image, weights).unsqueeze(1)
