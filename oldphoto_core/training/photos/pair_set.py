"""Pairs from the shards of `oldphoto synthesize`. Which is drawn depends on the seed and its number alone.

    pairs = PairSet(open_pairs(Bucket("s3://bucket/pairs")), seed=1, held_out=HeldOut(keys, digests))
    clean, degraded, mask = pairs.pictures(17, ("clean", "degraded", "mask"))

Every pair is drawn once before any is drawn again. Shards are mixed a few at a time, so that each is read once a round,
shortly before its first pair, however many there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.checkpoints import SeenPhoto
from oldphoto_core.degradation import (
    PairFolder,
    PairPhoto,
    ShardFile,
    item_rng,
    read_shard,
    recipe_from_record,
    turned_grey,
)
from oldphoto_core.errors import ConfigError, TrainingError
from oldphoto_core.training.photos.cutting import reflected

if TYPE_CHECKING:
    from oldphoto_core.training.config import StageConfig

MIXED = 8
"""Shards whose pairs are shuffled together: 512 pairs at the usual 64 a shard."""
KEPT_BYTES = 2 * 1024**3
"""Of shards in memory, as many bytes as photos may take that are degraded on line."""
NEED_TONED = ("vae_clean", "mapping", "joint", "pix2pix", "attention")
"""Stages that see toned photos where those are the target."""
READERS = 2
"""Shards that are read at once."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The photos that a training is judged by, by name and by bytes: a copy under another name is one of them, too."""

    keys: frozenset[str] = frozenset()
    sha256: frozenset[str] = frozenset()


