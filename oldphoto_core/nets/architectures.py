"""What a stored model's card names: which network its weights fill, and what that asks of its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from oldphoto_core.nets.pix2pix import Pix2Pix
from oldphoto_core.nets.presets import PRESETS, BeyondMemory, Preset, preset_named
from oldphoto_core.nets.published import PublishedRestoration

PUBLISHED = "published"
"""Name of the converted published networks: they restore, but are no preset to train."""
PIX2PIX = {"compact": "pix2pix", "dense": "pix2pix", "paper": "pix2pix-paper"}
"""Preset -> name of its baseline: a network of its own, trained for comparison."""
_BASELINE_BYTES = 13
"""Per pixel and channel of the first level: all activations of a forward pass together, so more than their peak."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network called as `network(image_N3HW, mask_N1HW or None)`, with the contract of its input."""

    build: Callable[[bool, bool], nn.Module]
    """Called with whether the partial nonlocal block is wanted, and whether the detail path is."""
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
    bears_bfloat16: bool = False
    """As of `Preset`; the published networks are held to their own results."""


def architecture_named(name: str) -> Architecture:
    """Of a preset, of a baseline, or of the published networks; UsageError lists the presets there are."""
    for preset_name, baseline in PIX2PIX.items():
        if name == baseline:
            return _baseline_of(PRESETS[preset_name])
    # the layers of the published networks are those of `paper`, so is what they need
    preset = PRESETS["paper"] if name == PUBLISHED else preset_named(name)
    build = (lambda *_: PublishedRestoration()) if name == PUBLISHED else _triplet_of(preset)
    return Architecture(
        build, preset.multiple, preset.minimum, preset.bytes_per_pixel, preset.halo, preset.beyond_memory,
        preset.bears_bfloat16,
    )  # fmt: skip


def _baseline_of(preset: Preset) -> Architecture:
    config = preset.pix2pix
    # norms over space: a tile never equals the whole, and twice the coarsest step hides most of the borders
    return Architecture(
        lambda *_: Pix2Pix(config), config.multiple, config.multiple, _BASELINE_BYTES * config.width,
        2 * config.multiple, "tiles",
    )  # fmt: skip


def _triplet_of(preset: Preset) -> Callable[[bool, bool], nn.Module]:
    return lambda block, detail: preset.triplet(partial_nonlocal=block, detail=detail)
