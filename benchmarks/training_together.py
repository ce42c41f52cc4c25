"""Photos/s of a training stage and the share of its time that it waits for batches, by precision and processes.

python benchmarks/training_together.py CLEAN OLD [--pairs PAIRS] [--stage vae_old] [--steps 60] [--processes 1,2]
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

from oldphoto_core.degradation import open_pairs
from oldphoto_core.devices import resolve_device
from oldphoto_core.nets import preset_named
from oldphoto_core.storage import Bucket, is_image_key
from oldphoto_core.training import default_config
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import Batches, PhotoSet
from oldphoto_core.training.photos.pair_set import PairSet
from oldphoto_core.training.process import train_here
from oldphoto_core.training.provenance import pinned
from oldphoto_core.training.stages import make_stage

WARM = 10
"""Steps before the clock starts: caches, memory, compilation."""


def waiting(config: StageConfig, clean: str, old: str, device: str, workers: int) -> tuple[float, float]:
    """(photos/s, share of the time spent waiting for batches) of one process, without validations and checkpoints."""
    photos = [PhotoSet(bucket, [each.key for each in bucket.list() if is_image_key(each.key)])
              for bucket in (Bucket(clean), Bucket(old))]  # fmt: skip
    pairs = PairSet(open_pairs(Bucket(config.pairs)), seed=config.seed) if config.pairs else None
    stage = make_stage(config, preset_named(config.preset).triplet(), device, workers)
    batches = Batches(config, pairs or photos[0], photos[1]).from_step(0)
    waited = started = 0.0
    for step in range(config.steps):
        if step == WARM:
            waited, started = 0.0, time.perf_counter()
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        stage.step(batch, step)
    seconds = time.perf_counter() - started
    return (config.steps - WARM) * config.batch / seconds, waited / seconds


def main() -> None:
    """Prints one row a precision and number of processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clean")
    parser.add_argument("old")
    parser.add_argument("--pairs", help="shards of `oldphoto synthesize`, in place of degrading photos on line")
    parser.add_argument("--stage", default="vae_old", choices=("vae_old", "vae_clean"))
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--processes", default="1,2", help="several of them start up within their time")
    parser.add_argument("--workers", type=int, default=2, help="parts of a batch side by side, of one process")
    options = parser.parse_args()
    device = resolve_device(options.device)
    changes: dict[str, Any] = {"steps": options.steps, "validate_every": 10**6, "validation_crops": 1}
    changes["pairs"] = options.pairs
    print(f"stage {options.stage}, preset {options.preset}, device {device}, {options.steps} steps")
    print("| precision | processes | photos/s | waiting for batches |")
    print("|---|---|---|---|")
    counts = [int(count) for count in options.processes.split(",")]
    for precision, count in itertools.product(("float32", "bfloat16"), counts):
        config = pinned(default_config(options.stage, options.preset, precision=precision, start_from=None, **changes))
        if count == 1:
            rate, share = waiting(config, options.clean, options.old, device, options.workers)
            print(f"| {precision} | 1 | {rate:.1f} | {share:.1%} |")
            continue
        with tempfile.TemporaryDirectory() as out:
            spent = train_here(config, options.clean, options.old, str(Path(out)), lambda *_: None, device, count)
        print(f"| {precision} | {count} | {spent['photos_per_second']:.1f} | not measured |")


if __name__ == "__main__":
    main()
