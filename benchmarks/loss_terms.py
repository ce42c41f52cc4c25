"""What each term of the losses buys: short trainings that differ in one thing, on the same data and seed.

    python benchmarks/loss_terms.py CLEAN OLD [--steps 150]

Autoencoder rows start from fresh weights. Validation is the stage's own: reconstruction of degraded photos.
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
from typing import Any

from oldphoto_core.checkpoints.lpips_weights import installed
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.config import Ramp


def variants(steps: int) -> dict[str, dict[str, Any]]:
    """Name -> fields of StageConfig."""
    off, early, late = Ramp(value=0.0), Ramp(value=0.05), Ramp(value=0.05, start=steps // 2, warm=steps // 4)
    plain = {"kl": off, "latent_noise": off, "latent_adversarial": off}
    warm = {"kl": Ramp(value=1e-3, warm=steps // 2), "latent_noise": Ramp(value=0.1, warm=steps // 2)}
    cold = {"kl": Ramp(value=1e-3), "latent_noise": Ramp(value=0.1)}
    found: dict[str, dict[str, Any]] = {
        "L1 alone": plain,
        "+ noise 0.1 and KL from the first step": plain | cold,
        "+ noise 0.1 and KL, warmed up": plain | warm,
        "+ noise 1.0 and KL, warmed up": plain | warm | {"latent_noise": Ramp(value=1.0, warm=steps // 2)},
        "+ GAN and feature matching from the first step": plain
        | warm
        | {"adversarial": early, "feature_matching": early},
        "+ GAN and feature matching from half way": plain | warm | {"adversarial": late, "feature_matching": late},
    }
    if installed():
        found["+ VGG16's features, weight 10"] = plain | warm | {"perceptual": Ramp(value=10.0)}
    return found


def main() -> None:
    """Prints one row a variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clean")
    parser.add_argument("old")
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    print(f"stage vae_old, preset compact, {options.steps} steps, batch 8, crop 64, 16 held-out photos")
    print("| terms | PSNR (dB) | SSIM | seconds |")
    print("|---|---|---|---|")
    for name, changes in variants(options.steps).items():
        config = default_config("vae_old", steps=options.steps, batch=8, validate_every=options.steps, **changes)
        with tempfile.TemporaryDirectory() as folder:
            out = Bucket(folder)
            spent = train_stage(config, Bucket(options.clean), Bucket(options.old), out)
            last = list(csv.DictReader(io.StringIO(out.read("vae_old/log.csv").decode())))[-1]
        print(
            f"| {name} | {float(last['psnr']):.2f} | {float(last['ssim']):.3f} | {spent['seconds']:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
