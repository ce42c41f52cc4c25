"""The tone network: from a thumbnail and histograms of a whole photo to one smooth monotone curve per channel and a
3 x 3 matrix, or to one curve of lightness.

Curves are given by their value at 0 and their slopes at evenly spaced levels (knots), between which the slope is
linear: so they are smooth, and monotone since slopes are above 0. Every number is bounded, and a fresh network gives
the identity.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.nets.luminance import LUMA

KNOTS = 17
"""Levels, from 0 to 1, at which a curve's slope is given."""
MOST_SLOPE = 4.0
"""A slope is at most this, and at least its inverse."""
MOST_BLACK = 0.5
"""A curve's value at 0 is at most this far from 0."""
MOST_MIXED = 0.5
"""Entries of the matrix are at most this far from those of the identity."""
SIDE = 64
"""Pixels of each side of the thumbnail, whatever the photo's shape."""
BINS = 32
"""Of each histogram: red, green, blue and luma."""


class ToneNet(nn.Module):
    """Predicts the tone map of photos. 0.2 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 64, 96)
        self.thumbnail = nn.Sequential(
            *(
                layer
                for before, after in pairwise(widths)
                for layer in (nn.Conv2d(before, after, 3, stride=2, padding=1), nn.SiLU())
            )
        )
        self.histograms = nn.Sequential(nn.Linear(4 * BINS, 128), nn.SiLU())
        self.joined = nn.Sequential(nn.Linear(2 * widths[-1] + 128, 192), nn.SiLU(), nn.Linear(192, 128), nn.SiLU())
        self.colour = nn.Linear(128, 3 * (1 + KNOTS) + 9)
        self.lightness = nn.Linear(128, 1 + KNOTS)
        for head in (self.colour, self.lightness):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, picture: Tensor, intact: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The maps of photos in colour, and of the same photos as monochrome ones.

        Args:
            picture: N3HW from 0 to 1, a reduced copy of each photo of any size from 1 x 1.
            intact: N1HW, share of each of its pixels that is not damaged; some must be above 0.

        Returns:
            curves N x 3 x (1 + KNOTS), matrices N x 3 x 3, curves of lightness N x 1 x (1 + KNOTS). The first number of
            a curve is its value at 0, the others are its slopes.
        """
        seen = self.thumbnail(_thumbnail(picture, intact) * 2.0 - 1.0)
        parts = [seen.mean(dim=(2, 3)), seen.amax(dim=(2, 3)), self.histograms(_histograms(picture, intact))]
        features = self.joined(torch.cat(parts, dim=1))
        colour = self.colour(features).float()
        curves, mixed = colour[:, :-9].reshape(-1, 3, 1 + KNOTS), colour[:, -9:].reshape(-1, 3, 3)
        matrices = torch.eye(3, device=mixed.device) + MOST_MIXED * torch.tanh(mixed)
        return _bounded(curves), matrices, _bounded(self.lightness(features).float().unsqueeze(1))


def through_curves(values: Tensor, curves: Tensor) -> Tensor:
    """`values_NCHW` from 0 to 1 through `curves_NCK`, each channel through its own; not clipped."""
    count = curves.shape[2] - 2
    black, slopes = curves[..., :1], curves[..., 1:]
    starts = black + F.pad(((slopes[..., 1:] + slopes[..., :-1]) / (2 * count)).cumsum(-1), (1, 0))
    places = values.flatten(2).clamp(0, 1) * count
    below = places.detach().floor().clamp(max=count - 1).long()
    share = places - below
    start, first, last = starts.gather(2, below), slopes.gather(2, below), slopes.gather(2, below + 1)
    return (start + (first * share + (last - first) * share.square() / 2) / count).reshape(values.shape)


def through_matrix(values: Tensor, matrices: Tensor) -> Tensor:
    """`values_N3HW` through `matrices_N33`."""
    return torch.einsum("nij,njhw->nihw", matrices, values)


def _bounded(curves: Tensor) -> Tensor:
    black, slopes = curves[..., :1], curves[..., 1:]
    return torch.cat([MOST_BLACK * torch.tanh(black), torch.exp(math.log(MOST_SLOPE) * torch.tanh(slopes))], dim=-1)


def _thumbnail(picture: Tensor, intact: Tensor) -> Tensor:
    """Means over what is intact; where nothing is, the photo's mean."""
    share = F.adaptive_avg_pool2d(intact, SIDE)
    summed = F.adaptive_avg_pool2d(picture * intact, SIDE)
    mean = (picture * intact).sum(dim=(2, 3), keepdim=True) / intact.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    return torch.where(share > 1e-3, summed / share.clamp_min(1e-3), mean)


def _histograms(picture: Tensor, intact: Tensor) -> Tensor:
    """N x (4 BINS): red, green, blue and luma of what is intact, the root of each share."""
    weights = picture.new_tensor(LUMA).reshape(1, 3, 1, 1)
    values = torch.cat([picture, (picture * weights).sum(dim=1, keepdim=True)], dim=1).flatten(2)
    places = (values * BINS).long().clamp(0, BINS - 1)
    counts = picture.new_zeros(len(picture), 4, BINS)
    counts.scatter_add_(2, places, intact.flatten(2).expand_as(values).contiguous())
    # roots: a few deep shadows of a faded photo say more than their area
    return (counts / intact.flatten(1).sum(dim=1).clamp_min(1e-6)[:, None, None]).sqrt().flatten(1)
