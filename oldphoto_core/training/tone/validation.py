"""What the tone network is judged by: held-out photos, toned, mapped by what it sees in the degraded ones."""

from __future__ import annotations

import torch
from torch import Tensor

from oldphoto_core.degradation import degrade, item_rng
from oldphoto_core.devices import all_cores
from oldphoto_core.metrics import psnr, tone_error
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import PhotoSet, to_mask, to_tensor
from oldphoto_core.training.samples import SHOWN, sheet
from oldphoto_core.training.stages import Stage
from oldphoto_core.training.tone.data import in_its_channels, is_grey, view
from oldphoto_core.training.tone.stage import ToneStage
from oldphoto_core.training.validation import VALIDATION_SEED, to_unit


class ToneValidation:
    """Held-out photos, whole, degraded once with a fixed seed; every second one monochrome, if there is a share."""

    def __init__(self, config: StageConfig, photos: PhotoSet) -> None:
        keys = photos.keys[:: max(1, len(photos) // config.validation_crops)][: config.validation_crops]
        self._keys = photos.readable(keys)
        self.items = [
            self._item(config, photos, key, monochrome=number % 2 < config.monochrome_share)
            for number, key in enumerate(self._keys)
        ]
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    @staticmethod
    def _item(
        config: StageConfig, photos: PhotoSet, key: str, *, monochrome: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Clean, toned, degraded, mask."""
        clean = view(photos.photo(key), config.crop)
        made = degrade(clean, config.recipe, item_rng(VALIDATION_SEED, key), monochrome=monochrome)
        clean, toned, shown, mask = in_its_channels((made.clean, made.toned, made.image, made.mask))
        return to_tensor([clean]), to_tensor([toned]), to_tensor([shown]), to_mask([mask])

    def measure(self, stage: Stage) -> dict[str, float]:
        """Mean PSNR and tone error of mapped photos, and the tone error of the same photos before."""
        assert isinstance(stage, ToneStage)
        results, self._seen = [], []
        with all_cores(), torch.inference_mode():
            for clean, toned, shown, mask in self.items:
                given, seen, damaged, grey = (part.to(stage.device) for part in (toned, shown, mask, is_grey(clean)))
                made = to_unit(stage.mapped(given, seen, damaged, grey)).cpu()
                wanted, before = to_unit(clean), to_unit(toned)
                results.append((psnr(made, wanted), tone_error(made, wanted), tone_error(before, wanted)))
                if len(self._seen) < SHOWN:
                    self._seen.append((before, made, wanted))
        columns = zip(("psnr", "tone_error", "tone_error_before"), zip(*results, strict=True), strict=True)
        return {name: float(sum(values)) / len(results) for name, values in columns}

    def sheet(self) -> bytes:
        """Toned, mapped and clean, side by side."""
        return sheet(("toned", "mapped", "clean"), list(zip(self._keys, self._seen, strict=False)))
