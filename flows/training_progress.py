"""The progress of a training in the terminal: a bar where there is one, a line now and then where there is none."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flows.progress import TerminalBar

LINE_EVERY_SECONDS = 30.0


class TrainingProgress(TerminalBar):
    """Call it after each step; use it as a context manager. Shows loss, steps/s, photos/s, and validations."""

    def __init__(self, stage: str, steps: int, photos_per_step: int) -> None:
        self._stage, self._photos = stage, photos_per_step
        self._console = Console(stderr=True)
        self._quality = ""
        self._first: tuple[int, float] | None = None
        self._spoke = time.monotonic()
        self._bar = Progress(
            TextColumn(stage), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(), TimeRemainingColumn(), console=self._console, disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._task = self._bar.add_task(stage, total=steps, figures="")

    def __call__(self, step: int, steps: int, values: dict[str, float]) -> None:
        """Counts a step; the contract of `oldphoto_core.training.loop.Progress`."""
        now = time.monotonic()
        # the first step warms everything up: rates count from there
        self._first = self._first or (step, now)
        rate = (step - self._first[0]) / max(now - self._first[1], 1e-9)
        measured = "psnr" in values or "auc" in values
        if "tone_error" in values:
            self._quality = f", validation tone error {values['tone_error']:.2f} of {values['tone_error_before']:.2f}"
        elif "psnr" in values:
            self._quality = f", validation {values['psnr']:.2f} dB / {values['ssim']:.3f}"
        elif measured:
            self._quality = f", validation AUC {values['auc']:.4f}, F1 {values['f1']:.3f}"
        loss = f"loss {values['loss']:.3f}, " if "loss" in values else ""
        figures = f"{loss}{rate:.2f} steps/s, {rate * self._photos:.0f} photos/s{self._quality}"
        self._bar.update(self._task, completed=step, figures=figures)
        if self._bar.disable and (now - self._spoke > LINE_EVERY_SECONDS or step == steps or measured):
            self._console.print(f"{self._stage} {step}/{steps}: {figures}", highlight=False)
            self._spoke = now
