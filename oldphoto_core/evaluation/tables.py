"""What an evaluation comes to: means with their intervals, as a table and as a chart."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from oldphoto_core.evaluation.bootstrap import mean_interval
from oldphoto_core.evaluation.compare import EvaluationConfig
from oldphoto_core.names import visible

NOT_AVAILABLE = "not available"
"""In tables: a metric whose network's weights were not given."""

MEANS = ("psnr", "ssim", "psnr_filled", "structure_psnr", "tone_error", "lpips")
"""Columns of results whose means are in the table, where they were measured."""


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """A row per method, in order: photos, mean PSNR, SSIM, PSNR of damaged pixels, structure PSNR, tone error and LPIPS
    (if measured), gains over the degraded input in PSNR and structure PSNR, the former's 95 % interval
    (`psnr_gain_low`, `psnr_gain_high`), and SSIM's (`ssim_low`, `ssim_high`).
    """
    order = list(dict.fromkeys(results["method"]))
    means = {name: (name, "mean") for name in MEANS if name in results}
    table = results.groupby("method").agg(photos=("key", "size"), **means).loc[order]
    for name in ("psnr", "structure_psnr"):
        if name in table:
            table[f"{name}_gain"] = table[name] - float(table[name].to_numpy()[order.index("degraded input")])
    by_photo = results.pivot(index="key", columns="method")
    gains = by_photo["psnr"].sub(by_photo["psnr"]["degraded input"], axis=0)
    for name, values in (("psnr_gain", gains), ("ssim", by_photo["ssim"])):
        table[[f"{name}_low", f"{name}_high"]] = [mean_interval(values[method].to_numpy()) for method in order]
    return table.reset_index()


def to_markdown(table: pd.DataFrame, config: EvaluationConfig) -> str:
    """The summary as a Markdown table under one line that says what was measured."""
    frechet = "frechet_vgg16" in table
    lines = [
        f"Recipe {config.recipe}, seed {config.seed}, centre crop {config.crop}, "
        f"{int(table['photos'].max())} photos, {config.damage}.",
        "",
        "| method | PSNR (dB) | gain (dB) | 95 % interval | SSIM | PSNR of damaged pixels (dB) | structure PSNR (dB)"
        " | structure gain (dB) | tone error | LPIPS | FID |" + " Frechet distance, VGG16 |" * frechet,
        "|---|---|---|---|---|---|---|---|---|---|---|" + "---|" * frechet,
    ]
    lines += [
        f"| {visible(row['method'])} | {row['psnr']:.2f} | {row['psnr_gain']:+.2f}"
        f" | {_interval(row['psnr_gain_low'], row['psnr_gain_high'])} | {row['ssim']:.4f}"
        f" | {_or(row['psnr_filled'], '-', '.2f')} | {_or(row.get('structure_psnr'), '-', '.2f')}"
        f" | {_or(row.get('structure_psnr_gain'), '-', '+.2f')} | {_or(row.get('tone_error'), '-', '.2f')}"
        f" | {_or(row.get('lpips'), NOT_AVAILABLE, '.4f')}"
        f" | {_or(row.get('fid'), NOT_AVAILABLE, '.1f')} |"
        + (f" {_or(row['frechet_vgg16'], NOT_AVAILABLE, '.3f')} |" if frechet else "")
        for row in table.to_dict("records")
    ]
    return "\n".join(lines) + "\n"


def to_png(table: pd.DataFrame, config: EvaluationConfig) -> bytes:
    """The summary as a chart: gain in PSNR with its interval, and SSIM, a bar per method."""
    # the object interface: pyplot keeps global state, and evaluations run in threads of flows
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1.4 + 0.38 * len(table)), layout="constrained")
    FigureCanvasAgg(figure)
    gain, similarity = figure.subplots(1, 2, sharey=True)
    ours = ["tab:orange" if name.startswith("ours") else "0.65" for name in table["method"]]
    for axis, name, label in ((gain, "psnr_gain", "gain in PSNR (dB)"), (similarity, "ssim", "SSIM")):
        reach = [(table[name] - table[f"{name}_low"]).fillna(0), (table[f"{name}_high"] - table[name]).fillna(0)]
        axis.barh(table["method"], table[name], color=ours, xerr=np.abs(reach), error_kw={"lw": 1, "capsize": 3})
        axis.set_xlabel(f"{label}, mean and 95 % interval")
        axis.grid(axis="x", alpha=0.3)
    gain.invert_yaxis()
    figure.suptitle(f"recipe {config.recipe}, {config.damage}, {int(table['photos'].max())} photos")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    return buffer.getvalue()


def _or(value: float | None, otherwise: str, form: str) -> str:
    return otherwise if value is None or np.isnan(value) else format(value, form)


def _interval(low: float, high: float) -> str:
    return "-" if np.isnan(low) else f"{low:+.2f} to {high:+.2f}"
