"""One loop for every stage: steps, validation, checkpoints, history."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from oldphoto_core.checkpoints.tensors import load_prefixed, pack, prefixed, unpack
from oldphoto_core.degradation import recipe_from_record, recipe_record
from oldphoto_core.errors import Diverged, TrainingError
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.lease import Lease
from oldphoto_core.training.checkpoint_store import CheckpointStore
from oldphoto_core.training.compiling import as_they_are
from oldphoto_core.training.config import CONFIG, StageConfig
from oldphoto_core.training.photos.batches import Batch, Batches
from oldphoto_core.training.process_group import ALONE, ProcessGroup
from oldphoto_core.training.progress.early_stopping import EarlyStopping
from oldphoto_core.training.progress.history import History
from oldphoto_core.training.snapshot import load_snapshot, save_snapshot
from oldphoto_core.training.stages import Stage
from oldphoto_core.training.validation import Validation

LOG, CHART = "log.csv", "chart.png"
SAVES, BEST = "checkpoints", "best.safetensors"
ROW_EVERY = 20


class Progress(Protocol):
    """Whoever wants to watch (a progress bar, a test)."""

    def __call__(self, step: int, steps: int, values: dict[str, float]) -> None:
        """After each step, with the latest terms; after a validation, with what it measured."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a stage has cost so far, over all its interrupted parts."""

    steps: int
    seconds: float
    cpu_seconds: float
    photos: int
    waited: float = 0.0
    """Seconds in which the network waited for its next batch."""

    def record(self) -> dict[str, Any]:
        """JSON-ready, with rates, the share of the time that was waited for data, and the share of this machine's cores
        that was used."""
        seconds = max(self.seconds, 1e-9)
        return {
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "steps_per_second": round(self.steps / seconds, 3),
            "photos_per_second": round(self.photos / seconds, 2),
            "waiting_share": round(self.waited / seconds, 3),
            "cpu_share": round(self.cpu_seconds / seconds / (os.cpu_count() or 1), 3),
        }


def samples_name(step: int) -> str:
    """Of the sheet of that step's validation, in the stage's folder."""
    return f"samples/{step:08d}.jpg"


def run_stage(
    stage: Stage,
    config: StageConfig,
    batches: Batches,
    validation: Validation,
    out: Bucket,
    progress: Progress,
    group: ProcessGroup = ALONE,
) -> tuple[Spent, dict[str, float]]:
    """Trains from the last whole checkpoint in `out` (or from the start) to the last step, or until patience runs out.

    Returns what it cost and what was measured of the weights that the stage ends with. Of several processes all call it
    alike; the first holds the place, reads and writes there, and validates.

    Raises:
        Diverged: the loss ran away.
        TrainingError: the checkpoint is of other settings.
        WriteFailed: a checkpoint could not be written; those before are still there.
        Occupied: another process trains into `out`.
    """
    with Lease(out.join("lease")) if group.is_first else nullcontext() as lease:
        return _Run(stage, config, validation, out, progress, lease, group).train(batches)


