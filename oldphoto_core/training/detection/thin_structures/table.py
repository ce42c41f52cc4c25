"""The kinds of thin structures by name, each with its drawer and how often it is drawn beside the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from oldphoto_core.training.detection.thin_structures import (
    barriers,
    borders,
    fibres,
    hanging,
    lettering,
    paper,
    rigging,
    rounds,
)
from oldphoto_core.training.detection.thin_structures.sketch import Sketch


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of structure."""

    draw: Callable[[Sketch, np.random.Generator], None]
    """Draws it into a sketch, somewhere, at a size of its own."""
    weight: float = 1.0
    """How often it is drawn, relative to the others."""


KINDS: dict[str, Kind] = {
    "wires": Kind(hanging.wires, 2.0),
    "crossing_wires": Kind(hanging.crossing_wires, 1.5),
    "suspension": Kind(hanging.suspension, 1.0),
    "cable_fan": Kind(hanging.cable_fan, 1.0),
    "rigging": Kind(rigging.rigging, 2.0),
    "ladders": Kind(rigging.ladders, 1.0),
    "poles": Kind(rigging.poles, 1.5),
    "railings": Kind(barriers.railings, 1.5),
    "fences": Kind(barriers.fences, 1.5),
    "window_bars": Kind(barriers.window_bars, 1.5),
    "wheels": Kind(rounds.wheels, 1.0),
    "chains": Kind(rounds.chains, 1.0),
    "jewellery": Kind(rounds.jewellery, 1.0),
    "hair": Kind(fibres.hair, 1.0),
    "grass": Kind(fibres.grass, 1.0),
    "twigs": Kind(fibres.twigs, 1.5),
    "lace": Kind(fibres.lace, 0.7),
    "signs": Kind(lettering.signs, 1.5),
    "captions": Kind(lettering.captions, 1.0),
    "handwriting": Kind(lettering.handwriting, 1.5),
    "papers": Kind(paper.papers, 1.5),
    "collars": Kind(paper.collars, 1.0),
    "cuffs": Kind(paper.cuffs, 0.7),
    "frames": Kind(borders.frames, 1.5),
    "mounts": Kind(borders.mounts, 1.0),
    "scalloped_edges": Kind(borders.scalloped_edges, 1.0),
    "horizons": Kind(borders.horizons, 1.5),
}
"""Names are stable: tables of results name them."""
