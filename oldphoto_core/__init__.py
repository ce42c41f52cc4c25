"""Restoration of scanned old photographs, as a plain library.

    from oldphoto_core import Restorer
    restored_HWC = Restorer.load("starter").restore(pixels_HWC)

`Restorer` is imported on first use: importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oldphoto_core.inference.restorer import Restorer

__all__ = ["Restorer"]


def __getattr__(name: str) -> Any:
    if name != "Restorer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from oldphoto_core.inference.restorer import Restorer

    return Restorer
