"""How much noise a photo has: the spread of its two finest scales where it is flattest.

A few pixels do not tell grain from cloth or sand, the whole photo does: its grain is everywhere, also where nothing
else is. The scales are those of the "a trous" wavelet transform, with which noise is measured in astronomy (Starck and
Murtagh, "Automatic noise estimation from the multiresolution support", 1998). The level is not exact: grain is weakest
in shadows and lights, and a photo that is textured all over counts as noisy.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SCALES = 2
"""Of the wavelet transform: detail of about 1 and of about 2 pixels."""
BLOCK = 16
"""Side of the blocks whose spread is measured, in pixels."""
FLATTEST = 0.02
"""Share of a photo's blocks below whose spread its level lies: some are flat even where nearly all is leaves."""
FLATTEST_OF_ADDED = 0.1
"""The same of what was added to a picture: no texture is in it, and crops of a training have few blocks."""
HALF = 127.5
"""Levels of 255 in 1 of [-1, 1]."""
CLIPPED = 16 / HALF
"""Blocks whose mean is nearer to black or white than this, in [-1, 1], show less noise than there is."""
_REACH = 3
"""Pixels on each side that a detail depends on."""


def noise_level(image: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the noise of each picture as a whole.

    Args:
        image: N3HW in [-1, 1].
        mask: N1HW, 1 = damaged, not looked at; None: nothing is.

    Returns:
        N x 2 in levels of 255, of the fine and of the coarse scale. Of a picture that is damaged or clipped all over:
        that of all of it.
    """
    return level_of(*spreads(image, mask))


def added_noise_level(degraded: Tensor, clean: Tensor, mask: Tensor | None = None) -> Tensor:
    """The same of what `degraded` has and `clean` has not, so that no texture counts; both N3HW in [-1, 1]."""
    return level_of(*spreads(degraded, mask, degraded - clean), FLATTEST_OF_ADDED)


def level_of(found: Tensor, counts: Tensor, flattest: float = FLATTEST) -> Tensor:
    """The N x 2 of `noise_level` from what `spreads` found, also in several parts of a picture, joined along dim 1."""
    counts = counts | ~counts.any(dim=1, keepdim=True)
    return torch.nanquantile(found.masked_fill(~counts[..., None], torch.nan), flattest, dim=1)


def spreads(image: Tensor, mask: Tensor | None = None, of: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Measures both scales in every block of 16 x 16 pixels.

    Args:
        image: N3HW in [-1, 1].
        mask: N1HW, 1 = damaged.
        of: N3HW, what is measured instead of `image`.

    Returns:
        N x blocks x 2, standard deviations in levels of 255 over all channels; and N x blocks bool, whether a block
        counts: those of `image` that are clipped or touch damage do not.
    """
    count, _, height, width = image.shape
    block = min(BLOCK, height, width)
    with torch.no_grad():
        values = (image if of is None else of).float().flatten(0, 1)[:, None]
        powers = []
        for scale in range(SCALES):
            smooth = _smoothed(values, 2**scale)
            powers.append(_means((values - smooth).square(), block, count))
            values = smooth
        found = torch.stack(powers, dim=-1).mean(dim=1).sqrt() * HALF
        counts = _means(image.float().flatten(0, 1)[:, None], block, count).mean(dim=1).abs() <= 1 - CLIPPED
        if mask is not None:
            near = F.max_pool2d(mask.float(), 2 * _REACH + 1, 1, _REACH)
            counts &= _means(near, block, count)[:, 0] == 0
        return found, counts


def _smoothed(values: Tensor, step: int) -> Tensor:
    """By the binomial 1 2 1 along both sides, `step` pixels apart; the border is repeated."""
    padded = F.pad(values, (step,) * 4, mode="replicate")
    across = (padded[..., : -2 * step] + 2 * padded[..., step:-step] + padded[..., 2 * step :]) / 4
    return (across[..., : -2 * step, :] + 2 * across[..., step:-step, :] + across[..., 2 * step :, :]) / 4


def _means(values: Tensor, block: int, count: int) -> Tensor:
    """(N C)1HW -> N C blocks: what is left at the right and below is not looked at."""
    return F.avg_pool2d(values, block).reshape(count, -1, values.shape[-2] // block * (values.shape[-1] // block))
