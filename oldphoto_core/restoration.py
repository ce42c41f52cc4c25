"""From old photos to restored ones: one photo with `Restorer`, a bucket of them with `restore_photos`.

    from oldphoto_core.restoration import Restorer
    restored_HWC = Restorer.load("starter").restore(pixels_HWC)

The public names of `inference`, `pipeline` and `runs`. They are imported on first use, so that importing this module
costs neither torch nor Dask.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.inference.contracts import FindsDamage, RestoresPhotos
    from oldphoto_core.inference.models import load_restorer, register_restorer
    from oldphoto_core.inference.network_options import NetworkOptions
    from oldphoto_core.inference.restorer import Restorer
    from oldphoto_core.pipeline.callbacks import ShardCallbacks
    from oldphoto_core.pipeline.engine import restore_photos
    from oldphoto_core.pipeline.options import RestoreOptions
    from oldphoto_core.pipeline.photo import Photo
    from oldphoto_core.runs.job import RestoreJob, job_of
    from oldphoto_core.runs.run import Run, close_run, open_run, restore_shard

_HOMES = {
    "FindsDamage": "oldphoto_core.inference.contracts",
    "NetworkOptions": "oldphoto_core.inference.network_options",
    "Photo": "oldphoto_core.pipeline.photo",
    "RestoreJob": "oldphoto_core.runs.job",
    "RestoreOptions": "oldphoto_core.pipeline.options",
    "Restorer": "oldphoto_core.inference.restorer",
    "RestoresPhotos": "oldphoto_core.inference.contracts",
    "Run": "oldphoto_core.runs.run",
    "ShardCallbacks": "oldphoto_core.pipeline.callbacks",
    "close_run": "oldphoto_core.runs.run",
    "job_of": "oldphoto_core.runs.job",
    "load_restorer": "oldphoto_core.inference.models",
    "open_run": "oldphoto_core.runs.run",
    "register_restorer": "oldphoto_core.inference.models",
    "restore_photos": "oldphoto_core.pipeline.engine",
    "restore_shard": "oldphoto_core.runs.run",
}

__all__ = [
    "FindsDamage",
    "NetworkOptions",
    "Photo",
    "RestoreJob",
    "RestoreOptions",
    "Restorer",
    "RestoresPhotos",
    "Run",
    "ShardCallbacks",
    "close_run",
    "job_of",
    "load_restorer",
    "open_run",
    "register_restorer",
    "restore_photos",
    "restore_shard",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
