"""Chemistry and light: fading, yellowing, toning, silver mirroring, uneven light, vignette.

Dyes, silver and stains add up as optical density D = -log10(T), so that is what tables are computed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np

from oldphoto_core.degradation.archive.blending import DENSITY, GAMMA, absorb, blend, is_grey, to_levels
from oldphoto_core.degradation.archive.fields import Shape, coordinates, extent, noise, smoothstep
from oldphoto_core.degradation.archive.operation import Dice, Field, Operation, Outcome, Share, Span, Within
from oldphoto_core.degradation.unstructured import Image

TONERS: dict[str, tuple[float, float, float]] = {
    "sepia": (0.78, 1.0, 1.32),
    "selenium": (0.93, 1.06, 0.98),
    "gold": (1.06, 1.0, 0.9),
    "cyanotype": (1.45, 1.0, 0.72),
    "umber": (0.7, 1.08, 1.5),
    "olive": (0.92, 0.95, 1.25),
}
"""What share of the silver's density each channel of the toned image has."""


def _through(image: Image, densities: list[np.ndarray]) -> Image:
    """The picture through a curve per channel: 256 densities of the level, each."""
    levels = [255.0 * 10 ** (-np.maximum(density, 0.0) / GAMMA) for density in densities]
    table = np.rint(np.stack(levels, axis=1)).clip(0, 255).astype(np.uint8)[:, None, :]
    return cv2.LUT(image, table).reshape(image.shape).astype(np.uint8, copy=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fading(Operation):
    """Silver oxidises and dyes bleach: densities shrink, and a fog lies over the whites.

    A grey picture loses alike in all channels; of dyes cyan goes first, then magenta, and what is left looks red.
    """

    name: ClassVar[str] = "fading"
    is_tone: ClassVar[bool] = True

    probability: Share = 0.8
    """How often."""
    loss: Annotated[Span, Within(0.0, 0.95)] = (0.08, 0.62)
    """Share of the density that is lost by the channel that loses most."""
    fog: Annotated[Span, Within(0.0, 1.0)] = (0.0, 0.2)
    """Density added everywhere."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """A density curve per channel, through a table; thin densities lose most."""
        loss, fog = dice.draw(self, "loss"), dice.draw(self, "fog")
        dyes = (1.0, dice.rng.uniform(0.55, 1.0), dice.rng.uniform(0.6, 1.0))
        shares = (1.0, 1.0, 1.0) if is_grey(image) else dyes
        kept = [DENSITY * (1.0 - loss * part * (1.15 - 0.3 * DENSITY / DENSITY[0])) + fog for part in shares]
        return Outcome(_through(image, kept))


@dataclass(frozen=True, kw_only=True, slots=True)
class Yellowing(Operation):
    """Acid paper, albumen and residual chemicals turn yellow-brown, most in the light parts and toward the edges."""

    name: ClassVar[str] = "yellowing"
    tints: ClassVar[bool] = True
    is_tone: ClassVar[bool] = True

    probability: Share = 0.5
    """How often."""
    density: Annotated[Span, Within(0.0, 2.0)] = (0.07, 0.5)
    """Density (log10) that the blue channel gains in the whites; green gains 0.4 of it, red 0.08."""
    uneven: Annotated[Span, Within(0.0, 1.0)] = (0.05, 0.4)
    """How much that varies over the picture, as a share."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Density added under the image: where that is dense itself, little of the paper is seen."""
        shape = (image.shape[0], image.shape[1])
        patchy = 1 + np.float32(dice.draw(self, "uneven")) * (noise(shape, 2, dice.rng) + 2 * _edges(shape) - 0.5)
        stain = np.float32(dice.draw(self, "density")) * np.maximum(patchy, 0).astype(np.float32)
        light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).reshape(shape).astype(np.float32) * np.float32(1 / 255)
        stain *= np.float32(0.35) + np.float32(0.65) * light
        return Outcome(to_levels(absorb(image.astype(np.float32), stain, (0.08, 0.4, 1.0))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Toning(Operation):
    """Silver turned into sulphide, selenide, gold or Prussian blue: each channel sees another density of the image."""

    name: ClassVar[str] = "toning"
    tints: ClassVar[bool] = True
    is_tone: ClassVar[bool] = True

    probability: Share = 0.35
    """How often."""
    strength: Annotated[Span, Within(0.0, 1.0)] = (0.3, 1.0)
    """1 is toned through and through."""
    bleach: Annotated[Span, Within(0.0, 1.0)] = (0.0, 0.35)
    """How far a colour picture loses its colours: what is toned was grey, but a network cannot know lost colours."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """A density curve per channel, through a table."""
        strength, bleach = dice.draw(self, "strength"), dice.draw(self, "bleach")
        toner = TONERS[dice.choose("toner", tuple(TONERS))]
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).reshape(image.shape)
        pale = cv2.addWeighted(image, 1 - bleach, grey, bleach, 0).reshape(image.shape).astype(np.uint8, copy=False)
        return Outcome(_through(pale, [DENSITY * (1 + strength * (part - 1)) for part in toner]))


@dataclass(frozen=True, kw_only=True, slots=True)
class SilverMirroring(Operation):
    """Silver that wandered to the surface: a bluish metal sheen over the darks, from the edges inward."""

    name: ClassVar[str] = "silver_mirroring"
    tints: ClassVar[bool] = True
    is_tone: ClassVar[bool] = True

    probability: Share = 0.1
    """How often."""
    opacity: Annotated[Span, Within(0.0, 1.0)] = (0.25, 0.9)
    """Of the sheen where it is strongest."""
    reach: Annotated[Span, Within(0.01, 2.0)] = (0.1, 0.45)
    """From the edges inward, in long sides."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Screened on, by darkness, nearness to an edge, and noise."""
        shape = (image.shape[0], image.shape[1])
        reach, opacity = dice.draw(self, "reach"), dice.draw(self, "opacity")
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).reshape(shape).astype(np.float32) * np.float32(1 / 255)
        near = _edges(shape, reach) + np.float32(0.15) * noise(shape, 3, dice.rng, octaves=3)
        sheen = np.float32(opacity) * smoothstep(0.15, 1.0, near) * np.square(np.float32(1.0) - grey)
        return Outcome(to_levels(blend(image.astype(np.float32), (138.0, 152.0, 176.0), sheen, "screen")))


@dataclass(frozen=True, kw_only=True, slots=True)
class UnevenLight(Operation):
    """A print lit from one side when it was copied, or developed unevenly: broad gradients and clouds of brightness."""

    name: ClassVar[str] = "uneven_light"
    is_tone: ClassVar[bool] = True

    probability: Share = 0.25
    """How often."""
    amount: Annotated[Span, Within(0.0, 1.0)] = (0.04, 0.26)
    """Largest change of the light, as a share."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Multiplied with a plane and with noise of a third of the picture."""
        shape, turn = (image.shape[0], image.shape[1]), dice.rng.uniform(0, 2 * np.pi)
        x, y = coordinates(shape)
        plane = (x - 0.5) * np.float32(2 * np.cos(turn)) + (y - 0.5) * np.float32(2 * np.sin(turn))
        light = np.float32(0.7) * plane + np.float32(0.25) * noise(shape, 3, dice.rng)
        factor = np.float32(1.0) + np.float32(dice.draw(self, "amount")) * light
        return Outcome(to_levels(image.astype(np.float32) * np.maximum(factor, 0)[..., None]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Vignette(Operation):
    """Old lenses: light falls with the fourth power of the angle's cosine, and barrels cut off the corners."""

    name: ClassVar[str] = "vignette"
    is_tone: ClassVar[bool] = True

    probability: Share = 0.25
    """How often."""
    fall: Annotated[Span, Within(0.0, 1.0)] = (0.1, 0.6)
    """Share of the light that is missing in the corners."""

    def apply(self, image: Image, dice: Dice) -> Outcome:
        """Multiplied with cos^4 of an angle that gives the corners what was drawn."""
        shape = (image.shape[0], image.shape[1])
        x, y = coordinates(shape)
        wide, high = extent(shape)
        middle = (np.array([wide, high]) / 2) + dice.rng.normal(0, 0.04, 2)
        corner = (wide**2 + high**2) / 4
        apart = ((x - np.float32(middle[0])) ** 2 + (y - np.float32(middle[1])) ** 2) / np.float32(corner)
        kept = 1.0 - min(dice.draw(self, "fall"), 0.95)
        factor = 1.0 / np.square(1.0 + apart * np.float32(kept**-0.5 - 1.0))
        return Outcome(to_levels(image.astype(np.float32) * factor.astype(np.float32)[..., None]))


def _edges(shape: Shape, reach: float = 0.35) -> Field:
    """1 at the picture's edges, falling to 0 at `reach` long sides from them."""
    x, y = coordinates(shape)
    wide, high = extent(shape)
    inward = np.minimum(np.minimum(x, np.float32(wide) - x), np.minimum(y, np.float32(high) - y))
    nearness: Field = np.square(np.maximum(np.float32(1.0) - inward / np.float32(reach), 0))
    return nearness
