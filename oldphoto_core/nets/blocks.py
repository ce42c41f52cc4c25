"""Building blocks of the presets. Shapes: N batch, C channels, H height, W width."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.errors import ConfigError
from oldphoto_core.nets.norms import SpatialNorm


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each position (NCHW -> NCHW): keeps tone, and a tile equals the whole."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalises NCHW over C."""
        # under channels_last the permuted view is contiguous, so nothing is copied
        normed = F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],), self.weight, self.bias, 1e-6)
        return normed.permute(0, 3, 1, 2)


class _Gate(nn.Module):
    """The product of two branches of the same shape: the only nonlinearity of a gated block.

    Two convolutions instead of one whose output is split: halves of a channels_last tensor are strided, and multiplying
    them and gluing their gradients together took a fifth of a training step.
    """

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left = left
        self.right = right

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = self.left(x) * self.right(x)
        return product


def _mixed(channels: int) -> nn.Module:
    """Pointwise, then depthwise 3x3."""
    return nn.Sequential(nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 3, padding=1, groups=channels))


class GatedBlock(nn.Module):
    """Residual block of preset `compact`: depthwise 3x3 and pointwise convolutions, gated; no statistic over space.

    After "Simple Baselines for Image Restoration" (NAFNet, arXiv 2204.04676) without its channel attention,
    which averages over the whole picture and would make a tile differ from the whole.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            ChannelNorm(channels), _Gate(_mixed(channels), _mixed(channels)), nn.Conv2d(channels, channels, 1)
        )
        self.pointwise = nn.Sequential(
            ChannelNorm(channels),
            _Gate(nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)),
            nn.Conv2d(channels, channels, 1),
        )
        with torch.no_grad():
            # small, not zero: a block starts near the identity but learns from the first step
            for branch in (self.spatial, self.pointwise):
                for parameter in branch[-1].parameters():
                    parameter.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """NCHW -> NCHW; looks one position further in each direction."""
        x = x + self.spatial(x)
        refined: Tensor = self.pointwise(x)
        return x + refined


class DenseBlock(nn.Module):
    """Residual block of preset `dense`: two 3x3 convolutions over all channels, ReLU between; no norm.

    More operations than a gated block of the same width, in few and large products instead of many that wait for
    memory: a CPU does them in less time.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            # small, as in a gated block: without a norm, a deep stack of fresh blocks would blow its input up
            for parameter in self.second.parameters():
                parameter.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """NCHW -> NCHW; looks two positions further in each direction."""
        refined: Tensor = self.second(torch.relu(self.first(x)))
        return x + refined


Block = Literal["gated", "dense"]
_BLOCKS: dict[Block, type[GatedBlock | DenseBlock]] = {"gated": GatedBlock, "dense": DenseBlock}


def blocks(kind: Block, channels: int, count: int) -> nn.Sequential:
    """`count` residual blocks of one kind, one after another."""
    return nn.Sequential(*(_BLOCKS[kind](channels) for _ in range(count)))


def check_block(owner: str, kind: Block) -> None:
    """Raises ConfigError for a kind of block that there is not; `owner` is the config's name."""
    if kind not in _BLOCKS:
        raise ConfigError(f"{owner}.block is {kind!r}; choose {' or '.join(_BLOCKS)}")


class ResnetBlock(nn.Module):
    """Residual block of preset `paper`: two padded 3x3 convolutions with instance norm, indexed as published."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            SpatialNorm(),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            SpatialNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """NCHW -> NCHW."""
        branch: Tensor = self.conv_block(x)
        return x + branch


def norm_and_relu() -> list[nn.Module]:
    """Instance norm without affine parameters, then ReLU: what follows most convolutions of preset `paper`."""
    return [SpatialNorm(), nn.ReLU(inplace=True)]
