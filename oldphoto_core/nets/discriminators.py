"""Discriminators of images and of latents, and the LSGAN and feature-matching terms they serve (section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.errors import ConfigError


class PatchDiscriminator(nn.Module):
    """One scale: 4x4 convolutions, a score per patch. Returns every layer's features; the last is the score map."""

    def __init__(self, channels: int, width: int, layers: int, strides: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        inside = channels
        for index in range(layers):
            outside = min(width * 2**index, 8 * width)
            stride = 2 if index < strides else 1
            convolution = nn.Conv2d(inside, outside, 4, stride=stride, padding=2)
            norm = [nn.InstanceNorm2d(outside)] if index else []
            stages.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2)))
            inside = outside
        stages.append(nn.Conv2d(inside, 1, 4, padding=2))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """NCHW -> features of each stage, the score map last."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class ImageDiscriminator(nn.Module):
    """Multi-scale patches: the same discriminator on the picture and on halved pictures (as in pix2pixHD)."""

    def __init__(self, channels: int = 3, width: int = 64, layers: int = 4, scales: int = 2) -> None:
        super().__init__()
        if min(channels, width, layers, scales) < 1:
            raise ConfigError(
                f"ImageDiscriminator got {channels=}, {width=}, {layers=}, {scales=}; all must be at least 1"
            )
        self.scales = nn.ModuleList(PatchDiscriminator(channels, width, layers, layers - 1) for _ in range(scales))

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """NCHW -> for each scale the features of each stage, the score map last."""
        results = []
        for index, scale in enumerate(self.scales):
            results.append(scale(image if index == 0 else F.avg_pool2d(image, 2**index)))
        return results


class LatentDiscriminator(nn.Module):
    """Tells z_r from z_x (D_RX of the paper): a patch discriminator on the latent."""

    def __init__(self, channels: int = 64, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.patches = PatchDiscriminator(channels, width, layers, 1)

    def forward(self, latent: Tensor) -> list[list[Tensor]]:
        """NCHW -> one scale of features, the score map last."""
        return [self.patches(latent)]


def lsgan(scales: list[list[Tensor]], target: float) -> Tensor:
    """Least-squares GAN: mean squared distance of scores to `target` (1 = real, 0 = made), averaged over scales."""
    return torch.stack([(features[-1].float() - target).square().mean() for features in scales]).mean()


def feature_matching(made: list[list[Tensor]], real: list[list[Tensor]]) -> Tensor:
    """Mean L1 distance of the discriminator's features on made and on real pictures; the score maps are left out."""
    distances = [
        F.l1_loss(a.float(), b.detach().float())
        for made_features, real_features in zip(made, real, strict=True)
        for a, b in zip(made_features[:-1], real_features[:-1], strict=True)
    ]
    return torch.stack(distances).mean()
