"""The latent mapping T: Z_X -> Z_Y (section 3.2), without and with the partial nonlocal block (section 3.3).

Every mapping is called as `T(latent, mask)`: latent N64(H/4)(W/4), `mask_N1HW` at picture size with 1 = damaged, or
None for a picture without scratches. Fusion is the paper's: `(1 - m) * local(F) + m * global(O)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.errors import ConfigError
from oldphoto_core.nets.blocks import Block, ResnetBlock, blocks, check_block, norm_and_relu
from oldphoto_core.nets.nonlocal_attention import PartialNonlocal
from oldphoto_core.nets.official.masks import nonlocal_mask
from oldphoto_core.nets.vae import LATENT_STRIDE, mask_to_latent

PAPER_WIDTHS = (64, 128, 256, 512, 512)
"""Channels on the way into the mapping of preset `paper`."""
PUBLISHED_FLOOR = 1e-12
"""What the published code divides by at least when it normalises attention."""


def paper_way_in() -> list[nn.Module]:
    """From the latent's 64 channels to 512."""
    layers: list[nn.Module] = []
    for inside, outside in pairwise(PAPER_WIDTHS):
        layers += [nn.Conv2d(inside, outside, 3, padding=1), *norm_and_relu()]
    return layers


def paper_way_out() -> list[nn.Module]:
    """From 512 channels to the latent's 64."""
    layers: list[nn.Module] = []
    widths = PAPER_WIDTHS[::-1]
    for inside, outside in pairwise(widths[:-1]):
        layers += [nn.Conv2d(inside, outside, 3, padding=1), *norm_and_relu()]
    return [*layers, nn.Conv2d(widths[-2], widths[-1], 3, padding=1)]


class PaperMapping(nn.Module):
    """The published quality mapping, 36.1 M parameters; knows nothing of scratches."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(*paper_way_in(), *(ResnetBlock(512) for _ in range(6)), *paper_way_out())

    def forward(self, latent: Tensor, mask: Tensor | None = None) -> Tensor:
        """Translates the latent; `mask` is ignored: this mapping has no global branch."""
        translated: Tensor = self.model(latent)
        return translated


class PaperNonlocal(PartialNonlocal):
    """The published block: the nonlocal fill, then three residual blocks, then fusion with the local features."""

    def __init__(self, floor: float) -> None:
        super().__init__(512, floor=floor)
        self.res_block = nn.Sequential(*(ResnetBlock(512) for _ in range(3)))

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """NCHW and N1HW, 1 = damaged -> NCHW."""
        return self.fused(features, mask, self.res_block(super().forward(features, mask)))

    def fused(self, features: Tensor, mask: Tensor, filled: Tensor) -> Tensor:
        """What is intact from the local branch, what is damaged from the global one."""
        return (1 - mask) * features + mask * filled


class PaperScratchMapping(nn.Module):
    """The published scratch mapping, 51.3 M parameters, with the partial nonlocal block."""

    def __init__(self, *, as_published: bool = False) -> None:
        """`as_published`: the mask is brought to the latent's size, and attention normalised, as that code does it."""
        super().__init__()
        self.resize_mask = nonlocal_mask if as_published else mask_to_latent
        self.before_NL = nn.Sequential(*paper_way_in())
        self.NL = PaperNonlocal(PUBLISHED_FLOOR if as_published else 0.0)
        self.after_NL = nn.Sequential(*(ResnetBlock(512) for _ in range(6)), *paper_way_out())

    def forward(self, latent: Tensor, mask: Tensor | None = None) -> Tensor:
        """Translates the latent, filling damaged positions from intact ones."""
        return self.translate(self.before_NL(latent), mask)

    def translate(self, features: Tensor, mask: Tensor | None) -> Tensor:
        """The same from the features that lie before the nonlocal block."""
        if mask is not None:
            features = self.NL(features, self.resize_mask(mask, (features.shape[2], features.shape[3])))
        translated: Tensor = self.after_NL(features)
        return translated


@dataclass(frozen=True, kw_only=True, slots=True)
class CompactMappingConfig:
    """Widths and depths of the compact mapping."""

    latent: int = 64
    """Channels of the latents on both sides."""
    width: int = 96
    """Channels at the latent's resolution."""
    blocks: int = 3
    """Blocks at the latent's resolution, before and after the deep part each."""
    deep_width: int = 192
    """Channels at half the latent's resolution, where context is gathered."""
    deep_blocks: int = 6
    """Blocks of the deep part; the nonlocal block stands in their middle."""
    block: Block = "gated"
    """Kind of all of them but the nonlocal one."""
    nonlocal_width: int = 96
    """Channels of theta, phi and g."""
    partial_nonlocal: bool = True
    """Off: the ablation without the block ("w/o PN" in the paper)."""

    def __post_init__(self) -> None:
        """Refuses widths below one channel and an odd or negative number of deep blocks."""
        check_block("CompactMappingConfig", self.block)
        for name in ("latent", "width", "deep_width", "nonlocal_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"CompactMappingConfig.{name} is {getattr(self, name)}; give at least 1 channel")
        if self.blocks < 0 or self.deep_blocks < 0 or self.deep_blocks % 2:
            raise ConfigError(
                f"CompactMappingConfig has blocks={self.blocks}, deep_blocks={self.deep_blocks}; "
                "give 0 or more, deep_blocks even"
            )


class CompactMapping(nn.Module):
    """The product's own mapping: a residual on the latent, context at an eighth of the picture's resolution.

    Unlike the published one it is told which pixels are damaged (the mask, unshuffled, joins the latent), so white
    paint and white content are never confused, and one network serves scratched and unscratched photos.
    """

    def __init__(self, config: CompactMappingConfig | None = None) -> None:
        super().__init__()
        config = config or CompactMappingConfig()
        width, deep = config.width, config.deep_width
        self.into = nn.Conv2d(config.latent + LATENT_STRIDE**2, width, 1)
        self.before = blocks(config.block, width, config.blocks)
        self.down = nn.Conv2d(width, deep, 2, stride=2)
        self.deep_before = blocks(config.block, deep, config.deep_blocks // 2)
        self.nonlocal_block = (
            PartialNonlocal(deep, config.nonlocal_width, scaled=True, damaged_only=True)
            if config.partial_nonlocal
            else None
        )
        self.deep_after = blocks(config.block, deep, config.deep_blocks // 2)
        self.up = nn.Sequential(nn.Conv2d(deep, 4 * width, 1), nn.PixelShuffle(2))
        self.after = blocks(config.block, width, config.blocks)
        self.out = nn.Conv2d(width, config.latent, 1)
        # the translation starts as the identity: restoration begins at the photo's own quality and only improves
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, latent: Tensor, mask: Tensor | None = None) -> Tensor:
        """Translates the latent; height and width must be even (picture sides multiples of 8)."""
        damage = latent.new_zeros(len(latent), LATENT_STRIDE**2, *latent.shape[2:])
        if mask is not None:
            damage = F.pixel_unshuffle(mask, LATENT_STRIDE)
        features = self.before(self.into(torch.cat([latent, damage], dim=1)))
        context = self.deep_before(self.down(features))
        if mask is not None and self.nonlocal_block is not None:
            damaged = mask_to_latent(mask, (context.shape[2], context.shape[3]))
            # local(F) = F and global(O) = F + O, so that what is intact in a half-damaged position survives
            context = context + damaged * self.nonlocal_block(context, damaged)
        features = features + self.up(self.deep_after(context))
        change: Tensor = self.out(self.after(features))
        return latent + change
