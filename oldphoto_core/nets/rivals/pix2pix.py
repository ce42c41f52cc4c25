"""The baseline "Image-to-Image Translation with Conditional Adversarial Networks" (pix2pix, Isola et al., CVPR 2017).

A U-Net from the degraded picture straight to the clean one: no latent spaces, no mask, nothing of real old photos. What
differs from the paper: instance norm instead of batch norm, and no dropout: the same input gives the same output.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oldphoto_core.errors import ConfigError
from oldphoto_core.nets.norms import SpatialNorm


@dataclass(frozen=True, kw_only=True, slots=True)
class Pix2PixConfig:
    """Width and depth of the U-Net."""

    width: int = 64
    """Channels of the first level; they double from level to level, up to eight times as many."""
    depth: int = 7
    """Levels, each of half the size of the one before."""

    def __post_init__(self) -> None:
        """Refuses nets without channels or without a way down and up."""
        if self.width < 1 or self.depth < 2:
            raise ConfigError(
                f"Pix2PixConfig is width={self.width}, depth={self.depth}; give at least 1 channel and 2 levels"
            )

    @property
    def multiple(self) -> int:
        """What the sides of a picture must be multiples of."""
        return int(2**self.depth)

    @property
    def minimum(self) -> int:
        """Shortest side, in pixels."""
        return self.multiple

    @property
    def halo(self) -> int:
        """Pixels around a tile. Norms look at the whole picture, so a tile never equals it; twice the coarsest step
        hides most of the borders."""
        return 2 * self.multiple

    @property
    def bytes_per_pixel(self) -> int:
        """Peak memory of a forward pass in float32, or rather more: all activations together, which U-Nets keep."""
        return 13 * self.width

    def network(self) -> Pix2Pix:
        """A model with fresh weights."""
        return Pix2Pix(self)


class Pix2Pix(nn.Module):
    """Called like every model; the mask is not looked at, since damaged pixels are white."""

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__()
        self.generator = UNet(config)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """`image_N3HW` in [-1, 1] -> N3HW in [-1, 1]."""
        restored: Tensor = self.generator(image)
        return restored


class UNet(nn.Module):
    """4x4 convolutions of stride 2 down and up again, with every level's features handed across."""

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__()
        widths = [config.width * min(8, 2**level) for level in range(config.depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, (inside, outside) in enumerate(zip([3, *widths], widths, strict=False)):
            before = [nn.LeakyReLU(0.2)] if level else []
            # the first level sees tone and contrast as they are, the last one is too small for statistics
            after = [SpatialNorm()] if 0 < level < config.depth - 1 else []
            self.down.append(nn.Sequential(*before, nn.Conv2d(inside, outside, 4, stride=2, padding=1), *after))
        for level in reversed(range(config.depth)):
            inside = widths[level] * (1 if level == config.depth - 1 else 2)
            outside = widths[level - 1] if level else 3
            last: nn.Module = SpatialNorm() if level else nn.Tanh()
            self.up.append(nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1), last))

    def forward(self, image: Tensor) -> Tensor:
        """N3HW -> N3HW in [-1, 1]; sides are multiples of 2 ** depth."""
        features, x = [], image
        for level in self.down:
            x = level(x)
            features.append(x)
        features.pop()
        for level in self.up:
            x = level(x)
            x = torch.cat([x, features.pop()], dim=1) if features else x
        return x
