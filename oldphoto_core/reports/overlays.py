"""Damage marked in red on photos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.reports.contact_sheet import SheetRow, contact_sheet

RED = (230, 20, 20)


def marked(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """HWC RGB with the pixels of `mask_HW` in red."""
    shown = image.copy()
    shown[mask] = RED
    return shown


def overlay_sheet(
    photos: Sequence[tuple[str, NDArray[np.uint8], NDArray[np.bool_]]], *, pairs: int = 3, cell: int = 300
) -> bytes:
    """A PNG of photos (name, HWC RGB, mask), each beside itself with its mask in red, `pairs` of them a row."""
    rows = []
    for first in range(0, len(photos), pairs):
        some = photos[first : first + pairs]
        pictures = [picture for _, photo, mask in some for picture in (photo, marked(photo, mask))]
        label = "   |   ".join(f"{name}: {mask.mean():.2%}" for name, _, mask in some)
        rows.append(SheetRow(label, pictures))
    return contact_sheet(("photo", "damage") * pairs, rows, cell=cell)
