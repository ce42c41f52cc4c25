"""3x3 convolutions with a quarter of the multiplications, for CPUs.

Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv
1509.09308): overlapping 6x6 tiles of the input and the filters are transformed, multiplied point by point - 36 matrix
products over the channels instead of 144 multiplications a tile - and transformed back. Libraries do this on GPUs; on
CPUs they no longer do. Worth it where channels are many, since the transforms cost memory traffic per channel.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEWEST_CHANNELS = 128
"""Below it the transforms cost more than the products save (benchmarks/throughput.py)."""
INSIDE, OUTSIDE = 4, 6
"""Sides of an output and an input tile."""
CHUNK_BYTES = 32 * 2**20
"""Of the transformed tiles held at once: little enough to stay near the cores, enough for large matrix products."""

POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
"""Where the polynomials behind the algorithm are evaluated, besides at infinity. These round half as much as the
customary 0, 1, -1, 2, -2, because their powers differ less in size."""


class WinogradConv2d(nn.Module):
    """A 3x3 convolution of stride 1 and its padding by one position, for inference; float32, NCHW -> NCHW."""

    into: Tensor
    out_of: Tensor
    weight: Tensor

    def __init__(self, conv: nn.Conv2d, *, reflect: bool = False) -> None:
        """`reflect`: the padding layer before the convolution is part of this one; otherwise `conv` pads by itself."""
        super().__init__()
        inputs, filters, outputs = _transforms()
        transformed = filters @ conv.weight.detach().double() @ filters.T  # O I 6 6
        self.register_buffer("weight", transformed.permute(2, 3, 1, 0).flatten(0, 1).float().contiguous())
        self.register_buffer("into", _for_tiles(inputs))
        self.register_buffer("out_of", _for_tiles(outputs))
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.outputs = conv.out_channels
        self.reflect = reflect
        self.padding = 1

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution, to about 1e-6 of its norm; the result is channels_last."""
        return self.filtered(F.pad(x, (self.padding,) * 4, mode="reflect" if self.reflect else "constant"))

    def filtered(self, x: Tensor) -> Tensor:
        """Of a picture that has its padding already: NCHW -> NC(H-2)(W-2)."""
        batch, channels, height, width = x.shape
        height, width = height - 2, width - 2
        rows, columns = -(-height // INSIDE), -(-width // INSIDE)
        # zeros beyond the last whole tile: what they make is cut off
        x = F.pad(x, (0, columns * INSIDE - width, 0, rows * INSIDE - height)).permute(0, 2, 3, 1)
        result = x.new_empty(batch, rows * INSIDE, columns * INSIDE, self.outputs)
        step = max(1, CHUNK_BYTES // (4 * OUTSIDE**2 * max(channels, self.outputs) * columns))
        for picture, filtered in zip(x, result, strict=True):
            for top in range(0, rows, step):
                count = min(step, rows - top)
                begin, end = INSIDE * top, INSIDE * (top + count)
                self._filter(picture[begin : end + OUTSIDE - INSIDE], filtered[begin:end])
        return result[:, :height, :width].permute(0, 3, 1, 2)

    def _filter(self, source: Tensor, target: Tensor) -> None:
        """Some rows of tiles, HWC -> HWC; the source has the two rows and columns more that a tile overlaps."""
        tiles = source.unfold(0, OUTSIDE, INSIDE).unfold(1, OUTSIDE, INSIDE)  # rows, columns, C, 6, 6
        rows, columns = tiles.shape[:2]
        points = self.into @ tiles.permute(3, 4, 0, 1, 2).reshape(OUTSIDE**2, -1)
        products = torch.bmm(points.view(OUTSIDE**2, rows * columns, -1), self.weight)
        values = (self.out_of @ products.view(OUTSIDE**2, -1)).view(INSIDE, INSIDE, rows, columns, -1)
        if self.bias is not None:
            values += self.bias
        target.view(rows, INSIDE, columns, INSIDE, -1).copy_(values.permute(2, 0, 3, 1, 4))


def use_winograd(network: nn.Module, *, exact: tuple[str, ...] = ()) -> nn.Module:
    """A copy of the network for inference whose wide 3x3 convolutions are WinogradConv2d; itself if it has none.

    `exact`: names of parts that are left as they are, because what follows magnifies their rounding.
    """
    if not any(_gains(module) for module in network.modules()):
        return network
    faster = copy.deepcopy(network)
    for name, module in list(faster.named_modules()):
        if isinstance(module, nn.Sequential) and not set(name.split(".")) & set(exact):
            _replace(module)
    return faster


def _replace(layers: nn.Sequential) -> None:
    for place, layer in enumerate(layers):
        if not isinstance(layer, nn.Conv2d) or not _gains(layer):
            continue
        before = layers[place - 1] if place else None
        reflect = isinstance(before, nn.ReflectionPad2d) and before.padding == (1, 1, 1, 1)
        if layer.padding == (0, 0) and reflect:
            layers[place - 1] = nn.Identity()
        elif layer.padding != (1, 1) or layer.padding_mode != "zeros":
            continue
        layers[place] = WinogradConv2d(layer, reflect=reflect)


def _gains(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (3, 3)
        and layer.stride == layer.dilation == (1, 1)
        and layer.groups == 1
        and min(layer.in_channels, layer.out_channels) >= FEWEST_CHANNELS
    )


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Of input (6 x 6), filter (6 x 3) and output (4 x 6), along one side: y = output @ (filter @ g * input @ d).

    Toom and Cook: the product of polynomials through their values at POINTS, transposed into a correlation.
    """
    points = torch.tensor(POINTS, dtype=torch.float64)
    inputs = torch.zeros(OUTSIDE, OUTSIDE, dtype=torch.float64)
    filters = torch.zeros(OUTSIDE, 3, dtype=torch.float64)
    outputs = torch.zeros(INSIDE, OUTSIDE, dtype=torch.float64)
    for row, point in enumerate(points):
        others = torch.cat([points[:row], points[row + 1 :]])
        inputs[row, :-1] = _polynomial(others)
        filters[row] = point ** torch.arange(3) / (point - others).prod()
        outputs[:, row] = point ** torch.arange(INSIDE)
    # infinity: the highest coefficient
    inputs[-1] = _polynomial(points)
    filters[-1, -1] = outputs[-1, -1] = 1.0
    return inputs, filters, outputs


def _polynomial(roots: Tensor) -> Tensor:
    """Coefficients of the product of (x - root), lowest power first."""
    coefficients = torch.ones(1, dtype=torch.float64)
    for root in roots:
        coefficients = F.pad(coefficients, (1, 0)) - root * F.pad(coefficients, (0, 1))
    return coefficients


def _for_tiles(one: Tensor) -> Tensor:
    """The transform along one side -> along both sides of a tile at once."""
    return torch.kron(one, one).float()
