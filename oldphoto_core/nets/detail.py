"""The detail path: a few blocks at half resolution that bring detail past the latent, which keeps little of it.

Not of the paper. A position of the latent stands for 4 x 4 pixels, and what the encoder drops the decoder must invent,
although it stands in the photo. The path changes the input where it is intact, and the decoder's
output where it is damaged, so an untrained one leaves intact pixels as they are. What it takes for grain depends on how
much noise the whole photo has, which no tile can tell: it is given as two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.errors import ConfigError
from oldphoto_core.nets.blocks import Block, blocks, check_block
from oldphoto_core.nets.noise_level import SCALES, noise_level

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
    noise_width: int = 0
    """Channels between the photo's noise level and what it does to the features; 0: the level is not looked at."""

    def __post_init__(self) -> None:
        """Refuses a width below one channel and a negative depth."""
        check_block("DetailConfig", self.block)
        if self.width < 1:
            raise ConfigError(f"DetailConfig.width is {self.width}; give at least 1 channel")
        if self.noise_width < 0:
            raise ConfigError(f"DetailConfig.noise_width is {self.noise_width}; give 0 or more channels")
        if self.blocks < 0:
            raise ConfigError(f"DetailConfig.blocks is {self.blocks}; give 0 or more blocks")


class NoiseModulation(nn.Module):
    """Scales and shifts features by the noise level of the photo, as FiLM (Perez et al., 2018) does by a question."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(SCALES, hidden)
        self.outer = nn.Linear(hidden, 2 * width)
        for parameter in self.outer.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, noise: Tensor) -> Tensor:
        """`features` NCHW; `noise` N2 or 12 in levels of 255."""
        # the logarithm: 1 level more means much in a photo that has 1, nothing in one that has 20
        asked = torch.log(noise.to(features.device, torch.float32) + 0.5)
        scale, shift = self.outer(F.silu(self.inner(asked)))[..., None, None].chunk(2, dim=1)
        modulated: Tensor = features * (1 + scale.to(features.dtype)) + shift.to(features.dtype)
        return modulated


class DetailPath(nn.Module):
    """Refines a restoration with what is intact of the photo, from a few pixels around each."""

    def __init__(self, config: DetailConfig | None = None) -> None:
        super().__init__()
        config = config or DetailConfig()
        self.into = nn.Conv2d(_SEEN, config.width, 3, padding=1)
        self.noise = NoiseModulation(config.noise_width, config.width) if config.noise_width else None
        self.blocks = blocks(config.block, config.width, config.blocks)
        self.out = nn.Conv2d(config.width, 3 * _STEP**2, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor, made: Tensor, mask: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Refines `made`.

        Args:
            image: N3HW in [-1, 1], the degraded photo; even sides.
            made: N3HW, its restoration by the triplet.
            mask: N1HW, 1 = damaged; None: nothing is.
            noise: N2 or 12, the `noise_level` of the whole photo in levels of 255; None: `image` is all of it.

        Returns:
            N3HW, about [-1, 1].
        """
        damaged = torch.zeros_like(image[:, :1]) if mask is None else mask.to(image.dtype)
        made = made.to(image.dtype)
        base = image if mask is None else torch.lerp(image, made, damaged)
        features = self.into(F.pixel_unshuffle(torch.cat([base, made, damaged], dim=1), _STEP))
        if self.noise is not None:
            features = self.noise(features, noise_level(image, mask) if noise is None else noise)
        return base + F.pixel_shuffle(self.out(self.blocks(features)), _STEP)
