"""Every way of restoring on the same degraded photos: a table of PSNR and SSIM, and the crops for the eye."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from oldphoto_core.degradation import (
    Degraded,
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
from oldphoto_core.metrics import psnr, ssim, structure_psnr, tone_error
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket, is_image_key
from oldphoto_core.training.photos.batches import split_keys

Photo = NDArray[np.uint8]
Method = Callable[[Photo, NDArray[np.bool_]], Photo]
"""image_HWC with its damage as it looks, mask_HW -> restored image_HWC; who needs white holes uses `paint_white`."""

Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Restored and clean N3HW in [0, 1] -> N."""

EVALUATION_SCRATCHES = ScratchMasks(probability=1.0, strokes=(2, 5), width=(1, 4))
"""White scratches of the evaluation of the recipe `published`: 2 to 5 a crop, 1 to 4 pixels wide."""
OPENCV_STRENGTHS = (3.0, 6.0, 10.0)
"""Light, medium and OpenCV's usual strength of non-local means."""
MOST_DRAWS = 20
"""How often a recipe is asked to degrade one crop."""


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
    toned: Photo
    """The clean crop with the tone of the degraded one."""
    degraded: Photo
    mask: NDArray[np.bool_]
    restored: dict[str, Photo] = field(default_factory=dict)


def evaluation_keys(clean: Bucket, config: EvaluationConfig) -> list[str]:
    """The photos that are evaluated; SourceMissing if there is none."""
    return held_out(clean, config.holdout)


def held_out(photos: Bucket, holdout: int | None) -> list[str]:
    """Keys of the last photos of each name prefix, or of all; SourceMissing if there is none."""
    keys = sorted(entry.key for entry in photos.list() if is_image_key(entry.key))
    if holdout is not None:
        keys = split_keys(keys, holdout)[1]
    if not keys:
        raise SourceMissing(
            f"{photos.url} has no photo to evaluate on; give a bucket of photos, or --holdout 0 to use all of few"
        )
    return keys


def centre(photo: Photo, crop: int) -> Photo:
    """The centre crop of `photo_HWC`; shorter sides whole, down to a multiple of 8."""
    height, width = (min(crop, side) // 8 * 8 for side in photo.shape[:2])
    top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
    return np.ascontiguousarray(photo[top : top + height, left : left + width])


def crops(clean: Bucket, keys: Sequence[str], config: EvaluationConfig) -> Iterator[Crop]:
    """Centre crops, degraded; a crop depends on the seed and its photo's key alone."""
    for key in keys:
        middle = centre(to_rgb8(read_scan(clean.read(key)).pixels), config.crop)
        aged = _degraded(middle, config, key)
        yield Crop(key, middle, aged.toned, aged.image, aged.mask)


def _degraded(crop: Photo, config: EvaluationConfig, key: str) -> Degraded:
    """The crop with something to restore: a draw of the recipe that leaves it as it was is drawn again.

    Its PSNR would be 100 dB, a number without meaning of which one in eighty turns the gain of all.
    """
    recipe = config.degradation()
    made = degrade(crop, recipe, item_rng(config.seed, key))
    for draw in range(1, MOST_DRAWS):
        if not np.array_equal(made.image, made.toned):
            break
        made = degrade(crop, recipe, item_rng(config.seed, key, draw))
    return made


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
    distances: Mapping[str, Distance] = MappingProxyType({}),
) -> pd.DataFrame:
    """A row per photo and method: key, method, psnr (dB), ssim, structure_psnr (dB), tone_error, and psnr_filled (dB)
    of the damaged pixels alone, which is nan where nothing is damaged; and a column for each of `distances`. `each`
    sees every crop when it is done."""
    rows: list[dict[str, Any]] = []
    for crop in crops(clean, evaluation_keys(clean, config), config):
        truth, toned = _unit(crop.clean), _unit(crop.toned)
        for name, method in methods.items():
            crop.restored[name] = method(crop.degraded, crop.mask)
            made = _unit(crop.restored[name])
            row = {"key": crop.key, "method": name, "psnr": float(psnr(made, truth)), "ssim": float(ssim(made, truth))}
            row |= {"structure_psnr": float(structure_psnr(made, toned)), "tone_error": float(tone_error(made, truth))}
            row |= {distance: float(measure(made, truth)) for distance, measure in distances.items()}
            rows.append(row | {"psnr_filled": _psnr_of(made, truth, crop.mask)})
        each(crop)
    return pd.DataFrame(rows)


def record(config: EvaluationConfig) -> dict[str, Any]:
    """JSON-ready settings, stored with the results."""
    return asdict(config) | {"degradation": recipe_record(config.degradation())}


def _psnr_of(made: torch.Tensor, truth: torch.Tensor, mask: NDArray[np.bool_]) -> float:
    if not mask.any():
        return float("nan")
    damaged = torch.from_numpy(mask)
    return float(psnr(made[:, :, damaged], truth[:, :, damaged]))


def _unit(image: Photo) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255.0
