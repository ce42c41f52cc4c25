"""What each step between a detector's probabilities and its mask buys, and a classifier of components fitted.

    python benchmarks/decision.py CLEAN OLD [--model starter] [--holdout 40] [--photos 40] [--fit FILE]

Each row is a way to decide. F1, what is found and false positives are over all pixels: of held-out old photos with
damage of the recipe on them, of held-out clean photos as they are, and of clean photos with thin things drawn into them
(`thin_structures`): how much of what was drawn is marked. The probabilities are the same in all rows.

    CLEAN, OLD   folders or URLs of clean photos and of real old photos; the last --holdout of each name prefix are used
    --photos     how many of each are used; every second one fits the classifier, the others are in the table
    --fit        writes the classifier, as the `decision` of a card's detector
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from detection import SEED, composites, held_out, unharmed
from numpy.typing import NDArray
from rich.progress import track

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.checkpoints import load_detector, read_card
from oldphoto_core.checkpoints.store import DETECTOR
from oldphoto_core.degradation import ArchiveRecipe, item_rng
from oldphoto_core.detection.decision import Classifier, Decision, Rules
from oldphoto_core.detection.features import FEATURES, features_of
from oldphoto_core.detection.frame import Frame, frame_of
from oldphoto_core.detection.search import Candidates, mark
from oldphoto_core.detection.surroundings import range_of
from oldphoto_core.inference.finder import DamageFinder
from oldphoto_core.training.detection.thin_structures import draw_thin_structures
from oldphoto_core.training.photos.batches import PhotoSet

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
BOUNDS = {"least_probability": Rules().least_probability, "most_edge": 1.0, "least_distinct": 0.75}
"""Of rules that are tried, one by one and all together."""
LEAST = {"low": 0.75, "normal": 0.5, "high": 0.3}
"""Probabilities from which components count, of a classifier that is written."""


@dataclass(frozen=True, slots=True)
class Item:
    """A photo HWC, the levels HW that the detector gave it, its damage, and what was drawn into it."""

    kind: str
    photo: NDArray[np.uint8]
    levels: NDArray[np.uint8]
    damage: Mask
    content: Mask

    def candidates(self, decision: Decision, frame: Frame | None) -> Candidates:
        """Its pixels that may be damaged."""
        photo = ArrayCanvas(self.photo)
        frame = frame or Frame(0, 0, *self.damage.shape)
        own = range_of(photo, frame, self.photo.shape)
        levels = ArrayCanvas(self.levels[..., np.newaxis].copy())
        return Candidates(photo, levels, decision.weak_level, decision.strong_level, frame, own)

    def mask(self, decision: Decision, *, framed: bool) -> Mask:
        """What a decision marks."""
        found = self.candidates(decision, frame_of(ArrayCanvas(self.photo), *self.damage.shape) if framed else None)
        mark(found, decision)
        marked: Mask = found.levels.read(0, len(self.damage))[..., 0] != 0
        return marked


def items(finder: DamageFinder, clean: PhotoSet, old: PhotoSet, photos: int) -> Iterator[Item]:
    """Old photos with damage, clean ones as they are, and clean ones with thin things in them."""

    def thin() -> Iterator[tuple[Any, Any, Any]]:
        for photo, nothing, _ in unharmed(clean):
            key = str(photo.shape) + str(int(photo.sum(dtype=np.int64)))
            drawn = draw_thin_structures(photo, item_rng(SEED, key))
            yield drawn, nothing, (drawn != photo).any(axis=2)

    sources = {"old": composites(old, ArchiveRecipe().only_damage()), "clean": unharmed(clean), "thin": thin()}
    for kind, source in sources.items():
        for photo, damage, content in track(islice(source, photos), kind, total=photos):
            levels = np.rint(finder.probabilities(photo) * 255.0).astype(np.uint8)
            yield Item(kind, np.ascontiguousarray(photo), levels, damage, content & (kind == "thin"))


def components_of(item: Item, decision: Decision) -> tuple[Floats, Floats, Floats]:
    """Features, whether it is damage (more than a third of it), and pixels, of every component with a strong pixel."""
    found = item.candidates(decision, None)
    count, labels = found.labels(0, len(item.damage))
    table = found.table(0, len(item.damage), labels, count)
    hit = np.bincount(labels[item.damage], minlength=count + 1)[1:] / np.maximum(table[:, 0], 1)
    kept = table[:, 1] > 0
    return features_of(table, max(item.damage.shape))[kept], (hit > 1 / 3)[kept].astype(float), table[kept, 0] * 1.0


def fitted(parts: list[tuple[Floats, Floats, Floats]], rounds: int = 50) -> Classifier:
    """A logistic regression by Newton's method, with a little ridge; a component weighs the root of its pixels."""
    features, damage, pixels = (np.concatenate(column) for column in zip(*parts, strict=True))
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    design = np.column_stack([(features - mean) / spread, np.ones(len(features))])
    weight, ridge = np.sqrt(pixels / pixels.mean()), np.diag([1.0] * len(FEATURES) + [1e-6])
    found = np.zeros(design.shape[1])
    for _ in range(rounds):
        sure = 1.0 / (1.0 + np.exp(-design @ found))
        slope = design.T @ (weight * (sure - damage)) + ridge @ found
        found -= np.linalg.solve((design.T * (weight * sure * (1.0 - sure))) @ design + ridge, slope)
    weights = found[:-1] / spread
    named = dict(zip(FEATURES, np.round(weights, 4).tolist(), strict=True))
    return Classifier(bias=round(float(found[-1] - mean @ weights), 4), weights=named, least=LEAST["normal"])


