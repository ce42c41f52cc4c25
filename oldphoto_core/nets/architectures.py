"""What a stored model's card names: which network its weights fill, and what that asks of its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from oldphoto_core.nets.presets import PRESETS, preset_named
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


def architecture_named(name: str) -> Architecture:
    """Of a preset, or of the published networks; UsageError lists the presets there are."""
    if name == PUBLISHED:
        # the layers are those of `paper`, so is what they need
        paper = PRESETS["paper"]
        return Architecture(lambda _: PublishedRestoration(), paper.multiple, paper.minimum, paper.bytes_per_pixel)
    preset = preset_named(name)
    return Architecture(
        lambda block: preset.triplet(partial_nonlocal=block), preset.multiple, preset.minimum, preset.bytes_per_pixel
    )
