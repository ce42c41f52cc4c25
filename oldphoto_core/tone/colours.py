"""Is a photo monochrome? Its colours then lie on one curve over lightness, within noise.

Most of its area decides: what lies off the curve (a stamp, a stain, a coloured border, a colour target) is bounded in
area, and counts less towards the border. Damage does not count at all.

Fading and yellowing draw the colours of a colour photo towards such a curve. Colours that are left can be recognised
by their hue: age turns photos yellow, brown and red, broadly, and never an object in them green. So a cell that is
greener than its surroundings counts as coloured at a third of the distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import Readable
from oldphoto_core.tone.curve import Curve, robust_curve
from oldphoto_core.tone.grid import Floats, Grid, slabs
from oldphoto_core.tone.luma import LUMA
from oldphoto_core.tone.measures import lab
from oldphoto_core.tone.options import ToneOptions
from oldphoto_core.tone.tone_map import ToneMap

Kind = Literal["monochrome", "colour"]

MOST_RESIDUAL = 2.5
"""Of a monochrome photo: root of the mean square distance of its colours from their curve, in units of Lab."""
FAR = 6.0
"""Distance from the curve, in units of Lab, from which a cell has a colour of its own."""
GREENER = 2.0
"""How much greener than its surroundings, in units of Lab across the direction of age, a cell is that is coloured."""
MOST_COLOURED = 0.1
"""Share of a monochrome photo that may be coloured: far from the curve, or greener than its surroundings."""
WARM, WARM_WEIGHT = np.array([0.25, 0.968]), 0.4
"""Direction (a, b) in which silver and paper turn with age, and how much distance in that direction counts: toning is
seldom even, and stains and foxing are of that hue, while paint is of any."""
GREEN = np.array([-WARM[1], WARM[0]])
"""Direction across that: towards green."""
BORDER, BORDER_WEIGHT = 0.1, 0.1
"""Share of each side that counts as border, and how much its cells count."""
_BLUR = 1.5
"""Cells by which colours are blurred before they are judged: grain and JPEG noise are not colours."""
_SURROUNDINGS = 0.25
"""Standard deviation, in long sides, of the Gaussian that surroundings are: toning changes little within it."""
_SAMPLES = 256
"""Pixels of the long side that the tint is fitted on."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over a photo finds."""

    grid: Grid
    highest: int
    """Level of white."""
    is_neutral: bool
    """Whether every pixel, damaged or not, has R = G = B."""
    samples: Floats
    """N3: intact pixels from 0 to 1, spread evenly over the photo."""

    @property
    def means(self) -> Floats:
        """Of the cells, from 0 to 1."""
        return self.grid.means(self.highest)


@dataclass(frozen=True, slots=True)
class Toning:
    """What becomes of the tone of one photo."""

    map: ToneMap
    """As the model's tone network predicts it."""
    amount: float
    """How much of it is applied, from 0 to 1."""

    @property
    def applied(self) -> ToneMap | None:
        """The map that the photo goes through; None: its tone is left alone."""
        return self.map.blended(self.amount) if self.amount and not self.map.is_identity else None


@dataclass(frozen=True, slots=True)
class Colours:
    """What was decided about the colours of one photo."""

    kind: Kind
    options: ToneOptions
    """What was asked for."""
    residual: float
    """Root of the mean square distance from the curve of what lies near it, in units of Lab; the direction of age
    counts less."""
    far: float
    """Share of the photo that has colours of its own, 0 to 1."""
    coloured: float
    """The same, with what is greener than its surroundings."""
    is_neutral: bool
    """R = G = B in every pixel."""
    tint: Curve | None
    """Luma from 0 to 1 -> what red, green and blue differ from it; None: nothing, or a photo in colour."""
    survey: Survey
    toning: Toning | None = None
    """None: the model has no tone network."""

    @property
    def tone_map(self) -> ToneMap | None:
        """The map that the restored photo goes through; None: its tone is left alone."""
        return self.toning.applied if self.toning is not None else None

    @property
    def is_monochrome(self) -> bool:
        """Whether it is restored in lightness alone."""
        return self.kind == "monochrome"


