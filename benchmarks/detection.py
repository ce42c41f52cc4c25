"""How well a model finds damage: ROC AUC, F1 and false positives.

    python benchmarks/detection.py CLEAN OLD [--model starter] [--holdout 40] [--json FILE]
                                             [--film OUTLINES]

Real photos carry no labels, so damage of the recipe `archive` is put on real old photos, whose own damage counts
against the detector. Photos are used whole, at their own size and at twice of it; the threshold is the model's.
"Visible" leaves out damage that changes the photo less than the photo itself varies around it (`Degraded.visible`).

    CLEAN, OLD   folders or URLs of clean photos and of real old photos; the last --holdout of each name prefix are used
    --film       folder or URL of outlines of film damage (docs/degradation.md#film-damage): one more row, of those
                 that no training draws, on the clean photos
    --json       writes the table's numbers, for the model's card
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import model_card
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from oldphoto_core.checkpoints import load_detector, read_card
from oldphoto_core.checkpoints.store import DETECTOR
from oldphoto_core.degradation import ArchiveRecipe, degrade, held_out_film_damage, item_rng
from oldphoto_core.inference.finder import DamageFinder
from oldphoto_core.metrics import DetectionCounts
from oldphoto_core.storage import Bucket, is_image_key
from oldphoto_core.training.photos.batches import PhotoSet, split_keys

SEED = 7
Photo = NDArray[np.uint8]
Item = tuple[Photo, NDArray[np.bool_], NDArray[np.bool_]]
"""A photo HWC, its damage HW, and the visible part of that."""


def row(name: str, counts: DetectionCounts, visible: DetectionCounts, photos: int, threshold: float) -> dict[str, Any]:
    """One line of the table: what the model's threshold finds; null where nothing is damaged."""
    damaged, intact = int(counts.damaged.sum()), int(counts.intact.sum())
    return {
        "photos": name,
        "number": photos,
        "damaged": damaged / max(1, damaged + intact),
        "visible": int(visible.damaged.sum()) / damaged if damaged else None,
        "auc": counts.auc() if damaged else None,
        "f1": counts.f1(threshold) if damaged else None,
        "auc_visible": visible.auc() if damaged else None,
        "f1_visible": visible.f1(threshold) if damaged else None,
        "found_visible": visible.recall(threshold) if damaged else None,
        "false_positives": counts.false_positive_rate(threshold),
    }


def held_out(url: str, holdout: int) -> PhotoSet:
    """The photos that training has not seen."""
    bucket = Bucket(url)
    keys = [entry.key for entry in bucket.list() if is_image_key(entry.key)]
    return PhotoSet(bucket, split_keys(keys, holdout)[1] if holdout else sorted(keys))


def measured(name: str, finder: DamageFinder, items: Iterator[Item], total: int) -> dict[str, Any]:
    """The row of all items together."""
    counts, visible = DetectionCounts(), DetectionCounts()
    for image, mask, seen in track(items, name, total=total):
        probabilities, damaged = torch.from_numpy(finder.probabilities(image)), torch.from_numpy(mask)
        counts.add(probabilities, damaged)
        judged = torch.from_numpy(seen | ~mask)
        visible.add(probabilities[judged], damaged[judged])
    return row(name, counts, visible, total, finder.threshold)


def composites(photos: PhotoSet, recipe: ArchiveRecipe, enlarged: int = 1) -> Iterator[Item]:
    """Photos with damage on them, and its masks."""
    for key in photos.keys:
        photo = photos.photo(key)
        if enlarged > 1:
            photo = cv2.resize(photo, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        aged = degrade(np.ascontiguousarray(photo), recipe, item_rng(SEED, key))
        yield aged.image, aged.mask, aged.visible


def unharmed(photos: PhotoSet) -> Iterator[Item]:
    """Photos as they are, with empty masks."""
    for key in photos.keys:
        photo = photos.photo(key)
        nothing = np.zeros(photo.shape[:2], bool)
        yield photo, nothing, nothing


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="How well a model finds damage: ROC AUC, F1 and false positives.")
    parser.add_argument("clean")
    parser.add_argument("old")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--holdout", type=int, default=40)
    parser.add_argument("--film")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    detector = load_detector(options.model)
    if detector is None:
        parser.error(f"model {options.model} has no detector")
    finder = DamageFinder(detector, read_card(options.model).parts[DETECTOR], "cpu", 2e9)
    clean, old = held_out(options.clean, options.holdout), held_out(options.old, options.holdout)
    damage, scanned = ArchiveRecipe().only_damage(), ArchiveRecipe().only_damage(scanned=True)
    rows = [
        measured("old, damaged", finder, composites(old, damage), len(old)),
        measured("old, damaged, then scanned", finder, composites(old, scanned), len(old)),
        measured("old at twice the size, damaged", finder, composites(old, damage, 2), len(old)),
        measured("clean, aged and damaged", finder, composites(clean, ArchiveRecipe(damaged=1.0)), len(clean)),
        measured("clean as they are", finder, unharmed(clean), len(clean)),
    ]
    if options.film:
        outlines = held_out_film_damage(Bucket(options.film))
        rows.append(measured("clean, film damage", finder, composites(clean, outlines), len(clean)))
    print(f"\nmodel {options.model}")
    print(model_card.detection(replace(read_card(options.model), metrics={"detection": {"rows": rows}})))
    print("\nBars: AUC 0.95 and F1 0.75 on old photos with damage; false positives on clean photos 0.3%.")
    if options.json:
        options.json.write_text(json.dumps({"threshold": detector.threshold, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
