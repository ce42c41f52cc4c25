"""From a model's name to a restorer, once per process.

`register_restorer` is the way in for networks that are not in the registry of weights: a notebook's own, or a test's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from oldphoto_core.restoration.options import Precision
from oldphoto_core.restoration.photo import RestoresPhotos

RestorerFactory = Callable[[str], RestoresPhotos]
"""Takes the device ("auto", "cpu", "cuda") and gives a restorer."""

_registered: dict[str, RestorerFactory] = {}


def register_restorer(name: str, factory: RestorerFactory) -> None:
    """Make `name` a model for this process; it comes before weights of the same name."""
    _registered[name] = factory
    _kept.cache_clear()


def load_restorer(
    model: str, device: str = "auto", memory: int | None = None, precision: Precision = "auto"
) -> RestoresPhotos:
    """The restorer of that name, kept for the next shard. Raises UnknownModel, DamagedWeights, UsageError.

    `memory` (bytes) and `precision` are for weights; registered restorers know for themselves.
    """
    return _kept(model, device, memory, precision)


@lru_cache(maxsize=1)
def _kept(model: str, device: str, memory: int | None, precision: Precision) -> RestoresPhotos:
    if model in _registered:
        return _registered[model](device)
    from oldphoto_core.restoration.restorer import Restorer

    return Restorer.load(model, device=device, memory=memory, precision=precision)
