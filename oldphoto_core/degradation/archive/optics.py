"""What lens, hand and scanner did to sharpness: defocus, motion, blur of one direction, few pixels, compression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import cv2
import numpy as np

from oldphoto_core.degradation import unstructured
from oldphoto_core.degradation.archive.canvas import Canvas, curve
from oldphoto_core.degradation.archive.fields import long_side
from oldphoto_core.degradation.archive.operation import Dice, Field, Operation, Outcome, Share, Span, Within
from oldphoto_core.degradation.unstructured import Image

FINE_QUALITY = 98
"""JPEG quality that hardly changes a pixel."""


def _filtered(image: Image, kernel: Field) -> Outcome:
    weights = kernel / np.float32(max(float(kernel.sum()), 1e-6))
    made = cv2.filter2D(image, -1, weights, borderType=cv2.BORDER_REFLECT)
    return Outcome(made.reshape(image.shape).astype(np.uint8, copy=False))


def _window(reach: float) -> tuple[Field, Field]:
    """Coordinates in pixels, (x, y), of an odd window that reaches `reach` pixels from its middle."""
    half = max(1, int(np.ceil(reach)))
    axis = np.arange(-half, half + 1, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    return x.astype(np.float32), y.astype(np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Defocus(Operation):
    """A lens out of focus spreads each point over a disc, the image of its aperture."""

    name: ClassVar[str] = "defocus"

    probability: Share = 0.3
    """How often."""
    radius: Annotated[Span, Within(0.0001, 0.2)] = (0.003, 0.012)
    """Of the disc, in long sides."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Convolution with a disc whose rim is anti-aliased."""
        radius = dice.draw(self, "radius") * long_side((image.shape[0], image.shape[1]))
        x, y = _window(radius + 0.5)
        return _filtered(image, np.clip(np.float32(radius + 0.5) - np.hypot(x, y), 0.0, 1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionBlur(Operation):
    """Long exposures: the camera or the sitter moved along a short, slightly bent path."""

    name: ClassVar[str] = "motion_blur"

    probability: Share = 0.14
    """How often."""
    length: Annotated[Span, Within(0.0005, 0.5)] = (0.009, 0.035)
    """Of the path, in long sides."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Convolution with the path."""
        length = max(1.5, dice.draw(self, "length") * long_side((image.shape[0], image.shape[1])))
        x, _ = _window(length / 2 + 1)
        heading = float(dice.rng.uniform(0, np.pi))
        path = curve((0.0, 0.0), heading, length, 0.5, dice.rng)
        drawn = Canvas((len(x), len(x)))
        drawn.line((path - path.mean(axis=0) + len(x) / 2) / len(x), 1.0 / len(x))
        return _filtered(image, drawn.coverage())


@dataclass(frozen=True, kw_only=True, slots=True)
class AnisotropicBlur(Operation):
    """Astigmatic lenses and bowed plates: a Gaussian that is wider in one direction than in the other."""

    name: ClassVar[str] = "anisotropic_blur"

    probability: Share = 0.2
    """How often."""
    sigma: Annotated[Span, Within(0.0001, 0.2)] = (0.0025, 0.009)
    """Standard deviation in the wide direction, in long sides."""
    ratio: Annotated[Span, Within(0.01, 1.0)] = (0.8, 0.25)
    """Of the narrow direction to the wide one."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Convolution with a Gaussian of two widths, turned."""
        wide = dice.draw(self, "sigma") * long_side((image.shape[0], image.shape[1]))
        narrow, turn = max(0.2, wide * dice.draw(self, "ratio")), float(dice.rng.uniform(0, np.pi))
        x, y = _window(3 * wide)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        return _filtered(
            image, np.exp(-0.5 * (np.square(along / wide) + np.square(across / narrow))).astype(np.float32)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LowResolution(Operation):
    """A small scan enlarged again."""

    name: ClassVar[str] = "low_resolution"

    probability: Share = 0.4
    """How often."""
    scale: Annotated[Span, Within(0.02, 1.0)] = (0.9, 0.42)
    """To what share of its length each side is shrunk."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """The operation of the recipe `published`, both sides alike."""
        scale = dice.draw(self, "scale")
        made, drawn = unstructured.low_resolution(image, dice.rng, (scale, scale))
        dice.drawn["up"] = drawn["up"]
        return Outcome(made)


@dataclass(frozen=True, kw_only=True, slots=True)
class Jpeg(Operation):
    """The scan was stored as a JPEG."""

    name: ClassVar[str] = "jpeg"

    probability: Share = 0.75
    """How often."""
    quality: Annotated[Span, Within(1, 100)] = (92, 38)
    """As libjpeg counts it."""

    def well_kept(self) -> Self:
        """As often as in other photos, but better than the best of them."""
        return replace(self, quality=(max(FINE_QUALITY, self.quality[0]), self.quality[0]))

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """The operation of the recipe `published`."""
        quality = dice.count(self, "quality")
        return Outcome(unstructured.jpeg(image, dice.rng, (quality, quality))[0])
