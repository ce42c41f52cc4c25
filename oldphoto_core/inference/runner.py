"""The network on its device: how much of a picture fits at once, and how what does not fit is restored in parts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, cast

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from oldphoto_core.canvas import Canvas
from oldphoto_core.checkpoints import Model
from oldphoto_core.devices import keep_freed_memory, multiplies_bfloat16, place, resolve_device
from oldphoto_core.errors import ScanTooLarge, UsageError
from oldphoto_core.folders import use_private_compiler_cache
from oldphoto_core.inference.canvas import Subject, levels
from oldphoto_core.inference.layers import LayerByLayer
from oldphoto_core.inference.network_options import Arithmetic, NetworkOptions
from oldphoto_core.inference.noise import noise_of
from oldphoto_core.inference.planes import Size
from oldphoto_core.inference.tiling import Tiles, least_side, restore_tiles
from oldphoto_core.nets.architectures import architecture_named
from oldphoto_core.nets.presets import HasPath, Triplet
from oldphoto_core.nets.winograd import use_winograd

MEMORY_SHARE = 0.6
"""Share of the free memory that one photo's forward pass may take; decoding and encoding need room too."""
NEVER_ROUNDED = ("before_NL",)
"""Parts whose rounding the attention behind them magnifies: their convolutions stay as they are."""


