"""The tone map of one photo, by a tone network, from the grid of cells that its colours were judged by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.nets.tone import ToneNet
from oldphoto_core.tone.colours import Colours, Survey, Toning
from oldphoto_core.tone.luma import LUMA
from oldphoto_core.tone.tone_map import ToneMap

LEAST_RANGE = 0.02
"""Between the darkest and the lightest intact cell, in levels from 0 to 1: a photo of less has no tone to judge."""


def with_toning(network: ToneNet, colours: Colours) -> Colours:
    """What was decided about a photo, and what becomes of its tone."""
    found = predicted(network, colours.survey, monochrome=colours.is_monochrome)
    return replace(colours, toning=Toning(found, colours.options.tone_amount))


def predicted(network: ToneNet, seen: Survey, *, monochrome: bool) -> ToneMap:
    """The map of a photo; the identity where nothing of it is intact, or all of it has one tone.

    In float32 on a processor, whatever restores the photo: the map depends on nothing but network and photo.
    """
    means, shares = seen.means, seen.grid.shares()
    known = means[shares > 0]
    if not len(known) or np.ptp(_luma(known)) < LEAST_RANGE:
        return ToneMap.identity(monochrome=monochrome)
    picture = np.repeat(_luma(means)[..., np.newaxis], 3, axis=2) if monochrome else means
    with torch.inference_mode():
        curves, matrices, lightness = network(_planes(picture), _planes(shares[..., np.newaxis]))
    if monochrome:
        return ToneMap.of(lightness[0].tolist())
    return ToneMap.of(curves[0].tolist(), matrices[0].tolist())


def _luma(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of `colours_...C` of 1 or 3 channels."""
    luma: NDArray[np.float64] = colours[..., 0] if colours.shape[-1] == 1 else colours @ LUMA
    return luma


def _planes(values: NDArray[np.float64]) -> Tensor:
    """HWC -> 1CHW."""
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1), np.float32))[None]
