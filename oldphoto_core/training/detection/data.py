"""What the detector learns from: damage with its exact mask on clean photos and on real old ones."""

from __future__ import annotations

import copy
import math
from concurrent.futures import Future
from threading import Lock

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.degradation import item_rng, turned_grey
from oldphoto_core.nets.luminance import luminance
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.detection.thin_structures import draw_thin_structures
from oldphoto_core.training.photos.batches import Batch, Batches, PhotoSet, to_mask, to_tensor
from oldphoto_core.training.photos.cutting import Mask, Photo, window
from oldphoto_core.training.photos.pair_set import PairSet
from oldphoto_core.training.photos.reviewed import CorrectedSet
from oldphoto_core.training.process_group import ALONE, ProcessGroup

Canvas = tuple[Photo, Mask, NDArray[np.float32]]
"""HW luminance of a photo degraded, its mask, and how much each pixel counts."""
AHEAD = 8
"""Steps of canvases that are kept although no batch to come asks for them: one under way in another thread might."""


class DetectionBatches(Batches):
    """Batches whose `degraded` is N1HW luminance, with mask and weight.

    Making a canvas old costs far more than cutting a crop from it, but crops of one canvas are much alike, and a
    network learns little from a batch of them. So the canvases of the last steps are kept, and each crop of a batch is
    cut from one drawn at random. A canvas depends on its number alone: a resumption makes the kept ones once more.
    """

    def __init__(
        self,
        config: StageConfig,
        clean: PhotoSet | PairSet,
        old: PhotoSet | None,
        group: ProcessGroup = ALONE,
        reviewed: CorrectedSet | None = None,
    ) -> None:
        """`group`: of every batch this process cuts its own share of the crops; `reviewed`: photos with labels."""
        super().__init__(config, clean, old, group)
        self._reviewed = reviewed
        self._kept: dict[int, Future[Canvas]] = {}
        self._lock = Lock()

    def batch(self, step: int) -> Batch:
        """The batch of `step`, or this process's share; the same for the same seed whatever ran before."""
        config, group = self.config, self._group
        rng = item_rng(config.seed, "crops", step)
        every = math.ceil(config.batch / config.crops_of_canvas)
        newest = (step + 1) * every
        oldest = max(0, newest - max(every, config.canvases_kept))
        fresh = list(range(newest - every, newest))
        earlier = rng.permutation(np.arange(oldest, newest - every))[: max(0, config.batch - every)].tolist()
        numbers = list(enumerate((fresh + earlier + fresh * config.batch)[: config.batch]))
        # crops of one canvas go to the same process where they can, which then need not all make every canvas
        numbers.sort(key=lambda crop: crop[1] % group.size)
        first, last = (config.batch * edge // group.size for edge in (group.rank, group.rank + 1))
        made = [self._crop(number, item_rng(config.seed, "crop", step, index)) for index, number in numbers[first:last]]
        self._forget(oldest)
        images, masks, weights = zip(*made, strict=True)
        grey = torch.from_numpy(np.stack(images))[:, None].float() / 127.5 - 1.0
        return Batch(grey, grey, to_mask(masks), weight=torch.from_numpy(np.stack(weights))[:, None])

    def _crop(self, number: int, rng: np.random.Generator) -> Canvas:
        """A square of a canvas, turned and mirrored at random."""
        image, mask, weight = self._canvas(number)
        rows, columns = window(image.shape, self.config.crop, rng)
        quarters, step = int(rng.integers(4)), -1 if rng.random() < 0.5 else 1
        return (
            np.rot90(image[rows, columns], quarters)[:, ::step],
            np.rot90(mask[rows, columns], quarters)[:, ::step],
            np.rot90(weight[rows, columns], quarters)[:, ::step],
        )

    def _canvas(self, number: int) -> Canvas:
        """The canvas of that number: made by the first thread that asks, awaited by the others."""
        with self._lock:
            waiting = self._kept.get(number)
            if waiting is None:
                ours: Future[Canvas] = Future()
                self._kept[number] = ours
        if waiting is not None:
            return waiting.result()
        try:
            ours.set_result(self._made(number))
        except BaseException as error:
            ours.set_exception(error)
            raise
        return ours.result()

    def _forget(self, oldest: int) -> None:
        with self._lock:
            # batches are made a few steps ahead and side by side: what a slower thread still needs is not that old
            limit = oldest - AHEAD * math.ceil(self.config.batch / self.config.crops_of_canvas)
            for number in [number for number in self._kept if number < limit]:
                del self._kept[number]

    def _made(self, number: int) -> Canvas:
        """Luminance, mask and weight of a canvas: a whole photo, or a large part of one, some at half of their size."""
        config = self.config
        rng = item_rng(config.seed, "damage", number)
        canvas = self._damaged(number, rng)
        if min(canvas[0].shape) < 2 * config.crop or rng.random() >= config.halved_share:
            return canvas
        return _halved(canvas)

    def _damaged(self, number: int, rng: np.random.Generator) -> Canvas:
        config = self.config
        if self._reviewed and rng.random() < config.reviewed_share:
            return self._labelled(self._reviewed, rng)
        if self.old and rng.random() < config.old_share:
            photo = scanned(self.old.random_photo(rng), config, rng)
            # old photos have aged already; some are scanned once more, or sharp edges would tell what was added
            aged = config.recipe.only_damage(scanned=bool(rng.random() < 0.5)).degrade(photo, rng)
            return _canvas_of(aged.image, aged.mask, aged.visible, config.old_intact_weight)
        if isinstance(self.clean, PairSet):
            image, mask, visible = self.clean.canvas(number, ("degraded", "mask", "visible"), config, rng)
            return _canvas_of(image, mask, visible, 1.0)
        photo = scanned(self.clean.random_photo(rng), config, rng)
        recipe = config.recipe.only_damage() if rng.random() < config.only_damage_share else config.recipe
        photo = turned_grey(photo) if rng.random() < config.grey_share else photo
        photo = draw_thin_structures(photo, rng)[0] if rng.random() < config.thin_structures else photo
        aged = recipe.degrade(photo, rng)
        return _canvas_of(aged.image, aged.mask, aged.visible, 1.0)

    def _labelled(self, reviewed: CorrectedSet, rng: np.random.Generator) -> Canvas:
        """A photo with the mask that a curator corrected, and damage added to it as to other old photos."""
        config = self.config
        photo, corrected, touched = reviewed.random(rng)
        same = copy.deepcopy(rng)  # the masks are scaled, cut and mirrored as the photo is
        photo = scanned(photo, config, rng)
        planes = scanned(np.stack([corrected, touched, touched], axis=-1) * np.uint8(255), config, same) >= 128
        aged = config.recipe.only_damage(scanned=bool(rng.random() < 0.5)).degrade(photo, rng)
        image, added, weight = _canvas_of(aged.image, aged.mask, aged.visible, config.old_intact_weight)
        weight = np.where(planes[..., 1] & ~added, np.float32(1.0), weight)
        return image, added | planes[..., 0], weight


def _canvas_of(image: Photo, mask: Mask, visible: Mask, intact: float) -> Canvas:
    """`intact`: how much unmarked pixels count."""
    # what cannot be seen cannot be taught: faint damage is neither found nor missed
    weight = np.where(mask, visible, np.float32(intact))
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False), mask, weight


