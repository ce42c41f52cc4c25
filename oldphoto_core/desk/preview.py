"""A part of a photo restored on the spot, by the restorer that a run would use."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.errors import UsageError
from oldphoto_core.inference import blending
from oldphoto_core.inference.contracts import JudgesColours, RestoresCanvases, RestoresPhotos
from oldphoto_core.inference.models import load_restorer
from oldphoto_core.inference.network_options import NetworkOptions
from oldphoto_core.inference.strength import MixedWith
from oldphoto_core.tone import ToneOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oldphoto_core.desk.pyramid import Pyramid, Rgb

LARGEST = 1024
"""Pixels of a previewed part's side."""
CONTEXT = 32
"""Pixels around the part that the network sees besides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What is to be restored of a photo, and how. Raises UsageError."""

    left: int
    top: int
    width: int
    height: int
    mode: str = "full"
    """full or scratches, as `--mode`."""
    tone: float | None = None
    """As `--tone`; None: as runs do it where nobody says."""
    strength: float = 1.0
    """As `--strength`; in mode scratches it has no effect."""

    def __post_init__(self) -> None:
        if not (0 < self.width <= LARGEST and 0 < self.height <= LARGEST and self.left >= 0 and self.top >= 0):
            raise UsageError(f"a preview is of 1 to {LARGEST} pixels a side; zoom in")
        if self.mode not in ("full", "scratches"):
            raise UsageError(f"mode is {self.mode[:20]!r}; choose full or scratches")
        if self.tone is not None and not 0 <= self.tone <= 1:
            raise UsageError(f"tone is {self.tone}; give a number from 0 to 1")
        if not 0 <= self.strength <= 1:
            raise UsageError(f"strength is {self.strength}; give a number from 0 to 1")

    def widened(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the part with its context, inside the picture of that width and height."""
        if self.left + self.width > size[0] or self.top + self.height > size[1]:
            raise UsageError(f"the part ends outside of the picture, which has {size[0]} x {size[1]} pixels")
        left, top = max(0, self.left - CONTEXT), max(0, self.top - CONTEXT)
        right, bottom = min(size[0], self.left + self.width + CONTEXT), min(size[1], self.top + self.height + CONTEXT)
        return left, top, right, bottom


class Previewer:
    """Restores parts of photos with one model, one at a time; the model is loaded when it is first needed."""

    def __init__(self, network: NetworkOptions) -> None:
        self._network = network
        self._working = threading.Lock()

    def png(self, master: Pyramid, part: Part, mask: NDArray[np.bool_]) -> bytes:
        """The part, restored, as a PNG.

        Args:
            master: The master's tiles.
            part: Where and how.
            mask: HW of the whole picture or a callable's result cut to the widened part; True = damaged.

        Raises:
            UsageError: a part outside of the picture.
            ModelError: the model cannot be loaded.
        """
        left, top, right, bottom = part.widened(master.size)
        pixels = master.region(left, top, right - left, bottom - top)
        with self._working:
            restorer = load_restorer(self._network)
            restored = _restored(restorer, pixels, mask, part)
        y, x = part.top - top, part.left - left
        shown = restored[y : y + part.height, x : x + part.width]
        _, data = cv2.imencode(".png", shown if shown.shape[2] == 1 else cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))
        return bytes(data)


def _restored(restorer: RestoresPhotos, pixels: Rgb, mask: NDArray[np.bool_], part: Part) -> Rgb:
    """HWC, as a run would restore a photo that is no larger than the part."""
    keeps_rest = part.mode == "scratches"
    if keeps_rest and not mask.any():
        return pixels
    photo, result = ArrayCanvas(pixels), ArrayCanvas(np.empty_like(pixels))
    plane = blending.feathered(mask, blending.margin_of(*mask.shape) if keeps_rest else 0)[..., np.newaxis]
    damaged = ArrayCanvas(plane) if mask.any() else None
    strength = 1.0 if keeps_rest else part.strength
    tone = ToneOptions(tone=0.0 if keeps_rest else part.tone, own_tone=keeps_rest, strength=strength)
    colours = restorer.colours_of(photo, damaged, tone) if isinstance(restorer, JudgesColours) else None
    # what is mixed with tone and tint is mixed by the restorer
    made = result if strength == 1 or colours is not None else MixedWith(result, photo, damaged, strength)
    if isinstance(restorer, JudgesColours):
        restorer.restore_canvas(photo, made, damaged, _nobody, colours)
    elif isinstance(restorer, RestoresCanvases):
        restorer.restore_canvas(photo, made, damaged, _nobody)
    else:
        made.write(0, np.array(restorer.restore(pixels, None if damaged is None else plane[..., 0] != 0)))
    if keeps_rest:
        blending.blend(photo, result, ArrayCanvas(plane))
    return result.pixels


def _nobody(_done: int, _total: int) -> None:
    """Ignores progress."""