class Runner:
    """A model's networks, placed."""

    def __init__(self, model: Model, options: NetworkOptions, *, compiled: bool) -> None:
        """See `Restorer`."""
        self.device = resolve_device(options.device)
        self.architecture = architecture_named(model.card.preset)
        self._precision = options.precision
        self._bears_bfloat16 = self.architecture.bears_bfloat16 and model.card.detail
        networks = exact = model.networks
        if not self._on_cuda:
            keep_freed_memory()
            exact = use_winograd(networks, exact=NEVER_ROUNDED)
        self._networks, self._exact = place(networks, self.device), place(exact, self.device)
        self._sees_noise = isinstance(networks, Triplet) and networks.sees_noise
        self._compiled = _compiled(self._networks) if compiled else None
        self.memory = options.memory or MEMORY_SHARE * self._free()
        self._pixels = self.memory / self.architecture.bytes_per_pixel
        if self.megapixels < self._least:
            needed = self._least * self.architecture.bytes_per_pixel
            raise UsageError(
                f"memory is {self.memory / 1e6:.0f} MB, and model {model.card.name} needs {needed:.0f} MB for its"
                " smallest part; give more"
            )

    def arithmetic(self, dtype: np.dtype[Any]) -> Arithmetic:
        """What a photo of that dtype, uint8 or uint16, is restored in.

        bfloat16 is off by up to 4 levels of 255 (`benchmarks/precision.py`), so it is for photos of 8 bits alone.
        """
        if self._precision != "auto":
            return self._precision
        if self._on_cuda:
            return "float16"
        bears = self._bears_bfloat16 and multiplies_bfloat16(self.device)
        return "bfloat16" if bears and dtype == np.uint8 else "float32"

    @property
    def megapixels(self) -> float:
        """Of what is restored at once, at most."""
        return self._pixels / 1e6

    def take_less(self) -> bool:
        """Halves what is restored at once; False if it is the least already."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.megapixels / 2 < self._least:
            return False
        self._pixels /= 2
        return True

    def restore(
        self,
        subject: Subject,
        result: Canvas,
        arithmetic: Arithmetic,
        denoise: float,
        on_part: Callable[[int, int], None],
    ) -> None:
        """Whole if it fits, in tiles or layer by layer if not; `denoise` as of `ToneOptions`."""
        with torch.inference_mode():
            noise = denoise * noise_of(subject) if self._sees_noise else None
            if subject.height * subject.width <= self._pixels:
                self._whole(subject, result, arithmetic, noise)
                on_part(1, 1)
            elif self.architecture.beyond_memory == "layers":
                self._by_layers(subject, result, on_part)
            else:
                tiles = Tiles(subject, self.architecture.halo, self._pixels)
                network = partial(self._on_tiles, arithmetic, noise)
                restore_tiles(network, tiles, result, batch=self._batch(tiles), on_tile=on_part)

    def _whole(self, subject: Subject, result: Canvas, arithmetic: Arithmetic, noise: Tensor | None) -> None:
        height, width = result.shape[:2]
        image, mask = subject.rows(0, subject.height).window(0, subject.width)
        restored = self._run(self._placed(arithmetic), arithmetic, image, mask, noise)
        result.write(0, levels(restored[0, :, :height, :width], result))

    def _by_layers(self, subject: Subject, result: Canvas, on_part: Callable[[int, int], None]) -> None:
        path = cast(HasPath, self._exact).path(masked=subject.mask is not None)
        if not isinstance(path[1], LayerByLayer.MAPPINGS):
            height, width = result.shape[:2]
            raise ScanTooLarge(
                f"{width} x {height} pixels do not fit, and patch attention needs the whole picture at once; give more"
                " memory, or use the model without :high-resolution"
            )
        executor = LayerByLayer(self.device, self._pixels * self.architecture.bytes_per_pixel, on_part)
        picture = _Picture(subject, self.device)
        mask = _Mask(subject, self.device) if subject.mask is not None else None
        height, width = result.shape[:2]
        restored = executor.translated(*path, picture, mask)
        for top, bottom in executor.slabs(restored.size):
            if top < height:
                rows = restored.rows(top, min(bottom, height))
                result.write(top, levels(rows[0, :, :, :width], result))

    def _on_tiles(self, arithmetic: Arithmetic, noise: Tensor | None, image: Tensor, mask: Tensor | None) -> Tensor:
        # a mask brings operations whose shapes depend on it, which a compiled network does not have
        compiled = self._compiled if mask is None else None
        network = self._placed(arithmetic) if compiled is None else compiled
        return self._run(network, arithmetic, image, mask, noise)

    def _placed(self, arithmetic: Arithmetic) -> nn.Module:
        """Winograd's filtering is for float32 alone."""
        return self._exact if arithmetic == "float32" else self._networks

    def _run(
        self,
        network: Callable[..., Tensor],
        arithmetic: Arithmetic,
        image: Tensor,
        mask: Tensor | None,
        noise: Tensor | None,
    ) -> Tensor:
        damaged = None if mask is None else mask.to(self.device, non_blocking=True)
        # networks of other kinds take no third argument
        known = () if noise is None else (noise.to(self.device, non_blocking=True),)
        with self._autocast(arithmetic):
            return network(image.to(self.device, non_blocking=True), damaged, *known).float()

    def _autocast(self, arithmetic: Arithmetic) -> AbstractContextManager[object]:
        if arithmetic == "float32":
            return nullcontext()
        return torch.autocast(self.device.split(":")[0], getattr(torch, arithmetic))

    def _batch(self, tiles: Tiles) -> int:
        """A GPU takes several tiles at once; a CPU is as fast with one."""
        return max(1, int(self._pixels / tiles.pixels_each)) if self._on_cuda else 1

    @property
    def _on_cuda(self) -> bool:
        return self.device.startswith("cuda")

    @property
    def _least(self) -> float:
        """Megapixels of the smallest part."""
        if self.architecture.beyond_memory == "layers":
            return self.architecture.minimum**2 / 1e6
        return least_side(self.architecture.halo, self.architecture.multiple) ** 2 / 1e6

    def _free(self) -> float:
        if self._on_cuda:
            return float(torch.cuda.mem_get_info(self.device)[0])
        return float(psutil.virtual_memory().available)


class _Picture:
    """A photo's rows as a layer sees them."""

    def __init__(self, subject: Subject, device: str) -> None:
        self.size = Size(subject.height, subject.width, 3)
        self._subject, self._device = subject, device

    def rows(self, top: int, bottom: int) -> Tensor:
        """13HW in [-1, 1], damaged pixels white."""
        return self._subject.rows(top, bottom).window(0, self.size.width)[0].to(self._device)


class _Mask:
    """A mask's rows."""

    def __init__(self, subject: Subject, device: str) -> None:
        self.size = Size(subject.height, subject.width, 1)
        self._subject, self._device = subject, device

    def rows(self, top: int, bottom: int) -> Tensor:
        """11HW, 1 = damaged."""
        damaged = self._subject.rows(top, bottom).window(0, self.size.width)[1]
        assert damaged is not None
        return damaged.to(self._device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the machine, had no more memory to give."""
    # torch on a CPU has no class of its own for it
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def _compiled(networks: nn.Module) -> Callable[..., Tensor]:
    """With CUDA graphs where there is CUDA; one compilation a shape, and the tiles of a picture have one."""
    use_private_compiler_cache()
    return torch.compile(networks, fullgraph=True, dynamic=False, mode="reduce-overhead")
