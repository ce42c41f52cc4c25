"""One photo from pixels to pixels: r -> G_Y(T(E_RX(r))) at any size, tone and depth kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.checkpoints import Model, ModelCard, load_model
from oldphoto_core.devices import keep_freed_memory, place, resolve_device
from oldphoto_core.errors import MaskMismatch, ScanTooLarge, UnsupportedScan
from oldphoto_core.nets.architectures import architecture_named
from oldphoto_core.nets.padding import side_for

MEMORY_SHARE = 0.6
"""Share of the free memory that one photo's forward pass may take; decoding and encoding need room too."""
LUMA = (0.299, 0.587, 0.114)
"""Rec. 601 weights, which turn the network's RGB back into the grey of a grey scan."""


class Restorer:
    """A model ready to restore photos on one device."""

    def __init__(self, model: Model, *, device: str = "auto", max_megapixels: float | None = None) -> None:
        """`max_megapixels`: larger photos are refused; by default what fits into the memory that is free now."""
        self.card: ModelCard = model.card
        self.name: str = model.card.name
        self.digest: str = model.card.weights_sha256
        self.device: str = resolve_device(device)
        if self.device == "cpu":
            keep_freed_memory()
        self.architecture = architecture_named(model.card.preset)
        self.max_megapixels: float = max_megapixels or self._what_fits()
        self._networks = place(model.networks, self.device)

    @classmethod
    def load(
        cls, model: str | Path = "starter", *, device: str = "auto", max_megapixels: float | None = None
    ) -> Restorer:
        """A shipped model by name, or the folder or URL of one.

        Raises:
            UnknownModel: no such model; the message lists those there are.
            DamagedWeights: the weights are not those that their card describes.
            UsageError: no such device here.
        """
        return cls(load_model(model), device=device, max_megapixels=max_megapixels)

    def restore(self, pixels: NDArray[np.generic], mask: NDArray[np.bool_] | None = None) -> NDArray[np.generic]:
        """Restores one photo.

        Args:
            pixels: HWC with 1 or 3 channels, or HW; uint8 or uint16; any size from 1 x 1.
            mask: HW, True where damaged; those pixels are never used, only filled. None: nothing is damaged.

        Returns:
            The same shape and dtype as `pixels`. Grey stays grey, tone is not stretched.

        Raises:
            ScanTooLarge: over `max_megapixels`.
            MaskMismatch: the mask has another size.
            UnsupportedScan: another dtype or number of channels.
        """
        image_HWC = pixels[..., None] if pixels.ndim == 2 else pixels
        self._check(image_HWC, mask)
        with torch.inference_mode():
            restored = self._networks(*self._padded(image_HWC, mask))
        return self._unpadded(restored, image_HWC).reshape(pixels.shape)

    def _check(self, image: NDArray[np.generic], mask: NDArray[np.bool_] | None) -> None:
        if (
            image.ndim != 3
            or image.shape[2] not in (1, 3)
            or image.dtype not in (np.uint8, np.uint16)
            or not image.size
        ):
            raise UnsupportedScan(
                f"pixels are {image.dtype} of shape {image.shape}; give HWC uint8 or uint16 with 1 or 3 channels"
            )
        height, width = image.shape[:2]
        if mask is not None and mask.shape != (height, width):
            raise MaskMismatch(
                f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, the photo {width} x {height}; make them equal"
            )
        if height * width > self.max_megapixels * 1e6:
            raise ScanTooLarge(
                f"{width} x {height} is {height * width / 1e6:.1f} megapixels, the bound here is "
                f"{self.max_megapixels:.1f}; restore it on a machine with more memory"
            )

    def _padded(self, image: NDArray[np.generic], mask: NDArray[np.bool_] | None) -> tuple[Tensor, Tensor | None]:
        """N3HW in [-1, 1] and N1HW, sides padded by reflection to what the networks take; damaged pixels white."""
        pads = [(0, self._side(side) - side) for side in image.shape[:2]]
        full_HWC = np.pad(image, [*pads, (0, 0)], mode="reflect")
        if full_HWC.shape[2] == 1:
            full_HWC = np.repeat(full_HWC, 3, axis=2)
        # NHWC memory seen as NCHW is channels_last already: the permutation copies nothing
        scaled = torch.from_numpy(full_HWC.astype(np.float32)).mul_(2.0 / _most(image)).sub_(1.0)
        tensor = scaled.permute(2, 0, 1)[None]
        if mask is None or not mask.any():
            return tensor.to(self.device), None
        damaged = torch.from_numpy(np.pad(mask, pads, mode="reflect"))[None, None]
        return tensor.masked_fill_(damaged, 1.0).to(self.device), damaged.float().to(self.device)

    def _side(self, side: int) -> int:
        return side_for(side, self.architecture.multiple, self.architecture.minimum)

    def _unpadded(self, restored: Tensor, image: NDArray[np.generic]) -> NDArray[np.generic]:
        height, width, channels = image.shape
        most = _most(image)
        values = restored[0, :, :height, :width].float().cpu()
        if channels == 1:
            values = torch.einsum("chw,c->hw", values, torch.tensor(LUMA))[None]
        levels = values.add(1.0).mul(most / 2.0).round_().clamp_(0, most).permute(1, 2, 0)
        return levels.contiguous().numpy().astype(image.dtype)

    def _what_fits(self) -> float:
        if self.device.startswith("cuda"):
            free = float(torch.cuda.mem_get_info(self.device)[0])
        else:
            free = float(psutil.virtual_memory().available)
        return MEMORY_SHARE * free / self.architecture.bytes_per_pixel / 1e6


def _most(image: NDArray[np.generic]) -> int:
    return 65535 if image.dtype == np.uint16 else 255