def _halved(canvas: Canvas) -> Canvas:
    """A canvas as a look at half of its size sees it: a pixel is damaged if half of what it shows is."""
    image, mask, weight = canvas
    size = image.shape[1] // 2, image.shape[0] // 2
    shrunk, damaged, counts = (
        cv2.resize(plane[: 2 * size[1], : 2 * size[0]], size, interpolation=cv2.INTER_AREA)
        for plane in (image, mask.astype(np.float32), weight)
    )
    return shrunk.astype(np.uint8, copy=False), damaged >= 0.5, counts.astype(np.float32, copy=False)


def scanned(photo: Photo, config: StageConfig, rng: np.random.Generator) -> Photo:
    """`photo_HWC` larger or smaller by up to `config.most_rescaled`, mirrored at random; at least a crop, at most a
    canvas.

    Damage is put on it afterwards: were photos only ever enlarged, what is sharper than they are would be damage.
    """
    factor = float(config.most_rescaled ** rng.uniform(-1.0, 1.0))
    factor = max(factor, config.crop / min(photo.shape[:2]))
    if config.canvas:
        rows, columns = (slice(0, side) for side in photo.shape[:2])
        most = max(config.crop, config.canvas) / factor
        if max(photo.shape[:2]) > most:
            rows, columns = (_part(side, int(most), rng) for side in photo.shape[:2])
        photo = photo[rows, columns]
    width, height = (max(config.crop, round(factor * side)) for side in (photo.shape[1], photo.shape[0]))
    how = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    resized = cv2.resize(photo, (width, height), interpolation=how).astype(np.uint8, copy=False)
    return np.ascontiguousarray(resized[:, ::-1]) if rng.random() < 0.5 else resized


def _part(side: int, most: int, rng: np.random.Generator) -> slice:
    first = int(rng.integers(max(0, side - most) + 1))
    return slice(first, first + min(side, most))


def grey_of(photo: Photo) -> Tensor:
    """HWC uint8 -> 11HW luminance in [-1, 1]."""
    return luminance(to_tensor([photo]))
