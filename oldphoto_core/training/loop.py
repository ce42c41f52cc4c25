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

from oldphoto_core.checkpoints.tensors import load_prefixed, pack, prefixed, unpack
from oldphoto_core.degradation import degrade, item_rng, paint_white, scratch_mask
from oldphoto_core.devices import all_cores
from oldphoto_core.errors import TrainingError
from oldphoto_core.metrics import psnr, ssim
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.lease import Lease
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.data import Batch, Batches, PhotoSet, to_tensor
from oldphoto_core.training.history import History
from oldphoto_core.training.saves import Saves
from oldphoto_core.training.snapshot import load_snapshot, save_snapshot
from oldphoto_core.training.stages import Stage
from oldphoto_core.training.watch import Watch

CONFIG, LOG, CHART = "config.json", "log.csv", "chart.png"
SAVES, BEST = "checkpoints", "best.safetensors"
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
    """Trains from the last whole checkpoint in `out` (or from the start) to the last step, or until patience runs out.

    Returns what it cost and what was measured of the weights that the stage ends with.

    Raises:
        TrainingError: the loss ran away, or the checkpoint is of other settings.
        WriteFailed: a checkpoint could not be written; those before are still there.
        Occupied: another process trains into `out`.
    """
    with Lease(out.join("lease")) as lease:
        return _Run(stage, config, validation, out, progress, lease).train(batches)


class _Run:
    """One stage on its way, with all that a checkpoint holds."""

    def __init__(
        self,
        stage: Stage,
        config: StageConfig,
        validation: Validation,
        out: Bucket,
        progress: Progress,
        lease: Lease,
    ) -> None:
        self.stage, self.config, self.validation, self.out = stage, config, validation, out
        self.progress, self.lease = progress, lease
        self.saves = Saves(out.join(SAVES), config.keep_checkpoints)
        self.history, self.watch, self.spent = History(), Watch(), Spent(0, 0.0, 0.0, 0)
        self._resume()
        out.write(CONFIG, json.dumps(config.record(), indent=2).encode())
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    def train(self, batches: Batches) -> tuple[Spent, dict[str, float]]:
        """All steps that are left."""
        first, quality = self.spent.steps, dict[str, float]()
        done = first
        if not self.watch.is_over(self.config):
            for done, batch in enumerate(batches.from_step(first), start=first + 1):
                quality = self._step(batch, done)
                if self.watch.is_over(self.config):
                    break
        if self.config.patience and self.watch.best_step:
            name = f"{self.out.url}/{BEST}"
            load_prefixed("generator", self.stage.networks["generator"], unpack(self.out.read(BEST), name)[0], name)
            self.stage.drop_average()
        if (not quality or self.config.patience) and self.validation.items:
            quality = self._measure()
        return self._cost(done), quality

    def _step(self, batch: Batch, done: int) -> dict[str, float]:
        """One step, and what is due after it; what was measured, if anything was."""
        config, quality = self.config, dict[str, float]()
        values = self.stage.step(batch, done - 1)
        self.history.add(values)
        if reason := self.watch.runs_away(values["loss"], config):
            raise TrainingError(
                f"{config.stage} stopped at step {done}: {reason}; its last good checkpoint is that of step"
                f" {self.saves.last_step()} in {self.saves.folder.url}; train with a lower --learning-rate into another"
                " --out"
            )
        last = done == config.steps
        if done % config.validate_every == 0 or last:
            quality = self._measure() if self.validation.items else {}
            values = self.history.close_row(done, **quality)
            self.watch.see_row(values)
            if self.watch.improves(quality, done) and config.patience:
                with self.stage.averaged() as generator:
                    self.out.write(BEST, pack(prefixed("generator", generator), {"step": done}))
            self.out.write(CHART, self.history.to_png(f"{config.stage}, preset {config.preset}"))
        elif done % ROW_EVERY == 0:
            values = self.history.close_row(done)
            self.watch.see_row(values)
        self.progress(done, config.steps, values)
        self.lease.check()
        if done % config.checkpoint_every == 0 or last or self.watch.is_over(config):
            self.out.write(LOG, self.history.to_csv())
            self.saves.write(done, save_snapshot(self.stage, self._metadata(done)))
        return quality

    def _measure(self) -> dict[str, float]:
        with self.stage.averaged():
            return self.validation.measure(self.stage)

    def _cost(self, step: int) -> Spent:
        return Spent(
            step,
            self.spent.seconds + time.perf_counter() - self.started,
            self.spent.cpu_seconds + time.process_time() - self.cpu_started,
            step * self.config.batch,
        )

    def _metadata(self, step: int) -> dict[str, Any]:
        cost = self._cost(step)
        return {
            "config": self.config.record(), "step": step, "seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds,
            "history": self.history.record(), "watch": self.watch.record(),
        }  # fmt: skip

    def _resume(self) -> None:
        """Puts everything back to the newest whole checkpoint, if there is one."""
        for name, data in self.saves.whole():
            place = f"{self.saves.folder.url}/{name}"
            refuse_other_config(unpack(data, place)[1]["config"], self.config, self.out)
            metadata = load_snapshot(self.stage, data, place)
            step = int(metadata["step"])
            self.history, self.watch = History.from_record(metadata["history"]), Watch(**metadata["watch"])
            self.spent = Spent(step, metadata["seconds"], metadata["cpu_seconds"], step * self.config.batch)
            return


def refuse_other_config(found: dict[str, Any], config: StageConfig, out: Bucket) -> None:
    """TrainingError if a checkpoint was made with other settings: going on would mix two trainings."""
    wanted = json.loads(json.dumps(config.record()))
    # a field that did not exist when the checkpoint was written had the effect of its default
    found = json.loads(json.dumps(StageConfig(stage=config.stage).record())) | found
    differing = sorted(name for name in wanted if found.get(name) != wanted[name])
    if differing:
        listed = ", ".join(f"{name} was {found.get(name)}, now {wanted[name]}" for name in differing[:3])
        raise TrainingError(
            f"{out.url} holds a training with other settings ({listed}); give those again, or another --out"
        )
