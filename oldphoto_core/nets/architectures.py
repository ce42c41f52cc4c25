"""What a stored model's card names: which network its weights fill, and what that asks of its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from oldphoto_core.nets.presets import PRESETS, BeyondMemory, Preset, preset_named
from oldphoto_core.nets.published import PublishedRestoration

PUBLISHED = "published"
"""Name of the converted published networks: they restore, but are no preset to train."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network called as `network(image_N3HW, mask_N1HW or None)`, with the contract of its input."""

    build: Callable[[bool], nn.Module]
    """Called with whether the partial nonlocal block is wanted."""
    multiple: int
    """Sides of the input must be multiples of this."""
    minimum: int
    """Shortest side that the network can work on."""
    bytes_per_pixel: int
    """Peak memory of one forward pass without scratches on a CPU, per pixel."""
    halo: int
    """Pixels of context on each side with which a tile equals the whole; 0: none is enough."""
    beyond_memory: BeyondMemory
    """How a picture is restored that does not fit."""


def architecture_named(name: str) -> Architecture:
    """Of a preset, or of the published networks; UsageError lists the presets there are."""
    # the layers of the published networks are those of `paper`, so is what they need
    preset = PRESETS["paper"] if name == PUBLISHED else preset_named(name)
    build = (lambda _: PublishedRestoration()) if name == PUBLISHED else _triplet_of(preset)
    return Architecture(
        build, preset.multiple, preset.minimum, preset.bytes_per_pixel, preset.halo, preset.beyond_memory
    )


def _triplet_of(preset: Preset) -> Callable[[bool], nn.Module]:
    return lambda block: preset.triplet(partial_nonlocal=block)
