"""Scratch detection (section 3.4): a U-Net from a grey photo to a score per pixel; module names as published.

Four levels of 128 to 1024 channels below 64 first ones. It goes down by a fixed [1 2 1] blur before every second pixel
is taken, so that a hairline does not flicker with its position ("Making Convolutional Networks Shift-Invariant Again",
arXiv 1904.11486), and up bilinearly.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (64, 128, 256, 512, 1024)
"""Channels at full resolution and at each level below."""
SLOPE = 0.2
"""Of the leaky ReLUs."""


def _convolved(inside: int, outside: int) -> list[nn.Module]:
    """3x3, batch norm, leaky ReLU; the size is kept."""
    return [
        nn.ReflectionPad2d(1),
        nn.Conv2d(inside, outside, 3),
        nn.BatchNorm2d(outside),
        nn.LeakyReLU(SLOPE, inplace=True),
    ]


class _Twice(nn.Module):
    """Two convolutions at one resolution."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.block = nn.Sequential(*_convolved(inside, outside), *_convolved(outside, outside))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.block(x)
        return features


class BlurredHalving(nn.Module):
    """Every second pixel of the picture blurred by [1 2 1] along both sides; an odd side is rounded up."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        tap = torch.tensor([1.0, 2.0, 1.0]) / 4
        # a buffer of the state, because the published files hold it
        self.register_buffer("filt", torch.outer(tap, tap).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """NCHW -> NC(H/2)(W/2)."""
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, stride=2, groups=x.shape[1])


class _Up(nn.Module):
    """Twice the size, half the channels, joined by what the way down had seen at that size."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.ReflectionPad2d(1),
            nn.Conv2d(inside, outside, 3),
        )
        self.conv_block = _Twice(inside, outside)

    def forward(self, x: Tensor, bridge: Tensor) -> Tensor:
        features: Tensor = self.conv_block(torch.cat([self.up(x), bridge], dim=1))
        return features


class ScratchUNet(nn.Module):
    """37.6 M parameters; sides must be multiples of `multiple` and at least `minimum`."""

    multiple = 2 ** (len(WIDTHS) - 1)
    minimum = 2 * multiple
    """Below it the lowest level has one position, which cannot be padded by reflection."""
    halo = 192
    """Pixels of context on each side with which a tile equals the whole, a multiple of `multiple`: in evaluation its
    batch norms are constants."""
    bytes_per_pixel = 2500
    """Peak memory of a forward pass on a CPU, per pixel."""
    norms_over_batch = True
    """Whether what is computed of a picture in training depends on the others of its batch."""

    def __init__(self) -> None:
        super().__init__()
        first = WIDTHS[0]
        self.first = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(1, first, 7), nn.LeakyReLU(SLOPE, inplace=True))
        self.down_sample = nn.ModuleList(
            nn.Sequential(*_convolved(width, width), BlurredHalving(width)) for width in WIDTHS[:-1]
        )
        self.down_path = nn.ModuleList(_Twice(*widths) for widths in pairwise(WIDTHS))
        self.up_path = nn.ModuleList(_Up(*widths) for widths in pairwise(WIDTHS[::-1]))
        self.last = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(first, 1, 3))

    def forward(self, grey: Tensor) -> Tensor:
        """`grey_N1HW` in [-1, 1] -> N1HW scores; their sigmoid is the probability that a pixel is damaged."""
        x: Tensor = self.first(grey)
        bridges: list[Tensor] = []
        for halve, widen in zip(self.down_sample, self.down_path, strict=True):
            bridges.append(x)
            x = widen(halve(x))
        for up in self.up_path:
            x = up(x, bridges.pop())
        scores: Tensor = self.last(x)
        return scores
