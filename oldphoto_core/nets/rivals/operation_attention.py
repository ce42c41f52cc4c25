"""The rival "Attention-based Adaptive Selection of Operations for Image Restoration in the Presence of Unknown Combined
Distortions" (Suganuma, Liu, Okatani, CVPR 2019).

A stack of layers that apply eight operations side by side; weights by which their results count are predicted from the
picture, for a group of layers at once. What differs from the paper: fewer layers of the same shape in `compact`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oldphoto_core.errors import ConfigError

KERNELS = ((1, 1), (3, 1), (5, 1), (7, 1), (3, 2), (5, 2), (7, 2))
"""Size and dilation of the separable convolutions; the eighth operation is the mean over 3 x 3."""
OPERATIONS = len(KERNELS) + 1
FARTHEST = 6
"""Pixels that one layer looks in each direction: 7 x 7 with dilation 2."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationAttentionConfig:
    """Width and depth of the network."""

    width: int = 16
    """Channels of every layer."""
    groups: int = 10
    """Groups of layers, one behind another; the weights of a group's operations are predicted from its input."""
    layers: int = 4
    """Layers of a group."""
    blocks: int = 4
    """Residual blocks that extract features before the first group."""

    def __post_init__(self) -> None:
        """Refuses networks without channels or layers."""
        if min(self.width, self.groups, self.layers) < 1 or self.blocks < 0:
            raise ConfigError(
                f"OperationAttentionConfig is width={self.width}, groups={self.groups}, layers={self.layers},"
                f" blocks={self.blocks}; give at least 1, and 0 blocks"
            )

    @property
    def multiple(self) -> int:
        """What the sides of a picture must be multiples of: anything, for nothing is halved."""
        return 1

    @property
    def minimum(self) -> int:
        """Shortest side, in pixels."""
        return 1

    @property
    def halo(self) -> int:
        """Pixels around a tile: how far the operations look. Their weights are of the mean of the whole picture, so a
        tile never equals it."""
        return FARTHEST * self.groups * self.layers + 2 * self.blocks + 2

    @property
    def bytes_per_pixel(self) -> int:
        """Peak memory of a forward pass in float32: the results of all operations, once more side by side, and what
        they are made of."""
        return 4 * (2 * OPERATIONS + 6) * self.width

    def network(self) -> OperationAttention:
        """A model with fresh weights."""
        return OperationAttention(self)


class _Dilated(nn.Conv2d):
    """A convolution that computes in float32 whatever surrounds it.

    The gradients of dilated depthwise convolutions in bfloat16 are memory that nobody wrote, on CPUs in torch 2.13; a
    test compares them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """NCHW -> NCHW."""
        if x.device.type == "meta":  # where operations are counted, there is no autocast
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def _separable(channels: int, kernel: int, dilation: int) -> nn.Module:
    around = dilation * (kernel - 1) // 2
    kind = _Dilated if dilation > 1 else nn.Conv2d
    depthwise = kind(channels, channels, kernel, padding=around, dilation=dilation, groups=channels)
    return nn.Sequential(depthwise, nn.Conv2d(channels, channels, 1), nn.ReLU())


class _Layer(nn.Module):
    """Eight operations, weighted, brought together by a 1x1 convolution; its result is added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(_separable(channels, *kernel) for kernel in KERNELS)
        self.operations.append(nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False))
        self.together = nn.Conv2d(OPERATIONS * channels, channels, 1)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """NCHW and the weights of the operations, N8 -> NCHW."""
        made = [operation(x) * weights[:, number, None, None, None] for number, operation in enumerate(self.operations)]
        added: Tensor = self.together(torch.cat(made, 1))
        return torch.relu(x + added)


class _Group(nn.Module):
    """Layers whose weights are predicted together, from the mean of each channel of what reaches the first one."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(channels) for _ in range(layers))
        hidden = OPERATIONS * layers // 2
        self.attention = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, OPERATIONS * layers)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """NCHW -> NCHW."""
        scores = self.attention(x.mean(dim=(2, 3))).view(len(x), len(self.layers), OPERATIONS)
        weights = scores.softmax(dim=2)
        for number, layer in enumerate(self.layers):
            x = layer(x, weights[:, number])
        return x


class _Residual(nn.Module):
    """Two 3x3 convolutions with a ReLU between, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """NCHW -> NCHW."""
        added: Tensor = self.branch(x)
        return x + added


class AttentionNetwork(nn.Module):
    """Features, groups of layers, and a 3x3 convolution whose result is the change of the picture."""

    def __init__(self, config: OperationAttentionConfig) -> None:
        super().__init__()
        width = config.width
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), *(_Residual(width) for _ in range(config.blocks))
        )
        self.groups = nn.Sequential(*(_Group(width, config.layers) for _ in range(config.groups)))
        self.out = nn.Conv2d(width, 3, 3, padding=1)
        with torch.no_grad():  # small: a fresh network begins near the picture that it is given
            for parameter in self.out.parameters():
                parameter.mul_(0.1)

    def forward(self, image: Tensor) -> Tensor:
        """N3HW in [-1, 1] -> N3HW, about [-1, 1]."""
        change: Tensor = self.out(self.groups(self.features(image)))
        return image + change


class OperationAttention(nn.Module):
    """Called like every model; the mask is not looked at, since damaged pixels are white."""

    def __init__(self, config: OperationAttentionConfig) -> None:
        super().__init__()
        self.generator = AttentionNetwork(config)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """`image_N3HW` in [-1, 1] -> N3HW, about [-1, 1]."""
        restored: Tensor = self.generator(image)
        return restored
