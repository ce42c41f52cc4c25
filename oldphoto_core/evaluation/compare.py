"""Every way of restoring on the same degraded photos: a table of PSNR and SSIM, and the crops for the eye."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from oldphoto_core.degradation import (
    PublishedRecipe,
    Recipe,
    ScratchMasks,
    degrade,
    item_rng,
    recipe_named,
    recipe_record,
)
from oldphoto_core.errors import ConfigError, SourceMissing
from oldphoto_core.evaluation.baselines import opencv_restore
from oldphoto_core.metrics import psnr, ssim
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket, is_image_key
from oldphoto_core.training.data import split_keys

Photo = NDArray[np.uint8]
Method = Callable[[Photo, NDArray[np.bool_]], Photo]
"""image_HWC with its damage as it looks, mask_HW -> restored image_HWC; who needs white holes uses `paint_white`."""

EVALUATION_SCRATCHES = ScratchMasks(probability=1.0, strokes=(2, 5), width=(1, 4))
"""White scratches of the evaluation of the recipe `published`: 2 to 5 a crop, 1 to 4 pixels wide."""
OPENCV_STRENGTHS = (3.0, 6.0, 10.0)
"""Light, medium and OpenCV's usual strength of non-local means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """Which photos, degraded how: the same settings give the same degraded crops everywhere."""

    recipe: str = "published"
    """Name of the degradation recipe."""
    seed: int = 7
    """Of the degradation, with each photo's key."""
    crop: int = 256
    """Side of the centre crop, in pixels; shorter sides are used whole, down to a multiple of 8."""
    holdout: int | None = 40
    """Only the last photos of each file name prefix, as training leaves them out; None = every photo."""
    scratched: bool = False
    """With damage, whose masks every method is given: white scratches on top of `published`, another recipe's own."""

    def __post_init__(self) -> None:
        """Refuses unknown recipes and crops that SSIM cannot measure."""
        recipe_named(self.recipe)
        if self.crop < 16:
            raise ConfigError(f"EvaluationConfig.crop is {self.crop}; give at least 16 pixels")
        if self.holdout is not None and self.holdout < 1:
            raise ConfigError(f"EvaluationConfig.holdout is {self.holdout}; give at least 1, or None for every photo")

    def degradation(self) -> Recipe:
        """The recipe with its damage, or without any."""
        recipe = recipe_named(self.recipe)
        if not self.scratched:
            return recipe.undamaged()
        return replace(recipe, scratches=EVALUATION_SCRATCHES) if isinstance(recipe, PublishedRecipe) else recipe

    @property
    def damage(self) -> str:
        """What there is to be filled, in words."""
        if not self.scratched:
            return "without scratches"
        white = self.recipe == PublishedRecipe.name
        return "with white scratches and their masks" if white else "with the recipe's damage and its masks"


@dataclass(frozen=True, slots=True)
class Crop:
    """One evaluated crop and what every method made of it."""

    key: str
    clean: Photo
    degraded: Photo
    mask: NDArray[np.bool_]
    restored: dict[str, Photo] = field(default_factory=dict)


def evaluation_keys(clean: Bucket, config: EvaluationConfig) -> list[str]:
    """The photos that are evaluated; SourceMissing if there is none."""
    keys = [entry.key for entry in clean.list() if is_image_key(entry.key)]
    if config.holdout is not None:
        keys = split_keys(keys, config.holdout)[1]
    if not keys:
        raise SourceMissing(
            f"{clean.url} has no photo to evaluate on; give a bucket of clean photos, or --holdout 0 to use all of few"
        )
    return keys


def crops(clean: Bucket, keys: Sequence[str], config: EvaluationConfig) -> Iterator[Crop]:
    """Centre crops, degraded; a crop depends on the seed and its photo's key alone."""
    for key in keys:
        photo = to_rgb8(read_scan(clean.read(key)).pixels)
        height, width = (min(config.crop, side) // 8 * 8 for side in photo.shape[:2])
        top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
        centre = np.ascontiguousarray(photo[top : top + height, left : left + width])
        aged = degrade(centre, config.degradation(), item_rng(config.seed, key))
        yield Crop(key, centre, aged.image, aged.mask)


def baseline_methods() -> dict[str, Method]:
    """The degraded input itself, and OpenCV at several strengths."""
    methods: dict[str, Method] = {"degraded input": lambda image, mask: image}
    for strength in OPENCV_STRENGTHS:
        methods[f"OpenCV, h={strength:g}"] = partial(opencv_restore, strength=strength)
    return methods


def compare(
    clean: Bucket,
    methods: dict[str, Method],
    config: EvaluationConfig,
    each: Callable[[Crop], None] = lambda crop: None,
) -> pd.DataFrame:
    """A row per photo and method: key, method, psnr (dB), ssim, and psnr_filled (dB) of the damaged pixels alone, which
    is nan where nothing is damaged. `each` sees every crop when it is done."""
    rows: list[dict[str, Any]] = []
    for crop in crops(clean, evaluation_keys(clean, config), config):
        truth = _unit(crop.clean)
        for name, method in methods.items():
            crop.restored[name] = method(crop.degraded, crop.mask)
            made = _unit(crop.restored[name])
            row = {"key": crop.key, "method": name, "psnr": float(psnr(made, truth)), "ssim": float(ssim(made, truth))}
            rows.append(row | {"psnr_filled": _psnr_of(made, truth, crop.mask)})
        each(crop)
    return pd.DataFrame(rows)


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """A row per method, in order: photos, mean PSNR, SSIM and PSNR of damaged pixels, gain over the degraded input."""
    order = list(dict.fromkeys(results["method"]))
    means = {name: (name, "mean") for name in ("psnr", "ssim", "psnr_filled")}
    table = results.groupby("method").agg(photos=("key", "size"), **means).loc[order]
    table["psnr_gain"] = table["psnr"] - float(table["psnr"].to_numpy()[order.index("degraded input")])
    return table.reset_index()


def to_markdown(table: pd.DataFrame, config: EvaluationConfig) -> str:
    """The summary as a Markdown table under one line that says what was measured."""
    lines = [
        f"Recipe {config.recipe}, seed {config.seed}, centre crop {config.crop}, "
        f"{int(table['photos'].max())} photos, {config.damage}.",
        "",
        "| method | PSNR (dB) | gain (dB) | SSIM | PSNR of damaged pixels (dB) |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['method']} | {row['psnr']:.2f} | {row['psnr_gain']:+.2f} | {row['ssim']:.4f}"
        f" | {_or_dash(row['psnr_filled'])} |"
        for row in table.to_dict("records")
    ]
    return "\n".join(lines) + "\n"


def record(config: EvaluationConfig) -> dict[str, Any]:
    """JSON-ready settings, stored with the results."""
    return asdict(config) | {"degradation": recipe_record(config.degradation())}


def _psnr_of(made: torch.Tensor, truth: torch.Tensor, mask: NDArray[np.bool_]) -> float:
    if not mask.any():
        return float("nan")
    damaged = torch.from_numpy(mask)
    return float(psnr(made[:, :, damaged], truth[:, :, damaged]))


def _or_dash(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _unit(image: Photo) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255.0
