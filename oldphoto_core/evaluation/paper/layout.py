"""The paper's table as Markdown, LaTeX and a chart."""

from __future__ import annotations

import pandas as pd

from oldphoto_core.evaluation.paper.plan import PaperConfig
from oldphoto_core.evaluation.tables import to_png
from oldphoto_core.names import visible

COLUMNS = (
    ("cpu_minutes", "training (CPU min)", ".1f"),
    ("psnr", "PSNR (dB)", ".2f"),
    ("ssim", "SSIM", ".4f"),
    ("structure_psnr", "structure PSNR (dB)", ".2f"),
    ("lpips", "LPIPS", ".4f"),
    ("frechet_vgg16", "Frechet distance, VGG16", ".3f"),
    ("gap", "latent gap", ".3f"),
    ("niqe", "NIQE", ".2f"),
    ("gigaflop_per_megapixel", "GFLOP/MP", ".0f"),
    ("ms_per_megapixel", "ms/MP", ".0f"),
)
"""Column of the table, its heading, and how its numbers are written."""
_SPECIAL = (
    {"\\": r"\textbackslash{}"}
    | {each: f"\\{each}" for each in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def to_markdown(table: pd.DataFrame, config: PaperConfig, note: str = "") -> str:
    """The table under a line that says what it is of; `-` where a method has no such number or it was not measured."""
    heads = ["method", *(head for _, head, _ in COLUMNS)]
    lines = [caption(table, config), "", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [f"| {visible(row[0])} | {' | '.join(row[1:])} |" for row in _cells(table)]
    return "\n".join(lines + (["", visible(note)] if note else [])) + "\n"


def to_latex(table: pd.DataFrame, config: PaperConfig) -> str:
    """A tabular with its caption, for the package booktabs."""
    heads = ["method", *(head for _, head, _ in COLUMNS)]
    rows = [" & ".join(_escaped(cell) for cell in row) + r" \\" for row in [heads, *_cells(table)]]
    return "\n".join([
        r"\begin{table}", rf"\caption{{{_escaped(caption(table, config))}}}",
        rf"\begin{{tabular}}{{l{'r' * len(COLUMNS)}}}", r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule",
        r"\end{tabular}", r"\end{table}", "",
    ])  # fmt: skip


def to_chart(table: pd.DataFrame, config: PaperConfig) -> bytes:
    """Gain in PSNR and SSIM with their intervals, a bar a row, as PNG."""
    return to_png(table, config.evaluation())


def caption(table: pd.DataFrame, config: PaperConfig) -> str:
    """What the table is of, as one sentence."""
    return (
        f"Preset {config.preset}, {config.budget / 60:.3g} CPU minutes of training a row, recipe {config.recipe} with"
        f" its damage and masks, centre crop {config.evaluated}, {int(table['photos'].max())} photos."
    )


def _cells(table: pd.DataFrame) -> list[list[str]]:
    return [
        [str(row["method"]), *("-" if pd.isna(row[name]) else format(row[name], form) for name, _, form in COLUMNS)]
        for row in table.to_dict("records")
    ]


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(each, each) for each in text)
