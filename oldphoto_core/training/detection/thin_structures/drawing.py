"""Structures of several kinds drawn into one photo, and the mask of what was drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oldphoto_core.degradation.archive.blending import SEEN, change
from oldphoto_core.degradation.archive.operation import Mask
from oldphoto_core.degradation.recipe import NamedSeeds
from oldphoto_core.errors import ConfigError
from oldphoto_core.training.detection.thin_structures.appearance import Appearance, Photo
from oldphoto_core.training.detection.thin_structures.compositing import composite
from oldphoto_core.training.detection.thin_structures.sketch import Sketch
from oldphoto_core.training.detection.thin_structures.table import KINDS

MOST_KINDS = 3
"""Drawn into one photo, unless they are named."""


def draw_thin_structures(
    photo: Photo, rng: np.random.Generator, kinds: Sequence[str] | None = None
) -> tuple[Photo, Mask]:
    """A copy of `photo_HWC uint8 RGB` with thin structures in it, and HW bool, True where they changed the photo
    by more than `SEEN` levels in some channel.

    Structures have the photo's own blur, grain and tones. `kinds` names those to draw, each once, out of `KINDS`; None:
    one to three of them, drawn by their weights. Each kind draws from a seed of its own name.

    Raises ConfigError for a kind that does not exist.
    """
    unknown = sorted(set(kinds or ()) - KINDS.keys())
    if unknown:
        raise ConfigError(f"no thin structure is called {unknown[0]!r}; there are: {', '.join(sorted(KINDS))}")
    seeds = NamedSeeds(rng)
    drawn = photo.copy()
    look = Appearance(photo, seeds.rng("appearance"))
    for name in _chosen(seeds) if kinds is None else kinds:
        own, sketch = seeds.rng("kind", name), Sketch((photo.shape[0], photo.shape[1]))
        KINDS[name].draw(sketch, own)
        for layer in sketch.layers:
            composite(drawn, layer, look, own)
    return drawn, change(photo, drawn) > SEEN


def _chosen(seeds: NamedSeeds) -> list[str]:
    """One to three kinds. A kind that is added to the table does not change how the others stand to each other."""
    waits = {name: seeds.rng("chosen", name).exponential(1.0 / kind.weight) for name, kind in KINDS.items()}
    return sorted(waits, key=waits.__getitem__)[: int(seeds.rng("number").integers(1, MOST_KINDS + 1))]
