"""Detector of preset `compact`: a lean U-Net from a grey photo to a score per pixel, without a statistic over space."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.nets.blocks import GatedBlock

WIDTHS = (32, 48, 64, 96)
"""Channels at half, quarter, eighth and sixteenth of the resolution."""
BLOCKS = (1, 1, 2, 3)
"""Gated blocks on the way down at each level; one on the way up."""
FINE = 8
"""Channels at full resolution."""


class CompactDetector(nn.Module):
    """0.36 M parameters. Four pixels become channels of one position before anything else is computed, so that no block
    works at full resolution; only the last two convolutions see single pixels again, where hairlines are one wide."""

    multiple = 2 ** len(WIDTHS)
    """Sides must be multiples of this."""
    minimum = multiple
    halo = 128
    """Pixels of context on each side with which a tile equals the whole, a multiple of `multiple` (a test holds it)."""
    bytes_per_pixel = 700
    """Peak memory of a forward pass on a CPU, per pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, WIDTHS[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(*(GatedBlock(width) for _ in range(count)))
            for width, count in zip(WIDTHS, BLOCKS, strict=True)
        )
        self.halve = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(WIDTHS))
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(WIDTHS))
        self.up = nn.ModuleList(GatedBlock(width) for width in WIDTHS[:-1])
        self.spread = nn.Conv2d(WIDTHS[0], 4 * FINE, 1)
        self.sharpen = nn.Conv2d(FINE + 1, 2 * FINE, 3, padding=1)
        self.score = nn.Conv2d(2 * FINE, 1, 3, padding=1)

    def forward(self, grey: Tensor) -> Tensor:
        """`grey_N1HW` in [-1, 1] -> N1HW scores; their sigmoid is the probability that a pixel is damaged."""
        x = self.down[0](self.first(F.pixel_unshuffle(grey, 2)))
        bridges: list[Tensor] = []
        for halve, blocks in zip(self.halve, self.down[1:], strict=True):
            bridges.append(x)
            x = blocks(halve(x))
        for narrow, block, bridge in zip(reversed(self.narrow), reversed(self.up), reversed(bridges), strict=True):
            # narrowed before it is enlarged: the same result for a quarter of the products
            wide = F.interpolate(narrow(x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(bridge + wide)
        fine = F.pixel_shuffle(self.spread(x), 2)
        scores: Tensor = self.score(F.relu(self.sharpen(torch.cat([fine, grey], dim=1))))
        return scores