class _Run:
    """One stage on its way, with all that a checkpoint holds."""

    def __init__(
        self,
        stage: Stage,
        config: StageConfig,
        validation: Validation,
        out: Bucket,
        progress: Progress,
        lease: Lease | None,
        group: ProcessGroup,
    ) -> None:
        self.stage, self.config, self.validation, self.out = stage, config, validation, out
        self.progress, self.lease, self.group = progress, lease, group
        self.saves = CheckpointStore(out.join(SAVES), config.keep_checkpoints)
        self.history, self.watch, self.spent = History(), EarlyStopping(), Spent(0, 0.0, 0.0, 0)
        self._resume()
        if group.is_first:
            out.write(CONFIG, json.dumps(config.record(), indent=2).encode())
        self.waited = self.spent.waited
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    def train(self, batches: Batches) -> tuple[Spent, dict[str, float]]:
        """All steps that are left."""
        first, quality = self.spent.steps, dict[str, float]()
        done = first
        if not self.watch.is_over(self.config):
            for done, batch in enumerate(self._waited_for(batches.from_step(first)), start=first + 1):
                quality = self._step(batch, done)
                if self.watch.is_over(self.config):
                    break
        if self.config.patience and self.watch.best_step and self.group.is_first:
            name = f"{self.out.url}/{BEST}"
            load_prefixed("generator", self.stage.networks["generator"], unpack(self.out.read(BEST), name)[0], name)
            self.stage.drop_average()
        if (not quality or self.config.patience) and self.validation.items:
            quality = self._measure()
        return self._cost(done), quality

    def _waited_for(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; counts how long each keeps the network waiting."""
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def _step(self, batch: Batch, done: int) -> dict[str, float]:
        """One step, and what is due after it; what was measured, if anything was."""
        config, quality = self.config, dict[str, float]()
        values = self.stage.step(batch, done - 1)
        self.history.add(values)
        if reason := self.watch.runs_away(values["loss"], config):
            raise Diverged(
                f"{config.stage} stopped at step {done}: {reason}; its last good checkpoint is that of step"
                f" {self.saves.last_step()} in {self.saves.folder.url}; train with a lower --learning-rate into another"
                " --out"
            )
        last = done == config.steps
        if done % config.validate_every == 0 or last:
            quality = self._measure() if self.validation.items else {}
            values = self.history.close_row(done, **quality)
            self.watch.see_row(values)
            self._keep_validation(done, is_best=self.watch.improves(quality, done))
        elif done % ROW_EVERY == 0:
            values = self.history.close_row(done)
            self.watch.see_row(values)
        self.progress(done, config.steps, values)
        self._check_lease()
        if done % config.checkpoint_every == 0 or last or self.watch.is_over(config):
            cost = self._cost(done)
            if self.group.is_first:
                self.out.write(LOG, self.history.to_csv())
                self.saves.write(done, save_snapshot(self.stage, self._metadata(done, cost)))
        return quality

    def _keep_validation(self, done: int, *, is_best: bool) -> None:
        """What it looked at, the chart, and the weights if they are the best so far and may be wanted."""
        if not self.group.is_first:
            return
        self._check_lease()  # measuring may have taken longer than the lease holds
        if is_best and self.config.patience:
            with self.stage.averaged() as generator:
                self.out.write(BEST, pack(prefixed("generator", generator), {"step": done}))
        if self.validation.items:
            self.out.write(samples_name(done), self.validation.sheet())
        self.out.write(CHART, self.history.to_png(f"{self.config.stage}, preset {self.config.preset}"))

    def _check_lease(self) -> None:
        """Raise Occupied if another process trains here by now. Only the first of several processes has a lease."""
        if self.lease is not None:
            self.lease.check()

    def _measure(self) -> dict[str, float]:
        measured = b"{}"
        if self.group.is_first:
            with self.stage.averaged(), as_they_are(compiled=self.config.compiled):
                measured = json.dumps(self.validation.measure(self.stage)).encode()
        found: dict[str, float] = json.loads(self.group.shared(measured))
        return found

    def _cost(self, step: int) -> Spent:
        """Over all processes, which all must ask."""
        return Spent(
            step,
            self.spent.seconds + time.perf_counter() - self.started,
            self.spent.cpu_seconds + self.group.total(time.process_time() - self.cpu_started),
            step * self.config.batch,
            self.waited,
        )

    def _metadata(self, step: int, cost: Spent) -> dict[str, Any]:
        return {
            "config": self.config.record(), "step": step, "seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds,
            "waited": cost.waited, "history": self.history.record(), "watch": self.watch.record(),
        }  # fmt: skip

    def _resume(self) -> None:
        """Puts everything back to the newest whole checkpoint, if there is one."""
        name, data = next(self.saves.whole(), ("", b"")) if self.group.is_first else ("", b"")
        data = self.group.shared(data)
        if not data:
            return
        place = f"{self.saves.folder.url}/{name}"
        refuse_other_config(unpack(data, place)[1]["config"], self.config, self.out)
        metadata = load_snapshot(self.stage, data, place)
        step = int(metadata["step"])
        self.history, self.watch = History.from_record(metadata["history"]), EarlyStopping(**metadata["watch"])
        photos, waited = step * self.config.batch, metadata.get("waited", 0.0)
        self.spent = Spent(step, metadata["seconds"], metadata["cpu_seconds"], photos, waited)


def refuse_other_config(found: dict[str, Any], config: StageConfig, out: Bucket) -> None:
    """TrainingError if a checkpoint was made with other settings: going on would mix two trainings."""
    wanted = json.loads(json.dumps(config.record()))
    # a field that did not exist when the checkpoint was written had the effect of its default
    found = json.loads(json.dumps(StageConfig(stage=config.stage).record())) | found
    # and an operation that its recipe does not know never happened
    found["recipe"] = json.loads(json.dumps(recipe_record(recipe_from_record(found["recipe"]))))
    differing = sorted(name for name in wanted if found.get(name) != wanted[name])
    if differing:
        listed = ", ".join(f"{name} was {found.get(name)}, now {wanted[name]}" for name in differing[:3])
        raise TrainingError(
            f"{out.url} holds a training with other settings ({listed}); give those again, or another --out"
        )
