"""How a defect's layer meets the picture, and the mask that follows from what it did.

Addition, lighten-only and screen with random opacity are the paper's (section 4.1); multiply is what pigment does that
lies on the picture, cover what hides it.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation.archive.operation import Dice, Field, Mask, Outcome
from oldphoto_core.degradation.unstructured import Image

Blend = Literal["add", "lighten", "screen", "multiply", "cover"]
Values = NDArray[np.float32]
"""HWC float32 in levels of 255."""
Colour = tuple[float, float, float]
"""RGB in levels of 255."""

BRIGHT_BLENDS: tuple[Blend, ...] = ("add", "lighten", "screen", "cover")
DARK_BLENDS: tuple[Blend, ...] = ("multiply", "cover")

GAMMA = 2.2
"""Levels are transmittance T to the power 1 / 2.2, so density D = -log10(T) = -2.2 log10(level / 255)."""
DENSITY = np.minimum(-GAMMA * np.log10(np.maximum(np.arange(256), 0.5) / 255), 2.2)
"""Of each level, 256 float64; 2.2 is about the density of black in print, which 8 bits hardly resolve."""
SEEN = 3
"""A pixel that a defect changed by more than this many levels of 255 in some channel is in the defect's mask."""
LOST = 12
"""From this many levels on an opaque defect's pixel must be filled; what is fainter, the eye does not find either."""
AROUND = (7, 7)
"""Pixels around one that make up its surroundings: about what a defect of a few pixels lies among."""


def blend(image: Values, colour: Colour | Values, opacity: Field, how: Blend) -> Values:
    """`image_HWC` under a layer of one colour (or HWC of its own) with `opacity_HW` in [0, 1]."""
    layer = np.asarray(colour, np.float32)
    if how == "add":
        return image + opacity[..., None] * layer
    if how == "lighten":
        laid: Values = np.maximum(image, layer)
    elif how == "screen":
        laid = image + layer - image * layer * np.float32(1 / 255)
    elif how == "multiply":
        laid = image * layer * np.float32(1 / 255)
    else:
        return image + opacity[..., None] * (layer - image)
    return image + opacity[..., None] * (laid - image)


def mark(image: Values, bright: Field, dark: Field, dice: Dice) -> Values:
    """Grey marks of both kinds: bare paper with `bright_HW` opacity, dirt with `dark_HW`; tones are drawn."""
    light, shade = float(dice.once.uniform(205, 255)), float(dice.once.uniform(5, 70))
    over, under = dice.choose("bright_blend", BRIGHT_BLENDS), dice.choose("dark_blend", DARK_BLENDS)
    image = blend(image, (light,) * 3, bright, over) if bright.any() else image
    return blend(image, (shade,) * 3, dark, under) if dark.any() else image


def absorb(image: Values, density: Field, colour: Colour) -> Values:
    """Dye or rust on the picture: optical density added per channel, `density_HW` times the channel's own share."""
    shares = np.asarray(colour, np.float32) * np.float32(-np.log(10.0) / GAMMA)
    return image * np.exp(density[..., None] * shares).astype(np.float32, copy=False)


def to_levels(values: Values) -> Image:
    """Rounded and clipped to uint8."""
    return cv2.convertScaleAbs(np.maximum(values, np.float32(0.0))).astype(np.uint8, copy=False)


def is_grey(image: Image) -> bool:
    """Whether the three channels are equal."""
    return bool((image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all())


def change(before: Image, after: Image) -> NDArray[np.uint8]:
    """HW uint8: the largest change over the channels, in levels."""
    difference = cv2.absdiff(before, after)
    return np.maximum(np.maximum(difference[..., 0], difference[..., 1]), difference[..., 2])


def stands_out(whole: Image, changed: NDArray[np.uint8]) -> Mask:
    """HW bool: where a defect changed the picture by more than `LOST` levels and by more than the picture `whole_HWC`
    itself varies around there (standard deviation in 7 x 7 pixels). What changes less hides among the picture's own
    details, as eyes are the less sensitive to a signal the stronger the pattern behind it (contrast masking)."""
    grey = cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean, square = cv2.blur(grey, AROUND), cv2.blur(grey * grey, AROUND)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
    stands: Mask = (changed > LOST) & (changed > deviation)
    return stands


def settle(before: Image, values: Values, *, opaque: Mask | bool = False, hidden: Mask | None = None) -> Outcome:
    """The outcome of a structured defect, with pixels that hardly changed put back.

    `opaque` says where the defect hides the photograph; those of its pixels that are off by `LOST` levels are lost.
    `hidden` is lost whatever it looks like: a hole in a white sky is a hole.
    """
    after = to_levels(values)
    changed = change(before, after)
    mask = changed > SEEN
    image = np.where(mask[..., None], after, before)
    lost = None
    if opaque is not False or hidden is not None:
        lost = (changed > LOST) & opaque
        if hidden is not None:
            lost |= hidden
    return Outcome(image, mask, lost)
