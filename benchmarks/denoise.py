"""What giving a network less noise than was measured does: `restore --denoise`, on held-out photos.

    python benchmarks/denoise.py CLEAN MODEL [--holdout 5] [--photos 24] [--crop 256]

Photos are halved, if they are large enough, and degraded without damage: as `archive`, as `archive` ages what was well
kept, and as `published`. Printed are structure PSNR (at most 50 dB counts) and LPIPS against the toned photo. Photos
that were well kept show what a restoration takes from photos that hardly need one. All are restored as in colour.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import torch

from oldphoto_core import Restorer
from oldphoto_core.degradation import degrade, item_rng, recipe_named
from oldphoto_core.evaluation.backbones import Backbones, lpips_by
from oldphoto_core.evaluation.compare import centre, held_out
from oldphoto_core.metrics import structure_psnr
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket
from oldphoto_core.tone import ToneOptions

SEED = 11
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_DB = 50.0


def unit(pixels: np.ndarray) -> torch.Tensor:
    """HWC uint8 -> 13HW in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def main() -> None:
    """Prints a row for each share, and one for the degraded photos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clean")
    parser.add_argument("model")
    parser.add_argument("--holdout", type=int, default=5)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--crop", type=int, default=256)
    args = parser.parse_args()
    bucket, restorer, lpips = Bucket(args.clean), Restorer.load(args.model), lpips_by(Backbones())
    archive = recipe_named("archive")
    recipes = {"archive": archive, "well kept": archive.well_kept(), "published": recipe_named("published")}
    keys = held_out(bucket, args.holdout)
    keys = keys[:: max(1, len(keys) // args.photos)][: args.photos]
    found: dict[str, list[list[float]]] = {}
    for key in keys:
        photo = to_rgb8(read_scan(bucket.read(key)).pixels)
        height, width = photo.shape[:2]
        if min(height, width) >= 2.5 * args.crop:
            photo = cv2.resize(photo, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        columns: dict[str, list[float]] = {}
        for recipe in recipes.values():
            made = degrade(centre(photo, args.crop), recipe.undamaged(), item_rng(SEED, key))
            shown = {"degraded": made.image}
            for share in SHARES:
                options = ToneOptions(tone=0.0, colour="colour", denoise=share)
                shown[f"{share:g}"] = restorer.restore(made.image, made.mask, options=options)
            for name, pixels in shown.items():
                pair = unit(pixels), unit(made.toned)
                distance = float("nan") if lpips is None else float(lpips(*pair))
                columns.setdefault(name, []).extend((min(float(structure_psnr(*pair)), MOST_DB), distance))
        for name, row in columns.items():
            found.setdefault(name, []).append(row)
    print(f"{len(keys)} photos, crops of {args.crop}, model {args.model}")
    print("| denoise | " + " | ".join(f"{name}, PSNR | LPIPS" for name in recipes) + " |")
    print("|---" * (1 + 2 * len(recipes)) + "|")
    for name, rows in found.items():
        means = np.mean(rows, axis=0)
        pairs = zip(means[::2], means[1::2], strict=True)
        print(f"| {name} | " + " | ".join(f"{psnr:.2f} | {distance:.3f}" for psnr, distance in pairs) + " |")


if __name__ == "__main__":
    main()
