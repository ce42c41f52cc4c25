"""What the detector learns from: damage with its exact mask on clean photos and on real old ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.degradation import item_rng
from oldphoto_core.degradation.recipe import Recipe
from oldphoto_core.nets.luminance import luminance
from oldphoto_core.training.data import Batch, Batches, Mask, Photo, to_mask, to_tensor, turned_grey, window
from oldphoto_core.training.detection.thin_structures import draw_thin_structures

Weights = NDArray[np.float32]
"""HW float32, how much each pixel counts."""


class DetectionBatches(Batches):
    """Batches whose `degraded` is N1HW luminance, with mask and weight. Canvases vary in size by the factor 2.5,
    because damage on scans does not come in one width."""

    def batch(self, step: int) -> Batch:
        """The batch of `step`; the same for the same seed whatever ran before."""
        config = self.config
        made = [
            crop
            for number in range(math.ceil(config.batch / config.crops_of_canvas))
            for crop in self._crops(step, number, config.batch - number * config.crops_of_canvas)
        ]
        images, masks, weights = zip(*made, strict=True)
        grey = luminance(to_tensor(images))
        return Batch(grey, grey, to_mask(masks), weight=torch.from_numpy(np.stack(weights))[:, None])

    def _crops(self, step: int, number: int, most: int) -> Iterator[tuple[Photo, Mask, Weights]]:
        """Crops of one canvas: aged photo, mask, and what each pixel counts."""
        config = self.config
        rng = item_rng(config.seed, "damage", step, number)
        is_old = bool(self.old) and rng.random() < config.old_share
        largest = config.canvas or config.crop
        size = max(config.crop, round(largest * 2.0 ** rng.uniform(-0.8, 0.5)))
        photos, recipe = (self.old, self._recipe_of_old(rng)) if is_old and self.old else (self.clean, config.recipe)
        photo = scanned_piece(photos.random_photo(rng), size, config.most_enlarged, rng)
        if not is_old:
            photo = turned_grey(photo) if rng.random() < config.grey_share else photo
            photo = draw_thin_structures(photo, rng) if rng.random() < config.thin_structures else photo
        aged = recipe.degrade(photo, rng)
        # what cannot be seen cannot be taught: faint damage is neither found nor missed
        weights = np.where(aged.mask, aged.visible, np.float32(config.old_intact_weight if is_old else 1.0))
        for _ in range(min(most, config.crops_of_canvas)):
            square = window(photo.shape, config.crop, rng)
            yield aged.image[square], aged.mask[square], weights[square]

    def _recipe_of_old(self, rng: np.random.Generator) -> Recipe:
        """Old photos have aged already; some are scanned once more, or sharp edges would tell what was added."""
        return self.config.recipe.only_damage(scanned=bool(rng.random() < 0.5))


def scanned_piece(photo: Photo, size: int, most_enlarged: float, rng: np.random.Generator) -> Photo:
    """A square of `photo_HWC` with that side, enlarged by up to that factor, or more where the photo is smaller.

    Scans resolve the paper better than the picture on it: there damage is sharper than what was photographed.
    """
    factor = max(1.0, size / min(photo.shape[:2])) * most_enlarged ** rng.uniform(0.0, 1.0)
    side = min(max(1, round(size / factor)), *photo.shape[:2])
    piece = photo[window(photo.shape, side, rng)]
    piece = piece[:, ::-1] if rng.random() < 0.5 else piece
    return cv2.resize(piece, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)


def grey_of(photo: Photo) -> Tensor:
    """HWC uint8 -> 11HW luminance in [-1, 1]."""
    return luminance(to_tensor([photo]))
