"""Many paired shards with Dask over every core (or an existing cluster); a rerun makes only what is missing."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oldphoto_core.clusters import dask_client
from oldphoto_core.degradation.pair_folder import INDEX
from oldphoto_core.degradation.pairs import PairShard, write_pair_shard
from oldphoto_core.degradation.published import PublishedRecipe
from oldphoto_core.degradation.recipe import Recipe
from oldphoto_core.errors import ConfigError, SourceMissing, UsageError
from oldphoto_core.scans.formats import USUAL_EXTENSIONS
from oldphoto_core.storage import Bucket, is_image_key


@dataclass(frozen=True, kw_only=True, slots=True)
class SynthesisConfig:
    """What is to be made."""

    count: int = 0
    """Pairs in all; 0 = one for each clean photo."""
    seed: int = 1
    """Of every item, with its number and photo."""
    crop: int = 256
    """Side of the crop of each photo, in pixels."""
    pairs_per_shard: int = 64
    """Pairs in one tar file."""
    recipe: Recipe = field(default_factory=PublishedRecipe)
    """How photos are degraded."""

    def __post_init__(self) -> None:
        """Refuses negative counts and empty shards."""
        if self.count < 0:
            raise ConfigError(f"SynthesisConfig.count is {self.count}; give 0 (one pair a photo) or more")
        if self.pairs_per_shard < 1:
            raise ConfigError(f"SynthesisConfig.pairs_per_shard is {self.pairs_per_shard}; give at least 1")


def plan_shards(clean: Bucket, config: SynthesisConfig) -> list[PairShard]:
    """The requests, in order: photos in name order, again from the first when there are fewer photos than pairs."""
    keys = [entry.key for entry in clean.list() if is_image_key(entry.key)]
    if not keys:
        raise SourceMissing(f"{clean.url} holds no photos ({USUAL_EXTENSIONS}); give a folder or bucket that does")
    count = config.count or len(keys)
    size = config.pairs_per_shard
    return [
        PairShard(
            index=index, first=index * size, seed=config.seed, crop=config.crop, recipe=config.recipe,
            keys=tuple(keys[item % len(keys)] for item in range(index * size, min(count, (index + 1) * size))),
        )
        for index in range(math.ceil(count / size))
    ]  # fmt: skip


def write_index(target: Bucket, sidecars: Sequence[Mapping[str, Any]]) -> None:
    """Names the shards that belong together, in order."""
    index = [{name: sidecar[name] for name in ("shard", "items", "sha256")} for sidecar in sidecars]
    target.write(INDEX, json.dumps({"shards": index}, indent=2).encode())


def synthesize_shards(
    shards: list[PairShard],
    clean: Bucket,
    target: Bucket,
    on_shard: Callable[[dict[str, Any]], None],
    dask: str | None = None,
    on_link: Callable[[str], None] = lambda _link: None,
) -> dict[str, Any]:
    """Makes every shard that is missing, writes `index.json`, and returns the counts and the rate in photos/s.

    `on_shard` gets each shard's sidecar as it is done; `dask` is the address of a running scheduler; `on_link`
    is called with its dashboard's URL.
    """
    from distributed import as_completed

    if clean.contains(target) or target.contains(clean):
        raise UsageError(f"target {target.url} and source {clean.url} overlap; give a target of its own")
    target.check_writable()
    started = time.perf_counter()
    done: list[dict[str, Any]] = []
    with dask_client(dask, on_link=on_link) as client:
        # the shard's content decides the task, and a lost worker's shards are simply made again
        futures = client.map(write_pair_shard, shards, clean=clean, target=target, pure=False, retries=2)
        for future in as_completed(futures):
            done.append(future.result())
            on_shard(done[-1])
    seconds = time.perf_counter() - started
    done.sort(key=lambda sidecar: sidecar["shard"])
    write_index(target, done)
    made = sum(sidecar["items"] for sidecar in done if sidecar["made"])
    failed = {key: reason for sidecar in done for key, reason in sidecar["failed"].items()}
    return {
        "pairs": sum(sidecar["items"] for sidecar in done), "made": made, "shards": len(done), "failed": failed,
        "seconds": round(seconds, 2), "photos_per_second": round(made / seconds, 1),
    }  # fmt: skip