class PairSet:
    """The pairs of a folder, less those of held-out photos."""

    def __init__(
        self, folder: PairFolder, *, seed: int, held_out: HeldOut = HeldOut(), kept_bytes: int = KEPT_BYTES
    ) -> None:
        """`kept_bytes`: shards in memory, read again when their turn comes; two of them may be more than that.

        Raises TrainingError if no pair is left.
        """
        self.bucket, self.crop, self._seed, self._room = folder.bucket, folder.crop, seed, kept_bytes
        self._shards = folder.shards
        everything = [(shard, pair) for shard, record in enumerate(folder.shards) for pair in record.pairs]
        self._pairs = [
            (shard, pair)
            for shard, pair in everything
            if pair.key not in held_out.keys and pair.sha256 not in held_out.sha256
        ]
        self.left_out = len(everything) - len(self._pairs)
        if not self._pairs:
            raise TrainingError(
                f"all {self.left_out} pairs of {self.bucket.url} are of photos that are held out; synthesize from more"
                " photos, or lower --holdout"
            )
        owners = np.array([shard for shard, _ in self._pairs])
        self._by_shard = np.split(np.arange(len(owners)), np.flatnonzero(np.diff(owners)) + 1)
        # two groups are in memory while one goes over into the next
        self._mixed = max(1, min(MIXED, kept_bytes // (2 * max(shard.size for shard in folder.shards))))
        # half a group: by the time its turn comes, the next one has been asked for
        self._ahead = self._mixed * len(self._pairs) // (2 * len(self._by_shard))
        self._order = lru_cache(maxsize=2)(self._order_of)
        self._held: OrderedDict[int, Future[ShardFile]] = OrderedDict()
        self._lock = Lock()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="shards")

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def held_bytes(self) -> int:
        """Of the shards in memory."""
        return sum(self._shards[shard].size for shard in self._held)

    def photos(self) -> list[list[SeenPhoto]]:
        """The clean photos that the pairs were made of, as they were then: each of them once, a list per bucket."""
        found = {
            SeenPhoto(self._shards[shard].source, pair.key, pair.version, pair.sha256) for shard, pair in self._pairs
        }
        return [list(photos) for _, photos in groupby(sorted(found), key=lambda photo: photo.url)]

    def pictures(self, number: int, kinds: Sequence[str]) -> list[NDArray[Any]]:
        """`clean`, `toned` and `degraded` (HWC uint8 RGB), `mask` and `visible` (HW bool) of the pair that is drawn as
        that number, from 0 and without an end.

        Raises StorageError if its shard cannot be read, or is another one by now.
        """
        self._file(self._at(number + self._ahead)[0])  # to be there when its turn comes
        shard, pair = self._at(number)
        file = self._file(shard).result()
        return [file.picture(pair.number, kind) for kind in kinds]

    def canvas(
        self, number: int, kinds: Sequence[str], config: StageConfig, rng: np.random.Generator
    ) -> list[NDArray[Any]]:
        """`pictures` to cut crops from: perhaps mirrored, perhaps grey, all of them alike, and none below a crop."""
        found = [reflected(picture, config.crop) for picture in self.pictures(number, kinds)]
        if rng.random() < 0.5:
            found = [np.ascontiguousarray(picture[:, ::-1]) for picture in found]
        # pairs in colour are seen in one channel too; which are grey as they are made, `synthesize` has not decided
        if rng.random() < max(config.grey_share, config.monochrome_share):
            found = [turned_grey(picture) if picture.ndim == 3 else picture for picture in found]
        return found

    def _at(self, number: int) -> tuple[int, PairPhoto]:
        round_, place = divmod(number, len(self._pairs))
        shard, pair = self._pairs[self._order(round_)[place]]
        return shard, pair

    def _order_of(self, round_: int) -> NDArray[np.int64]:
        """Indices of all pairs, in the order in which that round draws them."""
        rng = item_rng(self._seed, "pairs", round_)
        shards = [self._by_shard[index] for index in rng.permutation(len(self._by_shard))]
        groups = [shards[first : first + self._mixed] for first in range(0, len(shards), self._mixed)]
        return np.concatenate([rng.permutation(np.concatenate(group)) for group in groups])

    def _file(self, shard: int) -> Future[ShardFile]:
        """A shard that is in memory, or on its way there; those that were not asked for the longest time leave."""
        record = self._shards[shard]
        with self._lock:
            if shard not in self._held:
                self._held[shard] = self._readers.submit(read_shard, self.bucket, record.name, record.sha256)
            self._held.move_to_end(shard)
            while len(self._held) > 2 and self.held_bytes > self._room:
                self._held.popitem(last=False)
            return self._held[shard]


def with_pairs(config: StageConfig, folder: PairFolder) -> StageConfig:
    """The config of a training on these pairs: recipe and canvas are theirs, and their digest is kept.

    Raises:
        ConfigError: crops larger than the pairs, or a detector of damage that they do not have.
        TrainingError: they are not the pairs that the config has been trained on.
    """
    url, recipe = folder.bucket.url, recipe_from_record(folder.recipe)
    if config.crop > folder.crop:
        raise ConfigError(
            f"StageConfig.crop is {config.crop}, more than the pairs in {url} have ({folder.crop} pixels); give --crop"
            f" {folder.crop} or less, or synthesize with --crop {config.crop}"
        )
    if config.stage == "scratches" and recipe == recipe.undamaged():
        raise ConfigError(
            f"StageConfig.pairs is {url}, made by the recipe {recipe.name}, which damages nothing that stage scratches"
            " could learn to find; synthesize with --recipe archive or mixed, or train the other stages alone"
        )
    if config.stage == "tone" and not folder.has_toned:
        raise ConfigError(
            f"StageConfig.stage is tone, and the pairs in {url} were written before toned photos were kept (format 2);"
            " run `oldphoto synthesize` again, which makes them anew"
        )
    if config.target == "toned" and config.stage in NEED_TONED and not folder.has_toned:
        raise ConfigError(
            f"StageConfig.target is toned, and the pairs in {url} were written before toned photos were kept (format"
            " 2); run `oldphoto synthesize` again, which makes them anew, or set target to clean"
        )
    if config.pairs_sha256 not in ("", folder.sha256):
        raise TrainingError(
            f"the pairs in {url} are others than those that were trained on (sha256 {folder.sha256}, was"
            f" {config.pairs_sha256}); synthesize those again, or train into another --out"
        )
    return replace(config, pairs=url, pairs_sha256=folder.sha256, recipe=recipe, canvas=folder.crop)
