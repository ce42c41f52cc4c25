"""The two variational autoencoders (section 3.1): one for old photos (R and X together), one for clean photos (Y).

The posterior has unit variance in the published networks: `encode` returns its mean, training adds noise, use does not.
Images are NCHW float32 in [-1, 1]; latents are N x 64 x H/4 x W/4.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.errors import ConfigError
from oldphoto_core.nets.blocks import Block, ResnetBlock, blocks, check_block, norm_and_relu

LATENT_STRIDE = 4
"""Pixels of the picture per position of the latent, along each side."""


class PaperVAE(nn.Module):
    """The published shape: 0.87 M parameters, instance norm, reflection padding; module indices as published."""

    def __init__(self, latent: int = 64) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, latent, 7),
            *norm_and_relu(),
            nn.Conv2d(latent, latent, 4, stride=2, padding=1),
            *norm_and_relu(),
            nn.Conv2d(latent, latent, 4, stride=2, padding=1),
            *norm_and_relu(),
            *(ResnetBlock(latent) for _ in range(4)),
        )
        self.decoder = nn.Sequential(
            *(ResnetBlock(latent) for _ in range(4)),
            nn.ConvTranspose2d(latent, latent, 4, stride=2, padding=1),
            *norm_and_relu(),
            nn.ConvTranspose2d(latent, latent, 4, stride=2, padding=1),
            *norm_and_relu(),
            nn.ReflectionPad2d(3),
            nn.Conv2d(latent, 3, 7),
            nn.Tanh(),
        )

    def encode(self, image: Tensor) -> Tensor:
        """Posterior mean: N3HW in [-1, 1] -> N64(H/4)(W/4)."""
        latent: Tensor = self.encoder(image)
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """N64(H/4)(W/4) -> N3HW in [-1, 1]."""
        image: Tensor = self.decoder(latent)
        return image


@dataclass(frozen=True, kw_only=True, slots=True)
class CompactVAEConfig:
    """Widths and depths of the compact autoencoder."""

    latent: int = 64
    """Channels of the latent."""
    half_width: int = 48
    """Channels at half resolution."""
    half_blocks: int = 1
    """Blocks at half resolution, in encoder and decoder each."""
    quarter_width: int = 96
    """Channels at quarter resolution."""
    quarter_blocks: int = 3
    """Blocks at quarter resolution, in encoder and decoder each."""
    block: Block = "gated"
    """Kind of all of them."""

    def __post_init__(self) -> None:
        """Refuses widths below one channel and negative depths."""
        check_block("CompactVAEConfig", self.block)
        for name in ("latent", "half_width", "quarter_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"CompactVAEConfig.{name} is {getattr(self, name)}; give at least 1 channel")
        for name in ("half_blocks", "quarter_blocks"):
            if getattr(self, name) < 0:
                raise ConfigError(f"CompactVAEConfig.{name} is {getattr(self, name)}; give 0 or more blocks")


class CompactVAE(nn.Module):
    """The product's own shape: no statistic over space, pixel shuffle instead of transposed convolutions."""

    def __init__(self, config: CompactVAEConfig | None = None) -> None:
        super().__init__()
        config = config or CompactVAEConfig()
        half, quarter = config.half_width, config.quarter_width
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, half, 3, padding=1),
            *blocks(config.block, half, config.half_blocks),
            nn.Conv2d(half, quarter, 2, stride=2),
            *blocks(config.block, quarter, config.quarter_blocks),
            nn.Conv2d(quarter, config.latent, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(config.latent, quarter, 1),
            *blocks(config.block, quarter, config.quarter_blocks),
            nn.Conv2d(quarter, 4 * half, 1),
            nn.PixelShuffle(2),
            *blocks(config.block, half, config.half_blocks),
            nn.Conv2d(half, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def encode(self, image: Tensor) -> Tensor:
        """Posterior mean: N3HW in [-1, 1] -> N64(H/4)(W/4)."""
        latent: Tensor = self.encoder(image)
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """N64(H/4)(W/4) -> N3HW; about [-1, 1], clamped by whoever makes pixels of it."""
        image: Tensor = self.decoder(latent)
        return image


def mask_to_latent(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """`mask_N1HW` (1 = damaged) at the latent's size: a position with any damaged pixel under it counts as damaged."""
    return F.adaptive_max_pool2d(mask, size)
