"""The perceptual term: how far apart two images are to VGG16, a network that was trained to tell objects apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.checkpoints.lpips_weights import load_lpips

LEVELS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Weights of the levels, finest first, as in the published training."""


class PerceptualDistance(nn.Module):
    """Weighted L1 between the features of two images, N3HW in [0, 1] (the VGG part of eq. 5); frozen.

    The published training takes relu1_1 to relu5_1 of VGG19; these are relu1_2, 2_2, 3_3, 4_3 and 5_3 of VGG16.
    """

    def __init__(self) -> None:
        """Raise ModelError if the package with the weights is not installed, and as `load_lpips`."""
        super().__init__()
        self.network = load_lpips("vgg16").network

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """Return one number, the mean over the batch; gradients go to `made` alone."""
        with torch.no_grad():
            wanted = self.network(real)
        found = self.network(made)
        terms = [F.l1_loss(ours.float(), theirs.float()) for ours, theirs in zip(found, wanted, strict=True)]
        return torch.stack([weight * term for weight, term in zip(LEVELS, terms, strict=True)]).sum()
