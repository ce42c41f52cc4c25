"""Instance norm of preset `paper`, and the moments it is made of, which a picture can be asked for strip by strip."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-5
"""Added to the variance, as in the published networks."""
BLOCK = 8192
"""Positions summed in one go. The kernels add float32 one by one: over 4 megapixels they were wrong by 7e-4."""


class SpatialNorm(nn.Module):
    """Instance norm without affine parameters: each channel of each picture to mean 0 and variance 1 (NCHW -> NCHW)."""

    def forward(self, x: Tensor) -> Tensor:
        """Statistics over the whole of each picture."""
        if len(x) > 1 or torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
            return F.instance_norm(x, eps=EPSILON)
        # of a single picture instance norm is batch norm, whose CPU kernels take channels_last without a copy
        moments = Moments()
        moments.add(x)
        return moments.normalised(x)


class Moments:
    """Mean and variance of each channel over a picture that is seen in parts."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, Tensor, Tensor]] = []

    def add(self, x: Tensor) -> None:
        """A further part, 1CHW."""
        for block in torch.split(x, max(1, BLOCK // x.shape[3]), dim=2):
            mean, variance = torch.batch_norm_update_stats(block, None, None, 0.0)
            self._parts.append((block.shape[2] * block.shape[3], mean, variance))

    def normalised(self, x: Tensor) -> Tensor:
        """A part, 1CHW, by the moments of all parts together."""
        mean, variance = self._together()
        return F.batch_norm(x, mean, variance, training=False, eps=EPSILON)

    def _together(self) -> tuple[Tensor, Tensor]:
        counts, means, variances = zip(*self._parts, strict=True)
        if len(counts) > 1:
            mean, within = torch.stack(means), torch.stack(variances)
            shares = torch.tensor(counts, dtype=mean.dtype, device=mean.device)[:, None] / sum(counts)
            total = (mean * shares).sum(0)
            # the variance within the parts and that between them
            self._parts = [(sum(counts), total, ((within + (mean - total) ** 2) * shares).sum(0))]
        return self._parts[0][1:]
