"""Features of a picture too large for memory: rows of them, stored in files or computed when they are asked for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from oldphoto_core.folders import private_folder
from oldphoto_core.nets.norms import Moments
from oldphoto_core.nets.padding import reflected


@dataclass(frozen=True, slots=True)
class Size:
    """Of features: positions and channels."""

    height: int
    width: int
    channels: int


class Rows(Protocol):
    """Features of a whole picture, of which one sees some rows at a time."""

    @property
    def size(self) -> Size:
        """Of all of it."""

    def rows(self, top: int, bottom: int) -> Tensor:
        """Rows from `top` to before `bottom`: float32 1CHW, channels_last, the caller's own."""


class Plane:
    """Features in a temporary file that has no name: it is gone when nobody holds the plane, and when all is killed."""

    def __init__(self, size: Size, device: str) -> None:
        self.size = size
        self.moments = Moments()
        """Of what a norm will ask for; whoever stores the rows adds them."""
        self._device = device
        self._row = 4 * size.width * size.channels
        # closed with the plane, by whoever lets go of it last
        self._file = tempfile.TemporaryFile(dir=private_folder(), buffering=0)  # noqa: SIM115

    def put(self, top: int, rows: Tensor) -> None:
        """Stores 1CHW rows from `top` on."""
        view = rows.permute(0, 2, 3, 1).contiguous().cpu().numpy().data.cast("B")
        at = top * self._row
        while view:
            count = os.pwrite(self._file.fileno(), view, at)
            view, at = view[count:], at + count

    def rows(self, top: int, bottom: int) -> Tensor:
        """As stored."""
        values = np.empty((1, bottom - top, self.size.width, self.size.channels), np.float32)
        view, at = values.data.cast("B"), top * self._row
        while view:
            count = os.preadv(self._file.fileno(), [view], at)
            if not count:
                raise OSError(f"row {top} of a plane was asked for before it was stored")
            view, at = view[count:], at + count
        return torch.from_numpy(values).permute(0, 3, 1, 2).to(self._device)


@dataclass(frozen=True, slots=True)
class Derived:
    """Rows that another's rows, or those of several of one height and width, are made into position by position."""

    make: Callable[..., Tensor]
    sources: tuple[Rows, ...]
    channels: int = 0
    """0: as many as the first source has."""

    @property
    def size(self) -> Size:
        """Of the first source, but for the channels."""
        first = self.sources[0].size
        return Size(first.height, first.width, self.channels or first.channels)

    def rows(self, top: int, bottom: int) -> Tensor:
        """Made anew at each call."""
        return self.make(*(source.rows(top, bottom) for source in self.sources))


@dataclass(frozen=True, slots=True)
class Padded:
    """A source with `amount` positions more on each side: its reflection, or zeros."""

    source: Rows
    amount: int
    reflect: bool

    @property
    def size(self) -> Size:
        """Twice the amount more than the source."""
        inner = self.source.size
        return Size(inner.height + 2 * self.amount, inner.width + 2 * self.amount, inner.channels)

    def rows(self, top: int, bottom: int) -> Tensor:
        """Rows counted from the padding's first one."""
        height = self.source.size.height
        begin, end = top - self.amount, bottom - self.amount
        sides = (self.amount, self.amount)
        if self.reflect:
            wanted = reflected(height, begin, end)
            first, last = int(wanted.min()), int(wanted.max())
            rows = self.source.rows(first, last + 1)
            if len(wanted) != rows.shape[2] or begin < 0 or end > height:
                rows = rows[:, :, (wanted - first).to(rows.device)]
            return F.pad(rows, (*sides, 0, 0), mode="reflect")
        rows = self.source.rows(max(begin, 0), min(end, height))
        return F.pad(rows, (*sides, max(-begin, 0), max(end - height, 0)))


@dataclass(frozen=True, slots=True)
class Convolved:
    """A convolution's rows; the source has been padded."""

    source: Rows
    filtered: Callable[[Tensor], Tensor]
    """The convolution without padding."""
    channels: int
    kernel: int
    stride: int

    @property
    def size(self) -> Size:
        """Positions where the kernel lies wholly within the source."""
        inner = self.source.size
        height, width = ((side - self.kernel) // self.stride + 1 for side in (inner.height, inner.width))
        return Size(height, width, self.channels)

    def rows(self, top: int, bottom: int) -> Tensor:
        """Computed anew at each call."""
        return self.filtered(self.source.rows(top * self.stride, (bottom - 1) * self.stride + self.kernel))


@dataclass(frozen=True, slots=True)
class Doubled:
    """Rows of a transposed convolution with kernel 4, stride 2 and padding 1: twice the size."""

    source: Rows
    spread: Callable[[Tensor], Tensor]
    """The transposed convolution with padding 1 along the width and none along the height."""
    channels: int

    @property
    def size(self) -> Size:
        """Twice the source's."""
        inner = self.source.size
        return Size(2 * inner.height, 2 * inner.width, self.channels)

    def rows(self, top: int, bottom: int) -> Tensor:
        """Computed anew at each call."""
        # input row i reaches output rows 2i - 1 to 2i + 2
        first, last = max((top - 1) // 2, 0), min(bottom // 2 + 1, self.source.size.height)
        reached = self.spread(self.source.rows(first, last))
        begin = top - (2 * first - 1)
        return reached[:, :, begin : begin + bottom - top]
