"""Champion and challenger on the same photos, which neither was trained on: gains with intervals, and a decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from oldphoto_core.checkpoints import SeenPhoto, load_model
from oldphoto_core.errors import ScanError, StorageError
from oldphoto_core.evaluation.bootstrap import mean_interval
from oldphoto_core.evaluation.compare import EvaluationConfig, Method, centre, crops
from oldphoto_core.evaluation.gap import gap_gain
from oldphoto_core.evaluation.natural import Naturalness
from oldphoto_core.evaluation.real import SIDE, naturalness_of
from oldphoto_core.evaluation.run import as_method
from oldphoto_core.inference.restorer import Restorer
from oldphoto_core.metrics import psnr, structure_psnr
from oldphoto_core.nets.presets import VAE
from oldphoto_core.retraining.config import RetrainConfig
from oldphoto_core.retraining.plan import Plan
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket
from oldphoto_core.training.photos.reviewed import read_corrected

NATURAL, GAP = "real photos, NIQE", "real photos, latent domain gap"
REVIEWED = "photos with corrected masks, NIQE"
"""Names of the sets without an original."""
Photo = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class SetResult:
    """What one set says; gains are so counted that more is better."""

    name: str
    unit: str
    photos: int
    champion: float
    """Mean over the photos (of the gap: the gap)."""
    challenger: float
    gain: float
    low: float
    high: float
    tolerance: float
    """Most that may be lost here."""

    @property
    def is_better(self) -> bool:
        """Beyond chance."""
        return self.low > 0

    @property
    def may_be_worse(self) -> bool:
        """Whether more than the tolerance may have been lost."""
        return not self.low >= -self.tolerance


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """All sets, and what follows from them."""

    sets: tuple[SetResult, ...]
    scores: pd.DataFrame
    """set, key, champion, challenger, gain: a row per photo; the gap has none."""
    promote: bool
    reasons: tuple[str, ...]


def judge(plan: Plan, challenger: str, champion: str, each: Callable[[], None] = lambda: None) -> Verdict:
    """Restores every photo of every set with both models, given as folders or URLs; `each` is called per photo.

    Photos that are not what they were when it was planned are left out. Raises TooFewPhotos if too few remain.
    """
    plan = replace(plan, judges=_unchanged(plan.judges), real=_unchanged(plan.real))
    plan.refuse_few_judges()
    config = plan.config
    methods = [as_method(Restorer.load(model)) for model in (champion, challenger)]
    scores = pd.DataFrame([
        {"set": name, "key": key, "champion": first, "challenger": second, "gain": sign * (second - first)}
        for name, key, (first, second), sign in (*_pairs(plan, methods, each), *_natural(plan, methods, each))
    ])  # fmt: skip
    names = list(dict.fromkeys(scores["set"]))
    level = 1.0 - (1.0 - config.level) / (len(names) + 1)
    sets = [_of_photos(scores[scores["set"] == name], config, level) for name in names]
    sets.append(_gap(plan, [champion, challenger], level))
    promote, reasons = decide(sets, config)
    return Verdict(sets=tuple(sets), scores=scores, promote=promote, reasons=reasons)


def decide(sets: Sequence[SetResult], config: RetrainConfig) -> tuple[bool, tuple[str, ...]]:
    """Better on one set at least, worse by more than its tolerance on none, and enough photos on all."""
    few = [f"{each.name}: {each.photos} photos are too few to judge by ({config.least_judged})"
           for each in sets if each.photos < config.least_judged]  # fmt: skip
    worse = [f"{each.name}: may be worse by more than {each.tolerance:g} {each.unit} ({_interval(each)})"
             for each in sets if each.may_be_worse]  # fmt: skip
    better = [f"{each.name}: better ({_interval(each)} {each.unit})" for each in sets if each.is_better]
    if few or worse or not better:
        return False, (*few, *worse, *better, *(() if better else ("no set is better beyond chance",)))
    return True, tuple(better)


def evaluations(config: RetrainConfig) -> dict[str, EvaluationConfig]:
    """Name and settings of each set of synthetic pairs."""
    return {
        f"{recipe}, {'damaged' if damaged else 'undamaged'}": EvaluationConfig(
            recipe=recipe, seed=config.seed, crop=config.crop, holdout=config.clean_holdout, scratched=damaged
        )
        for recipe in config.recipes
        for damaged in (False, True)
    }


def real_photos(plan: Plan) -> Iterator[tuple[str, Photo]]:
    """Key and centre crop of the real photos that are judged by."""
    for photo in plan.real:
        pixels = to_rgb8(read_scan(Bucket(photo.url).read(photo.key, version=photo.version)).pixels)
        yield photo.key, centre(pixels, SIDE)


Score = tuple[str, str, list[float], int]


def _pairs(plan: Plan, methods: Sequence[Method], each: Callable[[], None]) -> Iterator[Score]:
    clean, keys = Bucket(plan.config.clean), [photo.key for photo in plan.judges]
    toned = plan.champions_training.get("target") == "toned"
    for name, settings in evaluations(plan.config).items():
        for crop in crops(clean, keys, settings):
            made = [_unit(method(crop.degraded, crop.mask)) for method in methods]
            # networks that leave tone alone are judged by structure
            measure, wanted = (structure_psnr, crop.toned) if toned else (psnr, crop.clean)
            yield name, crop.key, [float(measure(image, _unit(wanted))) for image in made], 1
            each()


def _natural(plan: Plan, methods: Sequence[Method], each: Callable[[], None]) -> Iterator[Score]:
    settings = next(iter(evaluations(plan.config).values()))
    fitted: Naturalness = naturalness_of(Bucket(plan.config.clean), settings)
    undamaged = ((NATURAL, key, photo, np.zeros(photo.shape[:2], bool)) for key, photo in real_photos(plan))
    for name, key, photo, mask in chain(undamaged, _reviewed(plan)):
        yield name, key, [fitted.score(method(photo, mask)) for method in methods], -1
        each()


def _reviewed(plan: Plan) -> Iterator[tuple[str, str, Photo, NDArray[np.bool_]]]:
    """Set, key, a crop around the middle of the damage, and its corrected mask."""
    for photo in plan.reviewed:
        try:
            pixels, mask, _ = read_corrected(photo)
        except (ScanError, StorageError):
            continue  # not what it was when it was planned
        rows, columns = (_around(np.flatnonzero(mask.any(axis=1 - axis)), mask.shape[axis]) for axis in (0, 1))
        yield REVIEWED, photo.master.key, pixels[rows, columns], mask[rows, columns]


def _around(marked: NDArray[np.int64], side: int) -> slice:
    """At most SIDE pixels around the middle of what is marked."""
    middle = int(marked[0] + marked[-1]) // 2 if len(marked) else side // 2
    first = max(0, min(middle - SIDE // 2, side - SIDE))
    return slice(first, first + min(side, SIDE))


def _of_photos(scores: pd.DataFrame, config: RetrainConfig, level: float) -> SetResult:
    name, known = str(scores["set"].iloc[0]), scores.dropna()
    low, high = mean_interval(known["gain"].to_numpy(np.float64), level=level)
    means: dict[str, Any] = {column: float(known[column].mean()) for column in ("champion", "challenger", "gain")}
    unit, tolerance = ("NIQE", config.tolerance_niqe) if name in (NATURAL, REVIEWED) else ("dB", config.tolerance_psnr)
    return SetResult(name=name, unit=unit, photos=len(known), low=low, high=high, tolerance=tolerance, **means)


def _gap(plan: Plan, models: Sequence[str], level: float) -> SetResult:
    config, settings = plan.config, next(iter(evaluations(plan.config).values()))
    keys = [photo.key for photo in plan.judges]
    real = [centre(photo, config.crop) for _, photo in real_photos(plan)]
    synthetic = [crop.degraded for crop in crops(Bucket(config.clean), keys, settings)]
    first, second = (cast(VAE, load_model(model).networks.vae_old) for model in models)
    before, after, (low, high) = gap_gain((first, second), real, synthetic, level=level, resamples=config.gap_resamples)
    return SetResult(
        name=GAP, unit="deviations", photos=min(len(real), len(synthetic)), champion=before, challenger=after,
        gain=before - after, low=low, high=high, tolerance=config.tolerance_gap,
    )  # fmt: skip


def _unchanged(photos: Sequence[SeenPhoto]) -> tuple[SeenPhoto, ...]:
    found = [Bucket(photo.url).info(photo.key) for photo in photos]
    return tuple(photo for photo, now in zip(photos, found, strict=True) if now and now.version == photo.version)


def _unit(image: Photo) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255.0


def _interval(each: SetResult) -> str:
    return f"{each.gain:+.3f}, {each.low:+.3f} to {each.high:+.3f}"
