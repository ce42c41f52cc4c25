"""How much of what is left to gain is tone: restored crops once more with the best correction that the original allows.

    python benchmarks/tone_left.py CLEAN [--model starter] [--recipe archive] [--seed 7] [--holdout 40]

Fading and toning take away what the picture itself does not tell: two prints of one negative differ in contrast and
colour from the day they are made. Each row grants the restored crop one more thing that only the original knows, fitted
by least squares: its mean colour, then an affine map of its colours.

    CLEAN   folder or URL of clean photos; the last --holdout of each name prefix are used, as `oldphoto evaluate` does
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from oldphoto_core import Restorer
from oldphoto_core.evaluation import EvaluationConfig
from oldphoto_core.evaluation.compare import crops, evaluation_keys
from oldphoto_core.storage import Bucket

Pixels = NDArray[np.float64]
"""N x 3 in [0, 1]."""


def mean_colour(made: Pixels, truth: Pixels) -> Pixels:
    """Shifted to the mean of the original."""
    return made + (truth - made).mean(axis=0)


def affine(made: Pixels, truth: Pixels) -> Pixels:
    """The affine map of colours that comes nearest to the original."""
    basis = np.hstack([made, np.ones((len(made), 1))])
    return basis @ np.linalg.lstsq(basis, truth, rcond=None)[0]


GRANTED: dict[str, Callable[[Pixels, Pixels], Pixels]] = {
    "as restored": lambda made, _truth: made,
    "with the original's mean colour": mean_colour,
    "with the best affine map of colours": affine,
}


def decibels(made: Pixels, truth: Pixels) -> float:
    """PSNR of pixels in [0, 1]."""
    return float(-10.0 * np.log10(np.square(np.clip(made, 0.0, 1.0) - truth).mean() + 1e-10))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="How much of what is left to gain is tone.")
    parser.add_argument("clean")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--recipe", default="archive")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--holdout", type=int, default=40)
    options = parser.parse_args()
    clean, restorer = Bucket(options.clean), Restorer.load(options.model)
    config = EvaluationConfig(recipe=options.recipe, seed=options.seed, holdout=options.holdout or None, scratched=True)
    keys = evaluation_keys(clean, config)
    found: dict[str, list[float]] = {name: [] for name in ("degraded input", *GRANTED)}
    for crop in track(crops(clean, keys, config), "crops", total=len(keys)):
        made = restorer.restore(crop.degraded, crop.mask if crop.mask.any() else None)
        old, restored, truth = (np.reshape(each, (-1, 3)) / 255.0 for each in (crop.degraded, made, crop.clean))
        found["degraded input"].append(decibels(old, truth))
        for name, grant in GRANTED.items():
            found[name].append(decibels(grant(restored, truth), truth))
    print(f"\nmodel {options.model}, recipe {options.recipe}, seed {options.seed}, {len(keys)} crops\n")
    print("| crop | PSNR (dB) | gain (dB) |\n|---|---|---|")
    for name, values in found.items():
        print(f"| {name} | {np.mean(values):.2f} | {np.mean(values) - np.mean(found['degraded input']):+.2f} |")


if __name__ == "__main__":
    main()
