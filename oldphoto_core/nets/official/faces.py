"""Face restoration (journal version, arXiv 2009.07047): a generator told at every scale what the degraded face shows.

Spatially-adaptive normalisation (SPADE, arXiv 1903.07291): features are normalised, then scaled and shifted by maps
that are computed from the degraded face itself. Module names as published; the spectral norm of training is folded into
the weights by whoever loads them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
"""Of the leaky ReLUs."""
HALVINGS = 5
"""The generator starts at 1/32 of the face's side and doubles five times."""
FACE_SIDES = (256, 512)
"""Pixels along a side of the faces that the published weights were trained on."""


class Spade(nn.Module):
    """Normalised features, scaled and shifted by what the face shows there."""

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.param_free_norm = nn.BatchNorm2d(channels, affine=False)
        self.mlp_shared = nn.Sequential(nn.Conv2d(3, hidden, 3, padding=1), nn.ReLU(inplace=True))
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, face: Tensor) -> Tensor:
        """`x` NCHW, `face` N3 at any size -> NCHW."""
        shown = self.mlp_shared(_resized(face, (x.shape[2], x.shape[3])))
        styled: Tensor = self.param_free_norm(x) * (1 + self.mlp_gamma(shown)) + self.mlp_beta(shown)
        return styled


class SpadeBlock(nn.Module):
    """Residual block with a normalisation by the face before each convolution."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        middle = min(inside, outside)
        self.conv_0 = nn.Conv2d(inside, middle, 3, padding=1)
        self.conv_1 = nn.Conv2d(middle, outside, 3, padding=1)
        self.norm_0 = Spade(inside)
        self.norm_1 = Spade(middle)
        self.widens = inside != outside
        if self.widens:
            self.conv_s = nn.Conv2d(inside, outside, 1, bias=False)
            self.norm_s = Spade(inside)

    def forward(self, x: Tensor, face: Tensor) -> Tensor:
        """NCHW -> N, `outside` channels, HW."""
        around: Tensor = self.conv_s(self.norm_s(x, face)) if self.widens else x
        branch = self.conv_0(F.leaky_relu(self.norm_0(x, face), SLOPE))
        branch = self.conv_1(F.leaky_relu(self.norm_1(branch, face), SLOPE))
        joined: Tensor = around + branch
        return joined


class FaceGenerator(nn.Module):
    """92.1 M parameters with 64 channels at full resolution; the same network serves faces of 256 and 512 pixels."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        deep = 16 * width
        self.fc = nn.Conv2d(3, deep, 3, padding=1)
        self.head_0 = SpadeBlock(deep, deep)
        self.G_middle_0 = SpadeBlock(deep, deep)
        self.G_middle_1 = SpadeBlock(deep, deep)
        self.up_0 = SpadeBlock(deep, 8 * width)
        self.up_1 = SpadeBlock(8 * width, 4 * width)
        self.up_2 = SpadeBlock(4 * width, 2 * width)
        self.up_3 = SpadeBlock(2 * width, width)
        self.conv_img = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, face: Tensor) -> Tensor:
        """`face_N3HW` in [-1, 1], sides multiples of 32 -> the restored face, N3HW in [-1, 1]."""
        scale = 2**HALVINGS
        x = self.fc(_resized(face, (face.shape[2] // scale, face.shape[3] // scale)))
        x = self.head_0(x, face)
        # both middle blocks work at the same size
        x = self.G_middle_1(self.G_middle_0(_doubled(x), face), face)
        for up in (self.up_0, self.up_1, self.up_2, self.up_3):
            x = up(_doubled(x), face)
        return torch.tanh(self.conv_img(F.leaky_relu(x, SLOPE)))


def _resized(face: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(face, size=size, mode="bilinear", align_corners=False)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
