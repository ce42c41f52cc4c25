"""How well damage is found on held-out photos, and the threshold that finds it best."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from oldphoto_core.degradation import degrade, item_rng
from oldphoto_core.devices import all_cores
from oldphoto_core.metrics import DetectionCounts
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.data import Mask, Photo, PhotoSet
from oldphoto_core.training.detection.data import grey_of
from oldphoto_core.training.loop import VALIDATION_SEED, centre_crop
from oldphoto_core.training.stages import Stage

VALIDATION_CROP = 512


class DetectionValidation:
    """Held-out photos: clean ones made old by the whole recipe, and old ones with damage added."""

    def __init__(self, config: StageConfig, clean: PhotoSet, old: PhotoSet | None) -> None:
        self._most_false = config.most_false_positives
        self.items = [
            *_items(config, clean, is_old=False),
            *(_items(config, old, is_old=True) if old is not None else ()),
        ]

    def measure(self, stage: Stage) -> dict[str, float]:
        """ROC AUC over all pixels but faint damage; the best threshold, its F1, the share of intact pixels it marks."""
        counts = DetectionCounts()
        with all_cores(), torch.inference_mode():
            for grey, mask, counted in self.items:
                probabilities = stage.restore(grey.to(stage.device), None).cpu()
                counts.add(probabilities[counted], mask[counted])
        threshold = counts.best_threshold(self._most_false)
        return {
            "auc": counts.auc(), "f1": counts.f1(threshold), "threshold": threshold,
            "false_positives": counts.false_positive_rate(threshold),
        }  # fmt: skip


def _items(config: StageConfig, photos: PhotoSet, *, is_old: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Luminance, mask, and which pixels are judged: faint damage is neither found nor missed."""
    for key in photos.keys[:: max(1, len(photos) // config.validation_crops)][: config.validation_crops]:
        photo: Photo = centre_crop(photos.photo(key), VALIDATION_CROP, multiple=32)
        recipe = config.recipe.only_damage() if is_old else config.recipe
        aged = degrade(photo, recipe, item_rng(VALIDATION_SEED, key))
        yield grey_of(aged.image), _plane(aged.mask), _plane(aged.visible | ~aged.mask)


def _plane(mask: Mask) -> Tensor:
    """11HW bool."""
    return torch.from_numpy(mask)[None, None]
