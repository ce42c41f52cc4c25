"""From a model's name to a restorer, once per process.

`register_restorer` is the way in for networks that are not in the registry of weights: a notebook's own, or a test's.
Modules that OLDPHOTO_IMPORT names are imported first: so networks are registered in every process of a fleet.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from threading import Lock

from oldphoto_core.inference.contracts import RestoresPhotos
from oldphoto_core.inference.network_options import NetworkOptions

RestorerFactory = Callable[[str], RestoresPhotos]
"""Takes the device ("auto", "cpu", "cuda" or "cuda:N") and gives a restorer."""

_registered: dict[str, RestorerFactory] = {}
_kept: dict[str, tuple[NetworkOptions, RestoresPhotos]] = {}
"""By device."""
_loading = Lock()


def register_restorer(name: str, factory: RestorerFactory) -> None:
    """Make `name` a model for this process; it comes before weights of the same name."""
    _registered[name] = factory
    _kept.clear()


def load_restorer(options: NetworkOptions) -> RestoresPhotos:
    """The restorer that the options name, kept for the next shard, one a device.

    Raises UnknownModel, DamagedWeights, UsageError. All but model and device is for weights; registered restorers know
    for themselves.
    """
    with _loading:
        kept, restorer = _kept.get(options.device, (None, None))
        if kept != options or restorer is None:
            _kept.pop(options.device, None)  # never two models on one device
            restorer = _load(options)
            _kept[options.device] = (options, restorer)
        return restorer


def _load(options: NetworkOptions) -> RestoresPhotos:
    for module in filter(None, os.environ.get("OLDPHOTO_IMPORT", "").split(",")):
        importlib.import_module(module.strip())
    if options.model in _registered:
        return _registered[options.model](options.device)
    from oldphoto_core.inference.restorer import Restorer

    return Restorer.of(options)
