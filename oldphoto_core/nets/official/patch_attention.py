"""Multi-scale patch attention (journal version, arXiv 2009.07047): the published mapping for high resolution.

A patch of the latent that is mostly damaged is replaced by the intact patch most like it (hard selection, cosine
similarity), at patches of 8, 4, then 2; a convolution then joins what was there, what was found, and the mask. Only
damaged patches ask, and a block of them at a time: the matrix of all pairs is never formed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.nets.blocks import ResnetBlock
from oldphoto_core.nets.mapping import PAPER_WIDTHS, paper_way_in, paper_way_out
from oldphoto_core.nets.official.masks import blended_mask

DAMAGED_SHARE = 0.6
"""A patch is damaged when more than this share of its positions is."""
PATCHES = (8, 4, 2)
"""Sides of the patches of the three stages, in positions of the latent."""
SCORES = 2**24
"""Similarities held at once: 64 MiB."""


class PatchAttention(nn.Module):
    """One stage."""

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.res_block = nn.Sequential(ResnetBlock(channels))
        self.F_Combine = nn.Conv2d(2 * channels + 1, channels, 3, padding=1)

    def forward(self, features: Tensor, damaged: Tensor) -> Tensor:
        """`features` NCHW, `damaged_N1HW` of 0 and 1 at their size -> NCHW."""
        refined: Tensor = self.res_block(features)
        composed = torch.stack(
            [compose(picture, mask, self.patch) for picture, mask in zip(refined, damaged, strict=True)]
        )
        joined: Tensor = self.F_Combine(torch.cat([features, composed, damaged], dim=1))
        return joined


class PatchAttentionMapping(nn.Module):
    """The published high-resolution mapping, 73.9 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        width = PAPER_WIDTHS[-1]
        first, second, third = PATCHES
        self.before_NL = nn.Sequential(*paper_way_in(), *_pair(width))
        self.NL_scale_1 = PatchAttention(width, first)
        self.res_block_1 = nn.Sequential(*_pair(width))
        self.NL_scale_2 = PatchAttention(width, second)
        self.res_block_2 = nn.Sequential(*_pair(width))
        self.NL_scale_3 = PatchAttention(width, third)
        self.after_NL = nn.Sequential(*_pair(width), *paper_way_out())

    def forward(self, latent: Tensor, mask: Tensor | None = None) -> Tensor:
        """Translates the latent N64hw, any h and w; `mask_N1HW` at picture size, 1 = damaged."""
        size = (latent.shape[2], latent.shape[3])
        damaged = latent.new_zeros(len(latent), 1, *size) if mask is None else blended_mask(mask, size)
        features = self.NL_scale_1(self.before_NL(latent), damaged)
        features = self.NL_scale_2(self.res_block_1(features), damaged)
        features = self.NL_scale_3(self.res_block_2(features), damaged)
        translated: Tensor = self.after_NL(features)
        return translated


def compose(features_CHW: Tensor, damaged_1HW: Tensor, patch: int) -> Tensor:
    """Features with every damaged patch replaced by the intact one most like it; CHW -> CHW.

    A size that is not a multiple of the patch is continued by its border for the search: such patches are filled as all
    others, but serve no other as evidence. Without one intact patch, the features are what comes back.
    """
    height, width = features_CHW.shape[1:]
    beyond = (0, -width % patch, 0, -height % patch)
    patches = _cut(F.pad(features_CHW[None], beyond, mode="replicate")[0], patch)
    shares = _cut(F.pad(damaged_1HW[None], beyond, mode="replicate")[0], patch).mean(dim=1)
    whole = _cut(F.pad(torch.ones_like(damaged_1HW), beyond), patch).amin(dim=1) > 0
    damaged = shares > DAMAGED_SHARE
    evidence = whole & ~damaged
    if not damaged.any() or not evidence.any():
        return features_CHW
    asking = damaged.nonzero().squeeze(1)
    patches[asking] = patches[_most_alike(patches, asking, evidence)]
    return _join(patches, patch, -(-width // patch))[:, :height, :width]


def _most_alike(patches: Tensor, asking: Tensor, evidence: Tensor) -> Tensor:
    """For each patch that asks, the index of the most similar one among those that are evidence."""
    lengths = patches.norm(dim=1).clamp_min(1e-12)
    best = []
    for part in torch.split(asking, max(1, SCORES // len(patches))):
        # the length of the one who asks changes all its similarities alike, so it is left out
        scores = (patches[part] @ patches.T) / lengths
        best.append(scores.masked_fill_(~evidence, -torch.inf).argmax(dim=1))
    return torch.cat(best)


def _cut(picture_CHW: Tensor, patch: int) -> Tensor:
    """CHW, sides multiples of `patch` -> number of patches x values of one patch, row by row."""
    channels, height, width = picture_CHW.shape
    grid = picture_CHW.reshape(channels, height // patch, patch, width // patch, patch)
    return grid.permute(1, 3, 0, 2, 4).reshape(-1, channels * patch * patch)


def _join(patches: Tensor, patch: int, columns: int) -> Tensor:
    """The inverse of `_cut`, for so many patches in a row."""
    rows = len(patches) // columns
    grid = patches.reshape(rows, columns, -1, patch, patch).permute(2, 0, 3, 1, 4)
    return grid.reshape(-1, rows * patch, columns * patch)


def _pair(width: int) -> list[nn.Module]:
    return [ResnetBlock(width), ResnetBlock(width)]
