"""Learning curves of a training: what each validation measured, from the `log.csv` of its stages.

python benchmarks/learning_curves.py TRAINING CHART

TRAINING   the --out of `oldphoto train`
CHART      a PNG
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from oldphoto_core.storage import Bucket

SHOWN = {
    "mapping": {"psnr": "PSNR (dB)"},
    "scratches": {"auc": "ROC AUC", "f1": "F1 at 0.3 % false positives"},
}
"""Stage -> column of its log -> what the axis says."""


def validations(training: Bucket, stage: str) -> pd.DataFrame:
    """The rows of a stage's log that a validation wrote."""
    log = pd.read_csv(io.BytesIO(training.read(f"{stage}/log.csv")))
    return log.dropna(subset=list(SHOWN[stage]))


def main() -> None:
    """Draws the chart, and prints the last validation of each stage."""
    parser = argparse.ArgumentParser(description="Learning curves of a training.")
    parser.add_argument("training")
    parser.add_argument("chart", type=Path)
    options = parser.parse_args()
    panels = [(stage, column, title) for stage, columns in SHOWN.items() for column, title in columns.items()]
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3), layout="constrained")
    for axis, (stage, column, title) in zip(axes, panels, strict=True):
        rows = validations(Bucket(options.training), stage)
        axis.plot(rows["step"], rows[column], marker="o", markersize=3)
        axis.set(title=f"{stage}: {title}", xlabel="step")
        axis.grid(alpha=0.3)
        print(f"{stage}, step {rows['step'].iloc[-1]:.0f}: {title} {rows[column].iloc[-1]:.4f}")
    figure.savefig(options.chart, dpi=110)


if __name__ == "__main__":
    main()
