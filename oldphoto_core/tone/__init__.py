"""Colour and tone of whole photos: is it monochrome, which tint has it, and what may a local network do to its tones.

A network that sees a small window cannot know the tone of the photo. What this room decides, it decides once for a
photo from a grid of at most 256 cells a side, so a photo restored whole, in tiles or on disk gets the same answer.

Names are imported on first use, so that options cost no numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.tone.colours import Colours, colours_of
    from oldphoto_core.tone.measures import ToneMeasures, measure
    from oldphoto_core.tone.options import ColourChoice, Tint, ToneOptions
    from oldphoto_core.tone.tone_map import ToneMap, apply_map

_HOMES = {
    "ColourChoice": "options",
    "Colours": "colours",
    "Tint": "options",
    "ToneMap": "tone_map",
    "ToneMeasures": "measures",
    "ToneOptions": "options",
    "apply_map": "tone_map",
    "colours_of": "colours",
    "measure": "measures",
}

__all__ = [
    "ColourChoice",
    "Colours",
    "Tint",
    "ToneMap",
    "ToneMeasures",
    "ToneOptions",
    "apply_map",
    "colours_of",
    "measure",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
