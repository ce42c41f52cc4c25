"""Colours as people see them: CIE L*a*b* of sRGB, and the CIEDE2000 difference of two colours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SEVEN = 25.0**7
TO_XYZ = torch.tensor(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    dtype=torch.float64,
)
"""Linear sRGB to XYZ (IEC 61966-2-1); white is the sum of each row."""


def lab_of(image: Tensor) -> Tensor:
    """sRGB 3HW in [0, 1] -> L*a*b* 3HW float64 (D65), L* from 0 to 100."""
    levels = image.double()
    light = torch.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    ratios = torch.einsum("xc,chw->xhw", TO_XYZ, light) / TO_XYZ.sum(dim=1)[:, None, None]
    edge = 6 / 29
    x, y, z = torch.where(ratios > edge**3, ratios.clamp_min(0) ** (1 / 3), ratios / (3 * edge**2) + 4 / 29)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def ciede2000(first: Tensor, second: Tensor) -> Tensor:
    """Difference of L*a*b* colours 3HW -> HW; about 1 is just visible.

    Sharma, Wu, Dalal: The CIEDE2000 Color-Difference Formula (Color Research and Application 30, 2005), their symbols.
    """
    light1, chroma1, hue1, light2, chroma2, hue2 = (*_adapted(first, second), *_adapted(second, first))
    grey = chroma1 * chroma2 == 0
    turn = torch.remainder(hue2 - hue1 + math.pi, 2 * math.pi) - math.pi
    turn = torch.where(grey, 0.0, turn)
    step = 2 * torch.sqrt(chroma1 * chroma2) * torch.sin(turn / 2)
    light, chroma = (light1 + light2) / 2, (chroma1 + chroma2) / 2
    hue = torch.where(grey, hue1 + hue2, hue1 + turn / 2)
    weight_light = 1 + 0.015 * (light - 50).square() / torch.sqrt(20 + (light - 50).square())
    weight_chroma, weight_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * _uneven_hue(hue)
    d_light, d_chroma, d_hue = (light2 - light1) / weight_light, (chroma2 - chroma1) / weight_chroma, step / weight_hue
    return torch.sqrt(
        (d_light.square() + d_chroma.square() + d_hue.square() + _rotation(chroma, hue) * d_chroma * d_hue).clamp_min(0)
    )


def _adapted(lab: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """L, C', h' (radians) of one of two colours: a is stretched where both have little chroma."""
    mean = (torch.hypot(lab[1], lab[2]) + torch.hypot(other[1], other[2])) / 2
    a = lab[1] * (1.5 - 0.5 * torch.sqrt(mean**7 / (mean**7 + SEVEN)))
    return lab[0], torch.hypot(a, lab[2]), torch.remainder(torch.atan2(lab[2], a), 2 * math.pi)


def _uneven_hue(hue: Tensor) -> Tensor:
    """T: how differently the eye tells hues apart."""
    return (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )


def _rotation(chroma: Tensor, hue: Tensor) -> Tensor:
    """R_T: in blue, differences of chroma and hue add up otherwise."""
    degrees = torch.rad2deg(torch.remainder(hue, 2 * math.pi))
    turned = math.radians(60) * torch.exp(-((degrees - 275) / 25).square())
    return -2 * torch.sqrt(chroma**7 / (chroma**7 + SEVEN)) * torch.sin(turned)
