"""What a training has been through: a CSV table and a PNG chart beside its weights."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, float]

LOSSES = (
    "loss", "l1", "latent", "kl", "adversarial", "feature_matching", "perceptual", "critic_image",
    "critic_latent", "focal", "dice", "colour_distance",
)  # fmt: skip
MEASURES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "f1": "F1", "auc": "ROC AUC"}
"""What validations measure, with the name of its axis."""


class History:
    """Rows of numbers by step; knows nothing of files."""

    def __init__(self, rows: Sequence[Mapping[str, float]] = ()) -> None:
        self.rows: list[Row] = [dict(row) for row in rows]
        self._sums: Row = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Gathers one step's terms; `close_row` writes their means."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def close_row(self, step: int, **extra: float) -> Row:
        """Ends the row of the steps up to `step` (from 1)."""
        row = {"step": float(step), **{name: self._sums[name] / self._counts[name] for name in self._sums}, **extra}
        self.rows.append(row)
        self._sums, self._counts = {}, {}
        return row

    def record(self) -> dict[str, Any]:
        """All of it, the row that is not closed yet too, to the last bit; the order of columns, since JSON objects keep
        none."""
        return {"columns": self._columns(), "rows": self.rows, "sums": self._sums, "counts": self._counts}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> History:
        """The inverse of `record` after a trip through JSON."""
        order = {name: number for number, name in enumerate(record["columns"])}
        history = cls([_ordered(row, order) for row in record["rows"]])
        history._sums, history._counts = _ordered(record["sums"], order), dict(record["counts"])
        return history

    def _columns(self) -> list[str]:
        return list(dict.fromkeys([*(name for row in self.rows for name in row), *self._sums]))

    def to_csv(self) -> bytes:
        """All rows; a term that a row does not have is empty."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in self.rows)
        return text.getvalue().encode()

    def to_png(self, title: str) -> bytes:
        """Losses on the left, on the right what validation measures: PSNR and SSIM, or F1 and ROC AUC."""
        # the object interface: pyplot keeps global state, and trainings run in threads of flows
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 4))
        # by hand: matplotlib's layout engines draw a figure twice to measure it, and a training draws many
        figure.subplots_adjust(left=0.07, right=0.93, bottom=0.13, top=0.92, wspace=0.22)
        FigureCanvasAgg(figure)
        losses, quality = figure.subplots(1, 2)
        for name in LOSSES:
            points = [(row["step"], row[name]) for row in self.rows if row.get(name, 0) > 0]
            if points:
                losses.plot(*zip(*points, strict=True), label=name, linewidth=1)
        losses.set(yscale="log", xlabel="step", ylabel="loss terms", title=title)
        losses.legend(fontsize=8)
        measured = [name for name in MEASURES if any(name in row for row in self.rows)][:2]
        for axis, name, colour in zip((quality, quality.twinx()), measured, ("tab:blue", "tab:orange"), strict=False):
            points = [(row["step"], row[name]) for row in self.rows if name in row]
            axis.plot(*zip(*points, strict=True), color=colour, marker=".", linewidth=1)
            axis.set_ylabel(MEASURES[name], color=colour)
        quality.set(xlabel="step", title="validation")
        quality.grid(alpha=0.3)
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=110)
        return buffer.getvalue()


def _ordered(row: Mapping[str, float], order: Mapping[str, int]) -> Row:
    return {name: row[name] for name in sorted(row, key=order.__getitem__)}
