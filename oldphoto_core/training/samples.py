"""What validation looked at, as one picture: how a stage is getting on is seen sooner than it is measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.reports.contact_sheet import SheetRow, contact_sheet

SHOWN = 4
"""Rows of a sheet: the first photos of the validation."""
CELL = 256


def sheet(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Tensor]]]) -> bytes:
    """A JPEG with a row per label, of pictures 1CHW in [0, 1], C = 1 or 3."""
    return contact_sheet(
        columns,
        [SheetRow(label, [_picture(each) for each in pictures]) for label, pictures in rows],
        cell=CELL,
        jpeg=True,
    )


def _picture(image: Tensor) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = (image[0].float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return levels
