"""What the tone network minimises: how different colours look, not how far their levels are apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from oldphoto_core.colour_difference import TO_XYZ

CELL = 3
"""Pixels of each side of what is compared: a map of tones is not asked for grain."""
SCALE = 30.0
"""Units of the difference that count as one: about the L1 distance of levels then."""
LEAST = 1e-4
"""Below it levels count as this: the slope of a root at 0 is without bound."""


def colour_distance(made: Tensor, clean: Tensor) -> Tensor:
    """Mean difference of two pictures N3HW in levels from 0 to 1; those of `made` may be beyond, at a price.

    As CIE94 has it (CIE 116-1995), but for one weight of chroma and hue: a difference in lightness counts the same
    everywhere, one of colour less where the clean colour is strong. CIEDE2000 has no slope at grey.
    """
    ours, theirs = (_lab(F.avg_pool2d(picture, min(CELL, *picture.shape[2:]))) for picture in (made, clean))
    weight = 1.0 / (1.0 + 0.045 * torch.linalg.vector_norm(theirs[:, 1:], dim=1, keepdim=True))
    difference = ours - theirs
    squares = difference[:, :1].square() + (difference[:, 1:] * weight).square().sum(dim=1, keepdim=True)
    beyond = (made - made.clamp(0.0, 1.0)).abs().mean()
    distance: Tensor = (squares + LEAST).sqrt().mean() / SCALE + beyond
    return distance


def _lab(levels: Tensor) -> Tensor:
    """sRGB N3HW -> L*a*b* N3HW, with finite slopes everywhere."""
    levels = levels.clamp(LEAST, 1.0)
    light = torch.where(levels > 0.04045, ((levels + 0.055) / 1.055) ** 2.4, levels / 12.92)
    to_xyz = (TO_XYZ / TO_XYZ.sum(dim=1, keepdim=True)).to(light)
    ratios = torch.einsum("xc,nchw->nxhw", to_xyz, light)
    edge = 6 / 29
    x, y, z = torch.where(
        ratios > edge**3, ratios.clamp_min(edge**3) ** (1 / 3), ratios / (3 * edge**2) + 4 / 29
    ).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)
