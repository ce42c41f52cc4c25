"""What image and paper are made of: grain, halftone dots, the relief of the paper."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import cv2
import numpy as np

from oldphoto_core.degradation.archive.blending import DENSITY, GAMMA, is_grey, to_levels
from oldphoto_core.degradation.archive.fields import coordinates, long_side, noise
from oldphoto_core.degradation.archive.operation import Dice, Operation, Outcome, Share, Span, Within
from oldphoto_core.degradation.unstructured import Image

FINE_GRAIN = 0.003
"""Density of the finest grain: less than a level of 8 bits in mid-grey."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grain(Operation):
    """Silver grains (in colour, dye clouds) are counted, not measured: density fluctuates as the root of the density.

    Selwyn's law, brought to levels by the slope of the tone scale: none in white, most in the middle, little in black.
    """

    name: ClassVar[str] = "grain"

    probability: Share = 0.85
    """How often."""
    density: Annotated[Span, Within(0.001, 1.0)] = (0.03, 0.17)
    """Standard deviation of the density (log10) where the density is 1."""
    size: Annotated[Span, Within(0.0001, 0.05)] = (0.0012, 0.0042)
    """Of a clump of grains, in long sides; below one pixel, neighbours are independent."""

    def well_kept(self) -> Self:
        """As often as in other photos, but finer than the weakest of them."""
        return replace(self, density=(min(FINE_GRAIN, self.density[0]), self.density[0]))

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Noise scaled by a table of the level; a grey picture gets grey grain, a colour one also some per channel."""
        shape = (image.shape[0], image.shape[1])
        slope = np.arange(256) * np.log(10) / GAMMA  # of level over density
        table = dice.draw(self, "density") * np.sqrt(DENSITY) * slope
        cells = min(1.0 / dice.draw(self, "size"), float(long_side(shape)))
        clumps = np.repeat(noise(shape, cells, dice.rng)[..., None], 3, axis=2)
        if not is_grey(image):
            dyes = [noise(shape, cells, dice.rng) for _ in range(3)]
            clumps = np.float32(0.75) * clumps + np.float32(0.66) * np.stack(dyes, axis=2)
        strength = cv2.LUT(image, table.astype(np.float32)).reshape(image.shape)
        return Outcome(to_levels(image.astype(np.float32) + strength * clumps))


@dataclass(frozen=True, kw_only=True, slots=True)
class Halftone(Operation):
    """A picture from print: dots of one ink on a turned grid, larger where it is darker, seen not quite sharply."""

    name: ClassVar[str] = "halftone"

    probability: Share = 0.05
    """How often."""
    pitch: Annotated[Span, Within(0.001, 0.2)] = (0.0105, 0.016)
    """From dot to dot, in long sides; never less than 2.5 pixels."""
    contrast: Annotated[Span, Within(0.0, 1.0)] = (0.2, 0.75)
    """1 is ink or bare paper and nothing between."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """A threshold that swings with two cosines, on the luminance; colours keep their ratios."""
        shape = (image.shape[0], image.shape[1])
        pitch = max(dice.draw(self, "pitch"), 2.5 / long_side(shape))
        turn, contrast = float(dice.rng.uniform(0.2, 1.4)), np.float32(dice.draw(self, "contrast"))
        x, y = coordinates(shape)
        per = np.float32(2 * np.pi / pitch)
        screen = np.cos(per * (x * np.cos(turn) + y * np.sin(turn))) + np.cos(
            per * (y * np.cos(turn) - x * np.sin(turn))
        )
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).reshape(shape).astype(np.float32) * np.float32(1 / 255)
        dots = 1.0 / (1.0 + np.exp(np.float32(-6.0) * (grey - np.float32(0.5) + np.float32(0.25) * screen)))
        wanted = grey + contrast * (dots - grey)
        ratio = (wanted / np.maximum(grey, np.float32(0.02))).astype(np.float32)
        return Outcome(to_levels(image.astype(np.float32) * ratio[..., None]))


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperTexture(Operation):
    """Relief of the paper under the scanner's slanting light: felted fibres, or the pressed pattern of silk finish."""

    name: ClassVar[str] = "paper_texture"

    probability: Share = 0.25
    """How often."""
    relief: Annotated[Span, Within(0.0, 0.5)] = (0.02, 0.085)
    """Standard deviation of the light that it reflects, as a share."""
    size: Annotated[Span, Within(0.0005, 0.2)] = (0.006, 0.016)
    """Of fibres and of the pattern, in long sides."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Multiplied with the slope of the surface toward the light."""
        shape, rng = (image.shape[0], image.shape[1]), dice.rng
        size = max(dice.draw(self, "size"), 2.5 / long_side(shape))
        if dice.choose("finish", ("felt", "felt", "silk")) == "silk":
            x, y = coordinates(shape)
            per = np.float32(2 * np.pi / size)
            waves = [np.cos(per * (x * np.cos(turn) + y * np.sin(turn))) for turn in np.array([0.3, 1.35, 2.4])]
            light = (sum(waves) / np.float32(1.22)).astype(np.float32)
        else:
            height = noise(shape, min(1.0 / size, float(long_side(shape))), rng, octaves=2)
            light = height - np.roll(height, (1, 1), axis=(0, 1))
            light /= np.float32(max(float(light.std()), 1e-6))
        shine = np.float32(1.0) + np.float32(dice.draw(self, "relief")) * light
        return Outcome(to_levels(image.astype(np.float32) * shine[..., None]))