def colours_of(photo: Readable, mask: Readable | None, options: ToneOptions) -> Colours:
    """Judges a photo.

    Args:
        photo: HWC of 1 or 3 channels, uint8 or uint16 of sRGB.
        mask: HW1, not 0 = damaged; None: nothing is.
        options: `colour` overrides the judgement, `tint` says which tint it gets.
    """
    seen = survey(photo, mask)
    if photo.shape[2] == 1 or seen.is_neutral:
        kind: Kind = "colour" if options.colour == "colour" and photo.shape[2] == 3 else "monochrome"
        return Colours(kind, options, 0.0, 0.0, 0.0, True, None, seen)
    residual, far, coloured = judged(seen)
    kind = "monochrome" if residual <= MOST_RESIDUAL and coloured <= MOST_COLOURED else "colour"
    if options.colour != "auto":
        kind = options.colour
    tint = _tint(seen) if kind == "monochrome" and options.tint == "keep" else None
    return Colours(kind, options, residual, far, coloured, False, tint, seen)


def survey(photo: Readable, mask: Readable | None) -> Survey:
    """One pass over a photo, in rows."""
    height, width, channels = photo.shape
    highest = int(np.iinfo(photo.dtype).max)
    grid, parts, is_neutral = Grid(height, width, channels), [], True
    step = max(1, max(height, width) // _SAMPLES)
    for top, bottom in slabs(photo):
        rows = photo.read(top, bottom)
        damaged = None if mask is None else mask.read(top, bottom)[..., 0] != 0
        grid.add(top, rows, damaged)
        is_neutral = is_neutral and (channels == 1 or _is_neutral(rows))
        first = -top % step
        picked = rows[first::step, step // 2 :: step].reshape(-1, channels)
        parts.append(picked if damaged is None else picked[~damaged[first::step, step // 2 :: step].reshape(-1)])
    return Survey(grid, highest, is_neutral, np.concatenate(parts) / highest)


def judged(seen: Survey) -> tuple[float, float, float]:
    """`residual`, `far` and `coloured` of a photo in three channels, as `Colours` has them."""
    shares = seen.grid.shares()
    weights = shares * _centre(shares.shape)
    if not weights.sum():
        return 0.0, 0.0, 0.0
    weights /= weights.sum()
    picture = _blurred(lab(seen.means).astype(np.float64), shares, _BLUR)
    lightness, colours = picture[..., 0].reshape(-1) / 100, picture[..., 1:].reshape(-1, 2)
    curve = robust_curve(lightness, colours, weights.reshape(-1), 0.5)
    offsets = (colours - curve(lightness)).reshape(*shares.shape, 2)
    green = offsets @ GREEN
    apart = np.hypot(WARM_WEIGHT * (offsets @ WARM), green)
    bounded = green.clip(-FAR, FAR)[..., np.newaxis]
    greener = green - _blurred(bounded, shares, _SURROUNDINGS * max(shares.shape))[..., 0]
    is_far = apart > FAR
    near = weights * ~is_far
    residual = float(np.sqrt((near * apart**2).sum() / max(near.sum(), 1e-9)))
    return residual, float(weights[is_far].sum()), float(weights[is_far | (greener > GREENER)].sum())


def is_neutral(photo: Readable) -> bool:
    """Whether R = G = B in every pixel of a photo in three channels."""
    return photo.shape[2] == 3 and all(_is_neutral(photo.read(*slab)) for slab in slabs(photo))


def _is_neutral(rows: NDArray[Any]) -> bool:
    return bool((rows[..., 0] == rows[..., 1]).all() and (rows[..., 1] == rows[..., 2]).all())


def _tint(seen: Survey) -> Curve:
    """What most pixels' channels differ from their luma."""
    luma = seen.samples @ LUMA
    return robust_curve(luma, seen.samples - luma[:, np.newaxis], np.ones(len(luma)), 0.01)


def _centre(size: tuple[int, ...]) -> Floats:
    """Weights of the cells: less towards the border, where mounts, targets and the scanner's lid are."""
    down, right = (np.minimum(np.arange(side), np.arange(side)[::-1]) >= round(BORDER * side) for side in size)
    return np.where(down[:, np.newaxis] & right[np.newaxis], 1.0, BORDER_WEIGHT)


def _blurred(picture: Floats, shares: Floats, cells: float) -> Floats:
    """`picture_HWC` blurred over the intact pixels alone."""
    total = cv2.GaussianBlur(shares, (0, 0), cells, borderType=cv2.BORDER_CONSTANT)
    summed = cv2.GaussianBlur(picture * shares[..., np.newaxis], (0, 0), cells, borderType=cv2.BORDER_CONSTANT)
    blurred: Floats = summed.reshape(picture.shape) / np.maximum(total, 1e-6)[..., np.newaxis]
    return blurred
