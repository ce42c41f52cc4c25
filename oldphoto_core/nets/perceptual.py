"""Convolutional features of image classifiers, and the learned perceptual distance over them (LPIPS)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and standard deviation of ImageNet's colours on the scale [-1, 1], as LPIPS rounds them."""


class FeatureNetwork(nn.Module):
    """The convolutions of a classifier: image N3HW in [0, 1] -> one map of features NCHW a level, finest first."""

    def __init__(
        self, convolutions: Sequence[nn.Conv2d], *, pool: int, pooled: Sequence[int], levels: Sequence[int], least: int
    ) -> None:
        """`pool`: side of the max pooling (stride 2) before each convolution in `pooled`. `levels`: convolutions whose
        output, after its ReLU, is a level. `least`: the smallest side in pixels that the network takes."""
        super().__init__()
        self.layers = nn.ModuleList(convolutions)
        self.pool, self.pooled, self.levels, self.least = pool, frozenset(pooled), frozenset(levels), least
        self.widths = [convolutions[number].out_channels for number in sorted(levels)]

    def forward(self, image: Tensor) -> list[Tensor]:
        """The features of every level."""
        shift, scale = (image.new_tensor(colour).view(1, 3, 1, 1) for colour in (SHIFT, SCALE))
        x = (2.0 * image - 1.0 - shift) / scale
        found = []
        for number, layer in enumerate(self.layers):
            x = F.max_pool2d(x, self.pool, 2) if number in self.pooled else x
            x = F.relu(layer(x))
            if number in self.levels:
                found.append(x)
        return found


def alexnet() -> FeatureNetwork:
    """AlexNet's five convolutions (Krizhevsky, 2014, as torchvision has them), each a level, with fresh weights."""
    convolutions = [
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.Conv2d(256, 256, 3, padding=1),
    ]
    return FeatureNetwork(convolutions, pool=3, pooled=(1, 2), levels=range(5), least=31)


def vgg16() -> FeatureNetwork:
    """VGG16's 13 convolutions (Simonyan & Zisserman, 2015) with fresh weights; levels: relu1_2, 2_2, 3_3, 4_3, 5_3."""
    widths = (64, 64, 128, 128, 256, 256, 256, *(512,) * 6)
    pairs = zip((3, *widths), widths, strict=False)
    convolutions = [nn.Conv2d(inside, outside, 3, padding=1) for inside, outside in pairs]
    return FeatureNetwork(convolutions, pool=2, pooled=(2, 4, 7, 10), levels=(1, 3, 6, 9, 12), least=16)


NETWORKS: dict[str, Callable[[], FeatureNetwork]] = {"alexnet": alexnet, "vgg16": vgg16}


class Lpips(nn.Module):
    """Learned perceptual distance (Zhang et al., CVPR 2018), version 0.1: N3HW in [0, 1] twice -> N."""

    def __init__(self, network: FeatureNetwork) -> None:
        super().__init__()
        self.network = network
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in network.widths)
        self.eval().requires_grad_(False)

    def forward(self, made: Tensor, truth: Tensor) -> Tensor:
        """One distance an image, 0 for equal ones; nan for images too small for the network."""
        total = torch.zeros(len(made), device=made.device)
        if min(made.shape[-2:]) < self.network.least:
            return total.fill_(torch.nan)
        for ours, theirs, head in zip(self._directions(made), self._directions(truth), self.heads, strict=True):
            total = total + head((ours - theirs).square()).mean(dim=(1, 2, 3))
        return total

    def _directions(self, image: Tensor) -> list[Tensor]:
        """Features of unit length at each position."""
        return [x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for x in self.network(image)]
