"""Steps/s, photos/s and the share of all cores that each training stage of preset `compact` uses here.

python benchmarks/training_throughput.py CLEAN OLD [--steps 60]
"""

from __future__ import annotations

import argparse
import os
import tempfile

from oldphoto_core.storage import Bucket
from oldphoto_core.training import STAGES, default_config, train_stage


def main() -> None:
    """Trains each stage for some steps in a temporary folder and prints one row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clean")
    parser.add_argument("old")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {options.steps} steps a stage, start-up and one checkpoint included")
    print("| stage | batch | crop | steps/s | photos/s | share of the cores |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for stage in STAGES:
            config = default_config(stage, steps=options.steps, validate_every=10**6, validation_crops=1)
            spent = train_stage(config, Bucket(options.clean), Bucket(options.old), Bucket(folder))
            print(
                f"| {stage} | {config.batch} | {config.crop} | {spent['steps_per_second']:.2f} |"
                f" {spent['photos_per_second']:.1f} | {spent['cpu_share']:.0%} |"
            )


if __name__ == "__main__":
    main()
