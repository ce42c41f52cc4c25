"""The detail path: a few blocks at half resolution that bring detail past the latent, which keeps little of it.

Not of the paper. A position of the latent stands for 4 x 4 pixels, and what the encoder drops the decoder must invent,
although it stands in the photo. The path changes the input where it is intact, and the decoder's
output where it is damaged, so an untrained one leaves intact pixels as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.errors import ConfigError
from oldphoto_core.nets.blocks import Block, blocks, check_block

_STEP = 2
"""Pixels per position, along each side."""
_SEEN = (3 + 3 + 1) * _STEP**2
"""Channels: what is to be refined, the decoder's output, and the mask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetailConfig:
    """Width and depth of the detail path."""

    width: int = 48
    """Channels at half resolution."""
    blocks: int = 2
    """Blocks at half resolution."""
    block: Block = "gated"
    """Kind of these."""

    def __post_init__(self) -> None:
        """Refuses a width below one channel and a negative depth."""
        check_block("DetailConfig", self.block)
        if self.width < 1:
            raise ConfigError(f"DetailConfig.width is {self.width}; give at least 1 channel")
        if self.blocks < 0:
            raise ConfigError(f"DetailConfig.blocks is {self.blocks}; give 0 or more blocks")


class DetailPath(nn.Module):
    """Refines a restoration with what is intact of the photo, from a few pixels around each."""

    def __init__(self, config: DetailConfig | None = None) -> None:
        super().__init__()
        config = config or DetailConfig()
        self.into = nn.Conv2d(_SEEN, config.width, 3, padding=1)
        self.blocks = blocks(config.block, config.width, config.blocks)
        self.out = nn.Conv2d(config.width, 3 * _STEP**2, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor, made: Tensor, mask: Tensor | None = None) -> Tensor:
        """Refines `made`.

        Args:
            image: N3HW in [-1, 1], the degraded photo; even sides.
            made: N3HW, its restoration by the triplet.
            mask: N1HW, 1 = damaged; None: nothing is.

        Returns:
            N3HW, about [-1, 1].
        """
        damaged = torch.zeros_like(image[:, :1]) if mask is None else mask.to(image.dtype)
        made = made.to(image.dtype)
        base = image if mask is None else torch.lerp(image, made, damaged)
        seen = F.pixel_unshuffle(torch.cat([base, made, damaged], dim=1), _STEP)
        return base + F.pixel_shuffle(self.out(self.blocks(self.into(seen))), _STEP)
