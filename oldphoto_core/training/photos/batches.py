"""Photographs in, batches out. A batch depends on (seed, step) alone: a resumed training sees what it would have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor

from oldphoto_core.degradation import degrade, item_rng, paint_white, scratch_mask, toned, turned_grey
from oldphoto_core.errors import ConfigError, ScanError, TrainingError
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.training.config import UNDEGRADED
from oldphoto_core.training.photos.cutting import Mask, Photo, fine_detail, reduced_crop, reflected, window
from oldphoto_core.training.photos.pair_set import PairSet
from oldphoto_core.training.process_group import ALONE, ProcessGroup

if TYPE_CHECKING:
    from oldphoto_core.storage import Bucket
    from oldphoto_core.training.config import StageConfig


TONED_SHARE = 0.5
"""Of the pictures of `vae_clean`, where toned ones are wanted: the decoder must know both tones."""


class PhotoSet:
    """The photographs of one bucket folder; decoded ones are kept in memory up to a bound, the others read again."""

    def __init__(self, bucket: Bucket, keys: Sequence[str], *, cache_bytes: int = 2 * 1024**3) -> None:
        self.bucket = bucket
        self.keys = list(keys)
        self.unreadable: dict[str, str] = {}
        self._cache: dict[str, Photo] = {}
        self._room = cache_bytes
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.keys)

    def sets(self) -> list[PhotoSet]:
        """This one; of a mixture those that it draws from."""
        return [self]

    def photo(self, key: str) -> Photo:
        """HWC uint8 RGB."""
        if key in self._cache:
            return self._cache[key]
        photo = to_rgb8(read_scan(self.bucket.read(key)).pixels)
        with self._lock:
            if key not in self._cache and photo.nbytes <= self._room:
                self._cache[key] = photo
                self._room -= photo.nbytes
        return photo

    def readable(self, keys: Sequence[str]) -> list[str]:
        """Those that can be read; the others are listed."""
        found = []
        for key in keys:
            try:
                self.photo(key)
                found.append(key)
            except ScanError as error:
                self.unreadable[key] = str(error)
        return found

    def random_crop(self, size: int, rng: np.random.Generator, least_scale: float = 1.0, draws: int = 1) -> Photo:
        """A square crop of a photo drawn at random, perhaps flipped; what a small photo lacks is its reflection.

        The photo is reduced by a random factor from 1 to `least_scale` first, as far as it is large enough. Of several
        `draws` from the photo the one with the most fine detail is taken.
        """
        photo = reflected(self.random_photo(rng), size)
        crop = max((reduced_crop(photo, size, least_scale, rng) for _ in range(draws)), key=fine_detail)
        return crop[:, ::-1] if rng.random() < 0.5 else crop

    def random_photo(self, rng: np.random.Generator) -> Photo:
        """A photo drawn at random, HWC; unreadable ones are listed and passed over."""
        why = ""
        for _ in range(20):
            key = self.keys[int(rng.integers(len(self.keys)))]
            try:
                return self.photo(key)
            except ScanError as error:
                self.unreadable[key] = why = str(error)
        raise TrainingError(f"20 photos drawn in a row from {self.bucket.url} cannot be read; the last: {key}: {why}")


class MixedPhotos(PhotoSet):
    """Two sets, of which the first is drawn from with a probability of its own, however many photos each has."""

    def __init__(self, first: PhotoSet, second: PhotoSet, share: float) -> None:
        """`share` of the draws are from `first`."""
        super().__init__(first.bucket, [*first.keys, *second.keys])
        self._first, self._second, self._share = first, second, share

    def sets(self) -> list[PhotoSet]:
        """Both."""
        return [*self._first.sets(), *self._second.sets()]

    def random_photo(self, rng: np.random.Generator) -> Photo:
        """A photo of one of the sets."""
        return (self._first if rng.random() < self._share else self._second).random_photo(rng)


@dataclass(frozen=True, slots=True)
class Split:
    """Photos to train on, and photos that are kept out of it to judge by."""

    training: PhotoSet
    held_out: PhotoSet


def split_keys(keys: Sequence[str], holdout: int) -> tuple[list[str], list[str]]:
    """(training, validation): of every prefix (name up to the first dash) the last `holdout`, at most a fifth."""
    groups: dict[str, list[str]] = {}
    for key in sorted(keys):
        name = key.rsplit("/", 1)[-1]
        groups.setdefault(name.split("-", 1)[0] if "-" in name else "", []).append(key)
    training: list[str] = []
    validation: list[str] = []
    for group in groups.values():
        kept = min(holdout, len(group) // 5)
        training += group[: len(group) - kept]
        validation += group[len(group) - kept :]
    return sorted(training), sorted(validation)


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's crops: N3HW float32 in [-1, 1], channels_last; masks N1HW with 1 = damaged."""

    clean: Tensor
    """What the degraded ones are to become: by `StageConfig.target` clean or toned."""
    degraded: Tensor
    """Damaged pixels are white in the stages `mapping` and `joint`."""
    mask: Tensor | None
    old: Tensor | None = None
    """Real old photos (domain R), in `vae_old`, `joint` and `cyclegan`."""
    weight: Tensor | None = None
    """N1HW, how much a pixel counts, in `scratches` alone."""
    toned: Tensor | None = None
    """What is mapped, in `tone` alone: the clean photos with another tone."""

    def parts(self, count: int) -> list[Batch]:
        """The same crops in `count` batches of about equal size (fewer if there are fewer crops)."""
        values = [getattr(self, field.name) for field in fields(self)]
        count = min(count, *(len(value) for value in values if value is not None))
        split = [[None] * count if value is None else list(value.tensor_split(count)) for value in values]
        return [Batch(*part) for part in zip(*split, strict=True)]

    def to(self, device: str) -> Batch:
        """The same on another device."""
        moved: dict[str, Any] = {
            field.name: None if value is None else value.to(device)
            for field in fields(self)
            for value in [getattr(self, field.name)]
        }
        return replace(self, **moved)


