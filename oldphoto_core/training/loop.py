"""One loop for every stage: steps, validation, checkpoints, history."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from oldphoto_core.degradation import degrade, item_rng, paint_white, scratch_mask
from oldphoto_core.devices import all_cores
from oldphoto_core.errors import TrainingError
from oldphoto_core.metrics import psnr, ssim
from oldphoto_core.storage import Bucket
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.data import Batches, PhotoSet, to_tensor
from oldphoto_core.training.history import History
from oldphoto_core.training.snapshot import load_snapshot, save_snapshot
from oldphoto_core.training.stages import Stage

CHECKPOINT, LOG, CHART = "checkpoint.safetensors", "log.csv", "chart.png"
ROW_EVERY = 20
VALIDATION_SEED = 7
VALIDATION_CROP = 256


class Progress(Protocol):
    """Whoever wants to watch (a progress bar, a test)."""

    def __call__(self, step: int, steps: int, values: dict[str, float]) -> None:
        """After each step, with the latest terms; after a validation, with what it measured."""


class Validation(Protocol):
    """Held-out photos and what is measured on them."""

    @property
    def items(self) -> Sequence[Any]:
        """Without any, nothing is measured."""

    def measure(self, stage: Stage) -> dict[str, float]:
        """Results by name."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a stage has cost so far, over all its interrupted parts."""

    steps: int
    seconds: float
    cpu_seconds: float
    photos: int

    def record(self) -> dict[str, Any]:
        """JSON-ready, with rates and the share of this machine's cores that was used."""
        seconds = max(self.seconds, 1e-9)
        return {
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "steps_per_second": round(self.steps / seconds, 3),
            "photos_per_second": round(self.photos / seconds, 2),
            "cpu_share": round(self.cpu_seconds / seconds / (os.cpu_count() or 1), 3),
        }


class ValidationSet:
    """Centre crops of held-out photos, degraded once with a fixed seed."""

    def __init__(self, config: StageConfig, photos: PhotoSet) -> None:
        keys = photos.keys[:: max(1, len(photos) // config.validation_crops)][: config.validation_crops]
        self.items = [self._item(config, photos, key) for key in keys]

    @staticmethod
    def _item(config: StageConfig, photos: PhotoSet, key: str) -> tuple[Tensor, Tensor, Tensor | None]:
        clean = centre_crop(photos.photo(key), VALIDATION_CROP)
        if config.stage == "vae_clean":
            return to_tensor([clean]), to_tensor([clean]), None
        rng = item_rng(VALIDATION_SEED, key)
        aged = degrade(clean, config.recipe, rng)
        if config.stage == "vae_old":
            return to_tensor([aged.image]), to_tensor([aged.image]), None
        if not config.partial_nonlocal:
            return to_tensor([aged.image]), to_tensor([clean]), None
        mask = aged.mask | scratch_mask(clean.shape[0], clean.shape[1], config.scratches, rng)
        return (
            to_tensor([paint_white(aged.image, mask)]),
            to_tensor([clean]),
            torch.from_numpy(mask)[None, None].float(),
        )

    def measure(self, stage: Stage) -> dict[str, float]:
        """Mean PSNR and SSIM of what the stage makes."""
        results = []
        with all_cores(), torch.inference_mode():
            for image, truth, mask in self.items:
                on_device = None if mask is None else mask.to(stage.device)
                made = to_unit(stage.restore(image.to(stage.device), on_device)).cpu()
                results.append((float(psnr(made, to_unit(truth))), float(ssim(made, to_unit(truth)))))
        pairs = list(zip(*results, strict=True))
        return {"psnr": sum(pairs[0]) / len(results), "ssim": sum(pairs[1]) / len(results)}


def to_unit(image: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], clamped."""
    return ((image + 1) / 2).clamp(0, 1)


def centre_crop(photo: Any, size: int, multiple: int = 8) -> Any:
    """The middle `size` x `size` of an HWC photo (all of a side that is shorter, down to a multiple)."""
    height, width = (min(size, side) // multiple * multiple for side in photo.shape[:2])
    top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
    return photo[top : top + height, left : left + width]


def run_stage(
    stage: Stage, config: StageConfig, batches: Batches, validation: Validation, out: Bucket, progress: Progress
) -> tuple[Spent, dict[str, float]]:
    """Trains from the last checkpoint in `out` (or from the start) to the last step.

    Returns what it cost and what the last validation measured.
    """
    first, spent, history = _resume(stage, config, out)
    started, cpu_started = time.perf_counter(), time.process_time()
    quality: dict[str, float] = {}

    def cost(step: int) -> Spent:
        return Spent(
            step, spent.seconds + time.perf_counter() - started, spent.cpu_seconds + time.process_time() - cpu_started,
            step * config.batch,
        )  # fmt: skip

    for step, batch in enumerate(batches.from_step(first), start=first):
        values = stage.step(batch, step)
        done = step + 1
        history.add(values)
        if not torch.isfinite(torch.tensor(values["loss"])):
            raise TrainingError(
                f"the loss of {config.stage} is {values['loss']} at step {done}; "
                f"the last checkpoint is kept in {out.url}"
            )
        last = done == config.steps
        if done % config.validate_every == 0 or last:
            quality = validation.measure(stage) if validation.items else {}
            values = history.close_row(done, **quality)
            out.write(CHART, history.to_png(f"{config.stage}, preset {config.preset}"))
        elif done % ROW_EVERY == 0:
            values = history.close_row(done)
        progress(done, config.steps, values)
        if done % config.checkpoint_every == 0 or last:
            out.write(LOG, history.to_csv())
            out.write(CHECKPOINT, save_snapshot(stage, _metadata(config, cost(done))))
    if not quality and validation.items:  # resumed after the last step
        quality = validation.measure(stage)
    return cost(config.steps), quality


def _metadata(config: StageConfig, spent: Spent) -> dict[str, Any]:
    return {
        "config": config.record(), "step": spent.steps, "seconds": spent.seconds, "cpu_seconds": spent.cpu_seconds,
    }  # fmt: skip


def _resume(stage: Stage, config: StageConfig, out: Bucket) -> tuple[int, Spent, History]:
    if out.info(CHECKPOINT) is None:
        return 0, Spent(0, 0.0, 0.0, 0), History()
    metadata = load_snapshot(stage, out.read(CHECKPOINT), f"{out.url}/{CHECKPOINT}")
    refuse_other_config(metadata["config"], config, out)
    step = int(metadata["step"])
    history = History.from_csv(out.read(LOG), up_to_step=step) if out.info(LOG) else History()
    return step, Spent(step, metadata["seconds"], metadata["cpu_seconds"], step * config.batch), history


def refuse_other_config(found: dict[str, Any], config: StageConfig, out: Bucket) -> None:
    """TrainingError if a checkpoint was made with other settings: going on would mix two trainings."""
    wanted = json.loads(json.dumps(config.record()))
    differing = sorted(name for name in wanted if found.get(name) != wanted[name])
    if differing:
        listed = ", ".join(f"{name} was {found.get(name)}, now {wanted[name]}" for name in differing[:3])
        raise TrainingError(
            f"{out.url} holds a training with other settings ({listed}); give those again, or another --out"
        )
