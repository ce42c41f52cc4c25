"""How well the noise of a photo is measured: that of a whole degraded photo against what was added to crops of it.

    python benchmarks/noise_level.py CLEAN [--holdout 5] [--photos 60] [--side 512] [--crop 96]

Training knows what was added to a crop; a restoration knows the photo alone. Printed is the logarithm of their ratio,
plus half a level each: what `joint` puts into the level that it gives in training.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import torch

from oldphoto_core.degradation import degrade, item_rng, recipe_named
from oldphoto_core.evaluation.compare import centre, held_out
from oldphoto_core.nets.noise_level import added_noise_level, noise_level
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket
from oldphoto_core.training.photos.batches import to_mask, to_tensor

SEED = 5


def main() -> None:
    """Prints a line for each recipe and scale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clean")
    parser.add_argument("--holdout", type=int, default=5)
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--crop", type=int, default=96)
    args = parser.parse_args()
    bucket = Bucket(args.clean)
    keys = held_out(bucket, args.holdout)[: args.photos]
    archive = recipe_named("archive")
    recipes = {"archive": archive, "well kept": archive.well_kept(), "published": recipe_named("published")}
    print(f"{len(keys)} photos of {args.side} pixels, crops of {args.crop}; log of (whole + 0.5) / (added + 0.5)")
    print("| recipe | scale | added, 10 / 50 / 90 % of crops | log ratio, mean | deviation | 10 / 50 / 90 % |")
    print("|---|---|---|---|---|---|")
    for name, recipe in recipes.items():
        wholes, added = [], []
        for key in keys:
            photo = to_rgb8(read_scan(bucket.read(key)).pixels)
            scale = max(args.side / min(photo.shape[:2]), item_rng(SEED, key).uniform(1 / 3, 1))
            photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            made = degrade(centre(photo, args.side), recipe, item_rng(SEED, key))
            image, toned, mask = to_tensor([made.image]), to_tensor([made.toned]), to_mask([made.mask])
            whole = noise_level(image, mask)
            for top in range(0, args.side - args.crop + 1, args.crop):
                for left in range(0, args.side - args.crop + 1, args.crop):
                    rows, columns = slice(top, top + args.crop), slice(left, left + args.crop)
                    added.append(added_noise_level(*(x[..., rows, columns] for x in (image, toned, mask))))
                    wholes.append(whole)
        found, true = torch.cat(wholes).numpy(), torch.cat(added).numpy()
        ratio = np.log((found + 0.5) / (true + 0.5))
        for scale in range(true.shape[1]):
            levels, wrong = (np.percentile(x[:, scale], (10, 50, 90)) for x in (true, ratio))
            told = " / ".join(f"{x:.1f}" for x in levels)
            print(
                f"| {name} | {scale + 1} | {told} | {ratio[:, scale].mean():.2f} | {ratio[:, scale].std():.2f} | "
                + " / ".join(f"{x:.2f}" for x in wrong)
                + " |"
            )


if __name__ == "__main__":
    main()
