"""The network of the rival `dip`: "Deep Image Prior" (Ulyanov et al., CVPR 2018), fitted to one photo.

An hourglass with skip connections, as in the paper's supplement, with fewer channels. It has no weights of its own: the
shape of the network is the prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class HourglassConfig:
    """Width and depth of the hourglass."""

    channels: int = 32
    """Of every level, and of the noise that is its input."""
    skip: int = 4
    """Channels that each level hands across."""
    depth: int = 4
    """Levels, each of half the size of the one before."""

    def __post_init__(self) -> None:
        """Refuses networks without channels or levels."""
        if min(self.channels, self.skip, self.depth) < 1:
            raise ConfigError(
                f"HourglassConfig is channels={self.channels}, skip={self.skip}, depth={self.depth}; give 1 or more"
            )


def _convolved(inside: int, outside: int, size: int = 3, stride: int = 1) -> nn.Module:
    """Convolution over mirrored edges, batch norm, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, size, stride=stride, padding=size // 2, padding_mode="reflect"),
        nn.BatchNorm2d(outside),
        nn.LeakyReLU(0.2),
    )


class Hourglass(nn.Module):
    """Noise NCHW -> photo N3HW in [0, 1]; the sides are multiples of 2 ** depth."""

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        width, skip = config.channels, config.skip
        levels = range(config.depth)
        self.skips = nn.ModuleList(_convolved(width, skip, 1) for _ in levels)
        self.down = nn.ModuleList(
            nn.Sequential(_convolved(width, width, stride=2), _convolved(width, width)) for _ in levels
        )
        self.up = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(width + skip), _convolved(width + skip, width), _convolved(width, width, 1))
            for _ in levels
        )
        self.out = nn.Conv2d(width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the photo that the weights make of this noise."""
        handed = []
        for skip, down in zip(self.skips, self.down, strict=True):
            handed.append(skip(x))
            x = down(x)
        for skipped, up in zip(reversed(handed), self.up, strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = up(torch.cat([x, skipped], dim=1))
        return torch.sigmoid(self.out(x))