def row(name: str, tested: list[Item], decision: Decision, *, framed: bool = True) -> str:
    """A line of the table."""
    hit = wrong = damage = clean = on_clean = drawn = on_drawn = 0
    for item in tested:
        marked = item.mask(decision, framed=framed)
        if item.kind == "old":
            hit, wrong = hit + int((marked & item.damage).sum()), wrong + int((marked & ~item.damage).sum())
            damage += int(item.damage.sum())
        elif item.kind == "clean":
            clean, on_clean = clean + marked.size, on_clean + int(marked.sum())
        else:
            drawn, on_drawn = drawn + int(item.content.sum()), on_drawn + int((marked & item.content).sum())
    f1 = 2 * hit / max(1, hit + wrong + damage)
    shares = (hit / max(1, damage), hit / max(1, hit + wrong), on_clean / max(1, clean), on_drawn / max(1, drawn))
    return f"| {name} | {f1:.3f} | {shares[0]:.1%} | {shares[1]:.1%} | {shares[2]:.3%} | {shares[3]:.2%} |"


def table(tested: list[Item], threshold: float, classifier: Classifier) -> list[str]:
    """All rows."""
    plain = Decision(weak=threshold, strong=threshold)
    surer = replace(plain, strong=(1.0 + threshold) / 2.0)
    grown = replace(plain, weak=threshold / 2.0)
    only = {name: Rules(**({"least_probability": 0.0} | {name: bound})) for name, bound in BOUNDS.items()}
    return [
        row("threshold alone, frame off", tested, plain, framed=False),
        row("threshold alone: `normal`", tested, plain),
        row("weak from T / 2: `high`", tested, grown),
        row("strong from (1 + T) / 2", tested, surer),
        *(row(f"and rule `{name}`", tested, replace(surer, judge=rules)) for name, rules in only.items()),
        row("and all rules", tested, replace(surer, judge=Rules(**BOUNDS))),
        row("`low`", tested, replace(surer, judge=Rules())),
        *(
            row(f"fitted classifier from {least}", tested, replace(plain, judge=replace(classifier, least=least)))
            for least in sorted(LEAST.values())
        ),
    ]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="What each step from probabilities to a mask buys.")
    parser.add_argument("clean")
    parser.add_argument("old")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--holdout", type=int, default=40)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--fit", type=Path)
    options = parser.parse_args()
    detector = load_detector(options.model)
    if detector is None:
        parser.error(f"model {options.model} has no detector")
    finder = DamageFinder(detector, read_card(options.model).parts[DETECTOR], "cpu", 2e9)
    photos = held_out(options.clean, options.holdout), held_out(options.old, options.holdout)
    made = list(items(finder, *photos, options.photos))
    plain = Decision(weak=detector.threshold, strong=detector.threshold)
    classifier = fitted([components_of(item, plain) for item in made[::2]])
    print(f"\nmodel {options.model}, threshold T = {detector.threshold:.3f}, {len(made[1::2])} photos\n")
    print("| decision | F1 | found | of what is marked damage | marked on clean photos | of thin things drawn |")
    print("|---|---|---|---|---|---|")
    print("\n".join(table(made[1::2], detector.threshold, classifier)))
    if options.fit:
        card = {"bias": classifier.bias, "weights": dict(classifier.weights), "least": LEAST}
        options.fit.write_text(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
