"""Detector of preset `compact`: a lean U-Net from a grey photo to a score per pixel."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.nets.standardised import StandardisedConv2d

WIDTHS = (32, 48, 96, 128, 192)
"""Channels at half of the resolution, a quarter and so on."""
FINE = 8
"""Channels at full resolution, before the last two convolutions."""
RARE = -2.0
"""First bias of the scores: damage is rare, and a network that begins with that belief has less to unlearn."""


def _convolved(inside: int, outside: int) -> nn.Sequential:
    """3x3, ReLU; the size is kept. No statistic over space or batch: a tile equals the whole."""
    return nn.Sequential(StandardisedConv2d(inside, outside), nn.ReLU(inplace=True))


class CompactDetector(nn.Module):
    """1.29 M parameters. Four pixels become channels of one position before anything else is computed, so that no block
    works at full resolution; only the last two convolutions see single pixels again, where hairlines are one wide."""

    multiple = 2 ** len(WIDTHS)
    """Sides must be multiples of this."""
    minimum = multiple
    halo = 224
    """Pixels of context on each side with which a tile equals the whole, a multiple of `multiple` (a test holds it)."""
    bytes_per_pixel = 500
    """Peak memory of a forward pass on a CPU, per pixel."""
    norms_over_batch = False
    """Whether what is computed of a picture in training depends on the others of its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(_convolved(4, WIDTHS[0]), _convolved(WIDTHS[0], WIDTHS[0]))
        self.down = nn.ModuleList(
            nn.Sequential(_convolved(fine, coarse), _convolved(coarse, coarse)) for fine, coarse in pairwise(WIDTHS)
        )
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(WIDTHS))
        self.up = nn.ModuleList(_convolved(width, width) for width in WIDTHS[:-1])
        self.spread = nn.Conv2d(WIDTHS[0], 4 * FINE, 1)
        self.sharpen = _convolved(FINE + 1, 2 * FINE)
        self.score = nn.Conv2d(2 * FINE, 1, 3, padding=1)
        nn.init.constant_(self.score.bias, RARE)  # type: ignore[arg-type]

    def forward(self, grey: Tensor) -> Tensor:
        """`grey_N1HW` in [-1, 1] -> N1HW scores; their sigmoid is the probability that a pixel is damaged."""
        x: Tensor = self.first(F.pixel_unshuffle(grey, 2))
        bridges: list[Tensor] = []
        for blocks in self.down:
            bridges.append(x)
            x = blocks(F.max_pool2d(x, 2))
        for narrow, block in zip(reversed(self.narrow), reversed(self.up), strict=True):
            # narrowed before it is enlarged: the same result for a quarter of the products
            wide = F.interpolate(narrow(x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(bridges.pop() + wide)
        fine = F.pixel_shuffle(self.spread(x), 2)
        scores: Tensor = self.score(self.sharpen(torch.cat([fine, grey], dim=1)))
        return scores
