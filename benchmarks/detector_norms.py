"""The detector of preset `compact` with normalised filters and with batch norms, trained alike and compared.

    python benchmarks/detector_norms.py CLEAN OLD [--steps 600] [--rates 1.5e-3 ...] [--norms filters batch]

All trainings see the same batches, made once, in the same order, on one thread and in bfloat16. The table has ROC AUC
and F1 on held-out photos, the share of clean ones that is marked at the threshold of that F1, and CPU seconds a step.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from detection import held_out
from rich.progress import track
from torch import nn

from oldphoto_core.nets.compact_detector import CompactDetector
from oldphoto_core.nets.standardised import StandardisedConv2d
from oldphoto_core.storage import Bucket, is_image_key
from oldphoto_core.training import default_config
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.detection import DetectionBatches, DetectionStage, DetectionValidation
from oldphoto_core.training.photos.batches import Batch, PhotoSet, split_keys

HOLDOUT, BATCHES = 40, 160
NORMS = ("filters", "batch")


def network_with(norm: str) -> nn.Module:
    """A detector with fresh weights."""
    network = CompactDetector()
    if norm == "filters":
        return network
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential) and isinstance(module[0], StandardisedConv2d):
            inside, outside = module[0].in_channels, module[0].out_channels
            module[0] = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
            module.insert(1, nn.BatchNorm2d(outside))
    return network


def trained(norm: str, config: StageConfig, batches: list[Batch]) -> tuple[DetectionStage, float]:
    """A stage after all steps, and CPU seconds a step."""
    torch.manual_seed(config.seed)
    stage, rng = DetectionStage(config, network_with(norm)), np.random.default_rng(config.seed)
    begun = time.process_time()
    for step in track(range(config.steps), f"{norm}, {config.learning_rate:g}"):
        stage.step(batches[int(rng.integers(len(batches)))], step)
    return stage, (time.process_time() - begun) / config.steps


def main() -> None:
    """Prints the table, row by row."""
    parser = argparse.ArgumentParser(description="The detector with normalised filters and with batch norms.")
    parser.add_argument("clean")
    parser.add_argument("old")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rates", type=float, nargs="+", default=[1.5e-3])
    parser.add_argument("--norms", nargs="+", choices=NORMS, default=list(NORMS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = default_config("scratches", steps=options.steps, crop=128, batch=8, canvas=448, averaging=0.0)
    buckets = [Bucket(url) for url in (options.clean, options.old)]
    keys = [[entry.key for entry in bucket.list() if is_image_key(entry.key)] for bucket in buckets]
    training = [PhotoSet(bucket, split_keys(names, HOLDOUT)[0]) for bucket, names in zip(buckets, keys, strict=True)]
    maker = DetectionBatches(config, *training)
    batches = [maker.batch(step) for step in track(range(BATCHES), "batches")]
    validation = DetectionValidation(config, *(held_out(url, HOLDOUT) for url in (options.clean, options.old)))
    print("| norm | learning rate | ROC AUC | F1 | false positives | CPU seconds a step |\n|---|---|---|---|---|---|")
    for rate in options.rates:
        for norm in options.norms:
            stage, seconds = trained(norm, replace(config, learning_rate=rate), batches)
            found = validation.measure(stage)
            print(f"| {norm} | {rate:g} | {found['auc']:.4f} | {found['f1']:.3f} | {found['false_positives']:.3%} |"
                  f" {seconds:.2f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
