"""Photos/s of each degradation recipe, alone and over Dask worker processes, and how much the recipes change.

    python benchmarks/degradation_speed.py CLEAN [--photos 400] [--workers 1 2]

`degrade` is the recipe alone, on crops in memory. `synthesize` is everything from reading photos to shards written, on
workers that are already up. The last column counts the seconds that the working processes spent on a core: unlike the
wall's, they hardly mind what else the machine does. Crops are 256 x 256.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.clusters import dask_client
from oldphoto_core.degradation import RECIPES, PairShard, degrade, item_rng, recipe_named
from oldphoto_core.degradation.pairs import make_item
from oldphoto_core.degradation.synthesis import SynthesisConfig, plan_shards, synthesize_shards
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket

CROP = 256
Rates = tuple[str, float, float]
"""(what ran, photos per second, photos per second of a core)."""


def crops(clean: Bucket) -> list[NDArray[np.uint8]]:
    """One of each of 64 photos taken evenly from all."""
    keys = [key for shard in plan_shards(clean, SynthesisConfig()) for key in shard.keys]
    keys = keys[:: max(1, len(keys) // 64)][:64]
    shard = PairShard(index=0, first=0, keys=tuple(keys), crop=CROP)
    return [make_item(to_rgb8(read_scan(clean.read(key)).pixels), shard, 0, key)[0] for key in keys]


def alone(clean: Bucket, recipe: str, photos: int) -> Rates:
    """`degrade` in this process."""
    taken, config = crops(clean), recipe_named(recipe)
    wall, core = time.perf_counter(), time.process_time()
    for number in range(photos):
        degrade(taken[number % len(taken)], config, item_rng(1, number))
    return "`degrade`, one process", photos / (time.perf_counter() - wall), photos / (time.process_time() - core)


def over_workers(clean: Bucket, recipe: str, photos: int, workers: int) -> Rates:
    """`synthesize` on a cluster of this machine."""
    made = SynthesisConfig(count=photos, crop=CROP, pairs_per_shard=20, recipe=recipe_named(recipe))
    first = SynthesisConfig(count=4 * workers, crop=CROP, pairs_per_shard=1, recipe=made.recipe)  # imports, caches
    with dask_client(None, workers) as client, tempfile.TemporaryDirectory() as folder:
        address, target = client.scheduler.address, Bucket(folder)
        synthesize_shards(plan_shards(clean, first), clean, target.join("first"), lambda sidecar: None, address)
        before = sum(client.run(time.process_time).values())
        shards = plan_shards(clean, made)
        rate = synthesize_shards(shards, clean, target.join("made"), lambda sidecar: None, address)["photos_per_second"]
        core = sum(client.run(time.process_time).values()) - before
    return f"`synthesize`, {workers} worker{'s' if workers > 1 else ''}", rate, photos / core


def rows(clean: Bucket, recipe: str, photos: int, workers: list[int]) -> Iterator[Rates]:
    """All ways of running one recipe."""
    yield alone(clean, recipe, photos)
    for count in workers:
        yield over_workers(clean, recipe, photos, count)


def change(clean: Bucket, recipe: str, photos: int) -> str:
    """A row: PSNR of what the recipe makes, and how much of it must be filled."""
    taken, config = crops(clean), recipe_named(recipe)
    scores, covered = [], []
    for number in range(photos):
        crop = taken[number % len(taken)]
        aged = degrade(crop, config, item_rng(7, number))
        scores.append(min(100.0, cv2.PSNR(aged.image, crop)))
        covered.append(float(aged.mask.mean()))
    low, high = np.percentile(scores, [5, 95])
    masked = np.array([share for share in covered if share > 0])
    filled = "none | none" if not len(masked) else f"{np.median(masked):.1%} | {np.percentile(masked, 95):.1%}"
    row = f"{np.mean(scores):.1f} | {low:.1f} to {high:.1f} | {len(masked) / photos:.0%} | {filled}"
    return f"| {recipe} | {row} |"


def main() -> None:
    """Prints a row per recipe and way of running, then one per recipe of what it does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clean")
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{options.photos} crops of {CROP} x {CROP}")
    print("| recipe | what runs | photos/s | photos/s of a core |")
    print("|---|---|---|---|")
    for recipe in sorted(RECIPES, reverse=True):
        for name, wall, core in rows(Bucket(options.clean), recipe, options.photos, options.workers):
            print(f"| {recipe} | {name} | {wall:.1f} | {core:.1f} |", flush=True)
    print()
    print(
        "| recipe | PSNR (dB) | 90 % of the photos | photos with a mask | median of their coverage | 95th percentile |"
    )
    print("|---|---|---|---|---|---|")
    for recipe in sorted(RECIPES, reverse=True):
        print(change(Bucket(options.clean), recipe, options.photos), flush=True)


if __name__ == "__main__":
    main()