def to_tensor(images: Sequence[Photo]) -> Tensor:
    """Photos of one size, HWC uint8 -> N3HW float32 in [-1, 1], channels_last."""
    # in numpy, on this thread alone: torch would wake a team of threads that the network needs
    scaled = np.stack(images).astype(np.float32)
    scaled /= np.float32(127.5)
    scaled -= np.float32(1.0)
    # NHWC memory seen as NCHW is channels_last already: the permutation copies nothing
    return torch.from_numpy(scaled).permute(0, 3, 1, 2)


def to_mask(masks: Sequence[Mask]) -> Tensor:
    """Masks of one size, HW bool -> N1HW float32, 1 = damaged."""
    return torch.from_numpy(np.stack(masks).astype(np.float32)).unsqueeze(1)


def _degraded(photos: PhotoSet, config: StageConfig, rng: np.random.Generator) -> tuple[Photo, Photo, Mask]:
    """What a piece of a photo is to become, the same piece degraded, and what of it is damaged."""
    clean = photos.random_crop(config.canvas or config.crop, rng, config.least_scale, config.crop_draws)
    monochrome = rng.random() < config.monochrome_share
    grey = not monochrome and rng.random() < config.grey_share
    clean = turned_grey(clean) if monochrome or grey else np.ascontiguousarray(clean)
    if config.stage in UNDEGRADED:
        if config.target == "toned" and rng.random() < TONED_SHARE:
            clean = toned(clean, config.recipe, rng, monochrome=monochrome)
        return clean, clean, np.zeros(clean.shape[:2], bool)
    made = degrade(clean, config.recipe, rng, monochrome=monochrome)
    return made.toned if config.target == "toned" else made.clean, made.image, made.mask


def _from_shards(
    pairs: PairSet, number: int, config: StageConfig, rng: np.random.Generator
) -> tuple[Photo, Photo, Mask]:
    """The same of a pair that was made already."""
    if config.stage in UNDEGRADED:
        kind = "toned" if config.target == "toned" and rng.random() < TONED_SHARE else "clean"
        (clean,) = pairs.canvas(number, (kind,), config, rng)
        return clean, clean, np.zeros(clean.shape[:2], bool)
    # the autoencoder of x is not told what x is to become, and shards without toned photos will do for it
    target = "clean" if config.stage == "vae_old" else config.target
    clean, image, mask = pairs.canvas(number, (target, "degraded", "mask"), config, rng)
    return clean, image, mask


def _old_photos_of(config: StageConfig) -> int:
    """How many real old photos a batch has: half of it in `vae_old`; besides the pairs, half as many, in `joint`; one
    for each clean crop in `cyclegan`."""
    if config.stage == "cyclegan":
        return config.batch
    wanted = config.stage == "vae_old" or (config.stage == "joint" and config.latent_adversarial.value > 0)
    return config.batch - config.batch // 2 if wanted else 0


