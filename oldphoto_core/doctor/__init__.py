"""What this machine can do, and what is missing: each thing tried, not assumed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.doctor.capacities import machine, models
    from oldphoto_core.doctor.file_kinds import formats
    from oldphoto_core.doctor.finding import Finding, redacted
    from oldphoto_core.doctor.places import place

__all__ = ["Finding", "formats", "machine", "models", "place", "redacted"]

_HOMES = {
    "finding": ("Finding", "redacted"),
    "file_kinds": ("formats",),
    "capacities": ("machine", "models"),
    "places": ("place",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
