"""The results of a study as a chart: how often each method took each rank, and its score with the interval."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from oldphoto_core.names import visible

LONGEST = 40
"""Characters of a method's name on a chart."""


def to_png(table: pd.DataFrame, title: str) -> bytes:
    """Return a PNG of the table of `StudyResults`, a bar per method, the best on top."""
    # the object interface: pyplot keeps global state, and results may be made in threads
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.0 + 0.45 * len(table)), layout="constrained")
    FigureCanvasAgg(figure)
    shares, scores = figure.subplots(1, 2, sharey=True)
    places, left = np.arange(len(table)), np.zeros(len(table))
    colours = colormaps["viridis"](np.linspace(0.95, 0.15, len(table)))
    for rank in range(1, len(table) + 1):
        reached = table[f"top_{rank}"].to_numpy(np.float64)
        shares.barh(places, 100 * (reached - left), left=100 * left, color=colours[rank - 1], label=f"rank {rank}")
        left = reached
    shares.set_xlabel("share of rankings (%)")
    shares.legend(ncols=min(6, len(table)), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    middle = table["score"].to_numpy(np.float64)
    reach = [middle - table["score_low"].fillna(table["score"]), table["score_high"].fillna(table["score"]) - middle]
    scores.errorbar(middle, places, xerr=np.abs(np.stack(reach)), fmt="o", color="0.2", capsize=3)
    scores.axvline(0, color="0.7", lw=1)
    scores.set_xlabel("Bradley-Terry score, 95 % interval")
    # a dollar sign in a name is no mathematics
    shares.set_yticks(places, [_short(name) for name in table["method"]], parse_math=False)
    shares.invert_yaxis()
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    return buffer.getvalue()


def _short(name: str) -> str:
    text = visible(name)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}..."
