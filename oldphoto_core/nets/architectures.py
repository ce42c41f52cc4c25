"""What a stored model's card names: which network its weights fill, and what that asks of its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from torch import nn

from oldphoto_core.nets.official.restoration import PublishedRestoration
from oldphoto_core.nets.presets import PRESETS, BeyondMemory, Preset, preset_named

PUBLISHED = "published"
"""Name of the converted published networks: they restore, but are no preset to train."""


class BaselineConfig(Protocol):
    """Shape of a network that is trained for comparison."""

    @property
    def multiple(self) -> int:
        """As of `Architecture`, like the others."""

    @property
    def minimum(self) -> int: ...  # noqa: D102

    @property
    def halo(self) -> int: ...  # noqa: D102

    @property
    def bytes_per_pixel(self) -> int: ...  # noqa: D102

    def network(self) -> nn.Module:
        """A model with fresh weights, whose `generator` restores."""


BASELINES: Mapping[str, Callable[[Preset], BaselineConfig]] = MappingProxyType({
    "pix2pix": lambda preset: preset.pix2pix,
    "cyclegan": lambda preset: preset.cyclegan,
    "attention": lambda preset: preset.attention,
})  # fmt: skip
"""Networks of their own that are trained for comparison, by the stage that trains them -> their shape in a preset."""
UNPAIRED = frozenset({"cyclegan"})
"""Those that are never shown white holes: they see damage as it looks."""


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
    fills: bool = True
    """Whether it is given masks and white holes; one that is not sees damage as it looks."""


def baseline_name(stage: str, preset: str) -> str:
    """The architecture of a baseline in a preset: `compact` and `dense` have the same ones."""
    return stage if preset in ("compact", "dense") else f"{stage}-{preset}"


def baseline_of(architecture: str) -> str:
    """The stage that trains an architecture, such as `pix2pix`; empty for those that are no baseline."""
    found = (stage for stage in BASELINES for preset in PRESETS if baseline_name(stage, preset) == architecture)
    return next(found, "")


def architecture_named(name: str) -> Architecture:
    """Of a preset, of a baseline, or of the published networks; UsageError lists the presets there are."""
    if stage := baseline_of(name):
        preset = next(preset for preset in PRESETS.values() if baseline_name(stage, preset.name) == name)
        return _baseline_of(stage, preset)
    # the layers of the published networks are those of `paper`, so is what they need
    preset = PRESETS["paper"] if name == PUBLISHED else preset_named(name)
    build = (lambda *_: PublishedRestoration()) if name == PUBLISHED else _triplet_of(preset)
    return Architecture(
        build, preset.multiple, preset.minimum, preset.bytes_per_pixel, preset.halo, preset.beyond_memory,
        preset.bears_bfloat16,
    )  # fmt: skip


def _baseline_of(stage: str, preset: Preset) -> Architecture:
    config = BASELINES[stage](preset)
    halo = -(-config.halo // config.multiple) * config.multiple
    return Architecture(
        lambda *_: config.network(), config.multiple, config.minimum, config.bytes_per_pixel, halo, "tiles",
        fills=stage not in UNPAIRED,
    )  # fmt: skip


def _triplet_of(preset: Preset) -> Callable[[bool, bool], nn.Module]:
    return lambda block, detail: preset.triplet(partial_nonlocal=block, detail=detail)