class Batches:
    """Makes batches on threads, a few steps ahead of the network."""

    def __init__(
        self, config: StageConfig, clean: PhotoSet | PairSet, old: PhotoSet | None, group: ProcessGroup = ALONE
    ) -> None:
        """`clean`: photos to degrade, or pairs that were made already. `group`: of every batch this process makes its
        own share, which together are what one alone would make."""
        if not len(clean):
            raise TrainingError(f"no photo is left to train on in {clean.bucket.url}; add photos or lower --holdout")
        self._olds_wanted = _old_photos_of(config)
        if self._olds_wanted and not (old and len(old)):
            raise TrainingError(
                f"stage {config.stage} needs real old photos; give a folder or bucket of them with --old"
            )
        if group.size > 1 and config.batch % (group.size * (2 if config.stage == "vae_old" else 1)):
            raise ConfigError(
                f"StageConfig.batch is {config.batch}, which {group.size} processes cannot share; give a multiple"
            )
        self.config, self.clean, self.old, self._group = config, clean, old, group
        self._count = config.batch // 2 if config.stage == "vae_old" else config.batch
        # of a pair that is no larger than a crop there is only one
        alike = isinstance(clean, PairSet) and clean.crop <= config.crop
        self._of_canvas = 1 if alike else config.crops_of_canvas
        cv2.setNumThreads(1)  # the pool is parallel over items already

    def batch(self, step: int) -> Batch:
        """The batch of `step`, or this process's share; the same for the same seed whatever ran before."""
        config, group, count, of_canvas = self.config, self._group, self._count, self._of_canvas
        first, last = (count * edge // group.size for edge in (group.rank, group.rank + 1))
        canvases = range(first // of_canvas, math.ceil(last / of_canvas))
        made = [pair for number in canvases for pair in self._pairs(step, number, count - number * of_canvas)]
        made = made[first - canvases[0] * of_canvas :][: last - first]
        clean, degraded, masks = zip(*made, strict=True)
        old = None
        if self._olds_wanted and self.old is not None:
            old = to_tensor([self._old_crop(self.old, step, index) for index in self._olds()])
        mask = to_mask(masks) if config.stage in ("mapping", "joint") else None
        return Batch(to_tensor(clean), to_tensor(degraded), mask, old)

    def _olds(self) -> range:
        """Numbers of the real old photos in this process's share of a batch."""
        count, group = self._olds_wanted, self._group
        return range(count * group.rank // group.size, count * (group.rank + 1) // group.size)

    def _old_crop(self, old: PhotoSet, step: int, index: int) -> Photo:
        rng = item_rng(self.config.seed, "old", step, index)
        crop = old.random_crop(self.config.crop, rng)
        # of a scan in colour, the restorer shows the networks the lightness of a photo that is monochrome
        return turned_grey(np.ascontiguousarray(crop)) if rng.random() < self.config.monochrome_share else crop

    def _pairs(self, step: int, number: int, most: int) -> Iterator[tuple[Photo, Photo, Mask]]:
        """Crops of one canvas: clean, degraded, mask."""
        config = self.config
        rng = item_rng(config.seed, "pair", step, number)
        if isinstance(self.clean, PairSet):
            number += step * math.ceil(self._count / self._of_canvas)
            clean, image, damage = _from_shards(self.clean, number, config, rng)
        else:
            clean, image, damage = _degraded(self.clean, config, rng)
        for _ in range(min(most, self._of_canvas)):
            rows, columns = window(clean.shape, config.crop, rng)
            crop, mask = image[rows, columns], damage[rows, columns]
            # both stages see white scratches, so that E_RX knows them when T must fill them
            if config.partial_nonlocal and config.stage not in UNDEGRADED:
                mask = mask | scratch_mask(config.crop, config.crop, config.scratches, rng)
                crop = paint_white(crop, mask)
            yield clean[rows, columns], crop, mask

    def from_step(self, step: int, *, threads: int = 2, ahead: int = 4) -> Iterator[Batch]:
        """Batches from `step` to the last step, prepared on `threads` threads up to `ahead` steps in advance."""
        with ThreadPoolExecutor(threads, thread_name_prefix="crops") as pool:
            waiting: list[Future[Batch]] = []
            for following in range(step, self.config.steps):
                waiting.append(pool.submit(self.batch, following))
                if len(waiting) > ahead:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
