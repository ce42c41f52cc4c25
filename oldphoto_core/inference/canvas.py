"""Pictures as a network wants them: windows of any canvas as tensors, and tensors back to levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.canvas import ArrayCanvas, Canvas, highest_level
from oldphoto_core.nets.luminance import luminance
from oldphoto_core.nets.padding import reflected, side_for

OnProgress = Callable[[int, int], None]
"""Called with how much of one photo is done, of how much."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A photo and its mask, continued by reflection to the right and below to sides that the network takes."""

    photo: Canvas
    mask: Canvas | None
    """One channel, not 0 = damaged; None: nothing is damaged."""
    multiple: int
    minimum: int

    @property
    def height(self) -> int:
        """As continued."""
        return side_for(self.photo.shape[0], self.multiple, self.minimum)

    @property
    def width(self) -> int:
        """As continued."""
        return side_for(self.photo.shape[1], self.multiple, self.minimum)

    def rows(self, top: int, bottom: int) -> Subject:
        """Those rows in memory, read once for all windows that are cut from them."""
        places = reflected(self.photo.shape[0], top, bottom).numpy()
        first, last = int(places.min()), int(places.max()) + 1
        photo, mask = (
            None if canvas is None else ArrayCanvas(canvas.read(first, last)[places - first])
            for canvas in (self.photo, self.mask)
        )
        assert photo is not None
        return Subject(photo, mask, self.multiple, self.minimum)

    def window(self, left: int, right: int) -> tuple[Tensor, Tensor | None]:
        """Columns of all rows: 13HW in [-1, 1] with damaged pixels white, and 11HW with 1 = damaged, or None."""
        height = self.photo.shape[0]
        places = reflected(self.photo.shape[1], left, right).numpy()
        image = self.photo.read(0, height)[:, places]
        if image.shape[2] == 1:
            image = np.repeat(image, 3, axis=2)
        # NHWC memory seen as NCHW is channels_last already: the permutation copies nothing
        scaled = torch.from_numpy(image.astype(np.float32)).mul_(2.0 / highest_level(self.photo.dtype)).sub_(1.0)
        tensor = scaled.permute(2, 0, 1)[None]
        if self.mask is None:
            return tensor, None
        damaged = torch.from_numpy(self.mask.read(0, height)[:, places, 0] != 0)[None, None]
        return tensor.masked_fill_(damaged, 1.0), damaged.float()


def levels(restored: Tensor, like: Canvas) -> NDArray[Any]:
    """What the network made, in [-1, 1] or a little beyond, 3HW or 1HW -> HWC of the canvas's channels and dtype."""
    values = restored.float().cpu()
    if like.shape[2] == 1:
        values = luminance(values[None])[0]
    top = highest_level(like.dtype)
    scaled = values.add(1.0).mul_(top / 2.0).round_().clamp_(0, top).permute(1, 2, 0)
    return scaled.contiguous().numpy().astype(like.dtype)
