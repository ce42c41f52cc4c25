"""Held-out photos, what is measured on them, and how they look: what a stage is judged by while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from oldphoto_core.degradation import degrade, item_rng, paint_white, scratch_mask
from oldphoto_core.devices import all_cores
from oldphoto_core.metrics import psnr, ssim, structure_psnr
from oldphoto_core.nets.architectures import BASELINES, UNPAIRED
from oldphoto_core.nets.presets import preset_named
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import PhotoSet, to_tensor
from oldphoto_core.training.photos.pair_set import NEED_TONED
from oldphoto_core.training.samples import SHOWN, sheet
from oldphoto_core.training.stages import Stage

VALIDATION_SEED = 7
VALIDATION_CROP = 256


class Validation(Protocol):
    """Held-out photos and what is measured on them."""

    @property
    def items(self) -> Sequence[Any]:
        """Without any, nothing is measured."""

    def measure(self, stage: Stage) -> dict[str, float]:
        """Results by name."""

    def sheet(self) -> bytes:
        """What the last measurement looked at, as a JPEG."""


class ValidationSet:
    """Centre crops of held-out photos, degraded once with a fixed seed."""

    def __init__(self, config: StageConfig, photos: PhotoSet) -> None:
        keys = photos.keys[:: max(1, len(photos) // config.validation_crops)][: config.validation_crops]
        self._toned = config.target == "toned" and config.stage in NEED_TONED and config.stage != "vae_clean"
        self._keys = photos.readable(keys)
        self.items = [self._item(config, photos, key) for key in self._keys]
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    @staticmethod
    def _item(config: StageConfig, photos: PhotoSet, key: str) -> tuple[Tensor, Tensor, Tensor | None]:
        multiple = max(
            8, BASELINES[config.stage](preset_named(config.preset)).multiple if config.stage in BASELINES else 0
        )
        clean = centre_crop(photos.photo(key), VALIDATION_CROP, multiple)
        if config.stage == "vae_clean":
            return to_tensor([clean]), to_tensor([clean]), None
        rng = item_rng(VALIDATION_SEED, key)
        aged = degrade(clean, config.recipe, rng)
        if config.stage == "vae_old":
            return to_tensor([aged.image]), to_tensor([aged.image]), None
        target = aged.toned if config.target == "toned" else clean
        if not config.partial_nonlocal or config.stage in UNPAIRED:
            return to_tensor([aged.image]), to_tensor([target]), None
        mask = aged.mask | scratch_mask(clean.shape[0], clean.shape[1], config.scratches, rng)
        return (
            to_tensor([paint_white(aged.image, mask)]),
            to_tensor([target]),
            torch.from_numpy(mask)[None, None].float(),
        )

    def measure(self, stage: Stage) -> dict[str, float]:
        """Mean PSNR and SSIM of what the stage makes; of what it makes of toned photos the structure PSNR, too."""
        measures = {"psnr": psnr, "ssim": ssim} | ({"structure_psnr": structure_psnr} if self._toned else {})
        results, self._seen = [], []
        with all_cores(), torch.inference_mode():
            for image, truth, mask in self.items:
                on_device = None if mask is None else mask.to(stage.device)
                made = to_unit(stage.restore(image.to(stage.device), on_device)).cpu()
                results.append([float(measure(made, to_unit(truth))) for measure in measures.values()])
                if len(self._seen) < SHOWN:
                    self._seen.append((to_unit(image), made, to_unit(truth)))
        columns = zip(measures, zip(*results, strict=True), strict=True)
        return {name: sum(values) / len(results) for name, values in columns}

    def sheet(self) -> bytes:
        """Given, made and wanted, side by side."""
        return sheet(("given", "made", "wanted"), list(zip(self._keys, self._seen, strict=False)))


def to_unit(image: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], clamped."""
    return ((image + 1) / 2).clamp(0, 1)


def centre_crop(photo: Any, size: int, multiple: int = 8) -> Any:
    """The middle `size` x `size` of an HWC photo (all of a side that is shorter, down to a multiple)."""
    height, width = (min(size, side) // multiple * multiple for side in photo.shape[:2])
    top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
    return photo[top : top + height, left : left + width]
