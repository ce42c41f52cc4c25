"""From old photos to restored ones: one photo with `Restorer`, a bucket of them with `restore_photos`.

    from oldphoto_core.restoration import Restorer
    restored_HWC = Restorer.load("starter").restore(pixels_HWC)

Names are imported on first use, so that importing this package costs neither torch nor Dask.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.restoration.contracts import FindsDamage, RestoresPhotos
    from oldphoto_core.restoration.engine import restore_photos
    from oldphoto_core.restoration.job import RestoreJob
    from oldphoto_core.restoration.models import load_restorer, register_restorer
    from oldphoto_core.restoration.options import RestoreOptions
    from oldphoto_core.restoration.photo import Photo
    from oldphoto_core.restoration.restorer import Restorer
    from oldphoto_core.restoration.run import Run, close_run, open_run, restore_shard

_HOMES = {
    "FindsDamage": "contracts",
    "Photo": "photo",
    "RestoreJob": "job",
    "RestoreOptions": "options",
    "Restorer": "restorer",
    "RestoresPhotos": "contracts",
    "Run": "run",
    "close_run": "run",
    "load_restorer": "models",
    "open_run": "run",
    "register_restorer": "models",
    "restore_photos": "engine",
    "restore_shard": "run",
}

__all__ = [
    "FindsDamage",
    "Photo",
    "RestoreJob",
    "RestoreOptions",
    "Restorer",
    "RestoresPhotos",
    "Run",
    "close_run",
    "load_restorer",
    "open_run",
    "register_restorer",
    "restore_photos",
    "restore_shard",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
