"""How well damage is found on held-out photos, and the threshold that finds it best.

Intact pixels are judged on clean photos as they are: the unmarked pixels of old photos are damaged in part, and nobody
has labelled them.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from oldphoto_core.degradation import degrade, item_rng
from oldphoto_core.devices import all_cores
from oldphoto_core.metrics import DetectionCounts
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.detection.data import grey_of
from oldphoto_core.training.photos.batches import PhotoSet
from oldphoto_core.training.photos.cutting import Mask, Photo
from oldphoto_core.training.samples import SHOWN, sheet
from oldphoto_core.training.stages import Stage
from oldphoto_core.training.validation import VALIDATION_SEED, centre_crop

VALIDATION_CROP = 512


class DetectionValidation:
    """Held-out photos: clean ones degraded by the whole recipe, old ones with damage added, clean ones as they are."""

    def __init__(self, config: StageConfig, clean: PhotoSet, old: PhotoSet | None) -> None:
        self._most_false = config.most_false_positives
        self.items = [
            *_items(config, clean, is_old=False),
            *(_items(config, old, is_old=True) if old is not None else ()),
        ]
        self.unharmed = list(_unharmed(config, clean))
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def measure(self, stage: Stage) -> dict[str, float]:
        """ROC AUC over all pixels but faint damage; the best threshold, its F1, the share of clean photos it marks."""
        counts, unharmed, self._seen = DetectionCounts(), DetectionCounts(), []
        with all_cores(), torch.inference_mode():
            for grey, mask, counted in self.items:
                probabilities = stage.restore(grey.to(stage.device), None).cpu()
                counts.add(probabilities[counted], mask[counted])
                if len(self._seen) < SHOWN:
                    self._seen.append(((grey + 1) / 2, probabilities, mask))
            for grey in self.unharmed:
                probabilities = stage.restore(grey.to(stage.device), None).cpu()
                unharmed.add(probabilities, torch.zeros_like(probabilities, dtype=torch.bool))
        threshold = counts.best_threshold(self._most_false, unharmed)
        return {
            "auc": counts.auc(), "f1": counts.f1(threshold), "threshold": threshold,
            "false_positives": unharmed.false_positive_rate(threshold),
        }  # fmt: skip

    def sheet(self) -> bytes:
        """The photo, the probability of damage, and the damage."""
        return sheet(("photo", "found", "damaged"), [(str(number + 1), row) for number, row in enumerate(self._seen)])


def _items(config: StageConfig, photos: PhotoSet, *, is_old: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Luminance, mask, and which pixels are judged: faint damage is neither found nor missed."""
    for key, photo in _crops(config, photos):
        recipe = config.recipe.only_damage() if is_old else config.recipe
        aged = degrade(photo, recipe, item_rng(VALIDATION_SEED, key))
        yield grey_of(aged.image), _plane(aged.mask), _plane(aged.visible | ~aged.mask)


def _unharmed(config: StageConfig, photos: PhotoSet) -> Iterator[Tensor]:
    """Luminance of photos that nothing was done to."""
    for _, photo in _crops(config, photos):
        yield grey_of(photo)


def _crops(config: StageConfig, photos: PhotoSet) -> Iterator[tuple[str, Photo]]:
    chosen = photos.keys[:: max(1, len(photos) // config.validation_crops)][: config.validation_crops]
    for key in photos.readable(chosen):
        yield key, centre_crop(photos.photo(key), VALIDATION_CROP, multiple=32)


def _plane(mask: Mask) -> Tensor:
    """11HW bool."""
    return torch.from_numpy(mask)[None, None]
