"""What the tone network learns from: whole photos at the size of thumbnails, toned, and as they were before."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from oldphoto_core.degradation import degrade, item_rng, toned, turned_grey
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import Batch, Batches, to_mask, to_tensor
from oldphoto_core.training.photos.cutting import Mask, Photo
from oldphoto_core.training.photos.pair_set import PairSet

DEGRADED_SHARE = 0.25
"""Of the photos that the network is shown with all their defects, as it sees real ones. The others are shown toned
alone, which costs a tenth."""
LEAST_VIEW = 0.7
"""A view is a piece of a photo of at least this share of each side."""

Item = tuple[Photo, Photo, Photo, Mask]
"""Clean, toned, what the network is shown, and what of that is damaged."""


class ToneBatches(Batches):
    """Batches of views: `toned` is to be mapped to `clean` by what the network sees in `degraded` with `mask`.

    Where the clean photo is grey all are: the network then learns the curve of lightness, as monochrome photos get it.
    """

    def batch(self, step: int) -> Batch:
        """The batch of `step`, or this process's share; the same for the same seed whatever ran before."""
        count, group = self.config.batch, self._group
        numbers = range(count * group.rank // group.size, count * (group.rank + 1) // group.size)
        clean, mapped, shown, masks = zip(*(self._item(step, number) for number in numbers), strict=True)
        return Batch(to_tensor(clean), to_tensor(shown), to_mask(masks), toned=to_tensor(mapped))

    def _item(self, step: int, number: int) -> Item:
        config = self.config
        rng = item_rng(config.seed, "tone", step, number)
        if isinstance(self.clean, PairSet):
            return _from_shards(self.clean, step * config.batch + number, config, rng)
        clean = view(self.clean.random_photo(rng), config.crop, rng)
        monochrome = rng.random() < config.monochrome_share
        if not monochrome and rng.random() < config.grey_share:
            clean = turned_grey(clean)
        if rng.random() < DEGRADED_SHARE:
            made = degrade(clean, config.recipe, rng, monochrome=monochrome)
            return in_its_channels((made.clean, made.toned, made.image, made.mask))
        mapped = toned(clean, config.recipe, rng, monochrome=monochrome)
        nothing = np.zeros(clean.shape[:2], bool)
        return in_its_channels((turned_grey(clean) if monochrome else clean, mapped, mapped, nothing))


def view(photo: Photo, side: int, rng: np.random.Generator | None = None) -> Photo:
    """A photo or most of it, perhaps mirrored, as a square of that side: tone has no shape. Without `rng` all of it."""
    height, width = photo.shape[:2]
    if rng is not None:
        high, wide = (max(1, round(length * rng.uniform(LEAST_VIEW, 1.0))) for length in (height, width))
        top, left = (int(rng.integers(whole - part + 1)) for whole, part in ((height, high), (width, wide)))
        photo = photo[top : top + high, left : left + wide]
        photo = photo[:, ::-1] if rng.random() < 0.5 else photo
    return _resized(np.ascontiguousarray(photo), side)


def in_its_channels(item: Item) -> Item:
    """All grey, where the clean photo is: a photo that may have been toned but is restored in lightness alone."""
    clean, mapped, shown, mask = item
    if (clean == clean[..., :1]).all():
        return clean, turned_grey(mapped), turned_grey(shown), mask
    return item


def is_grey(clean: torch.Tensor) -> torch.Tensor:
    """Of `clean_N3HW`: N, whether a photo is grey."""
    return (clean == clean[:, :1]).flatten(1).all(dim=1)


def _from_shards(pairs: PairSet, number: int, config: StageConfig, rng: np.random.Generator) -> Item:
    """The same of a pair that was made already."""
    kinds = ("clean", "toned", "degraded", "mask")
    clean, mapped, shown, mask = pairs.canvas(number, kinds, config, rng)
    pictures = [_resized(picture, config.crop) for picture in (clean, mapped, shown)]
    damaged = _resized(mask.astype(np.uint8) * 255, config.crop) > 0
    return in_its_channels((pictures[0], pictures[1], pictures[2], damaged))


def _resized(picture: Photo, side: int) -> Photo:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
