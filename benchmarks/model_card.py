"""A model's card as Markdown: the tables of README.md, docs/reference/training.md and docs/detection.md.

python benchmarks/model_card.py [MODEL]
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from oldphoto_core.checkpoints import ModelCard, read_card

EVALUATED = {
    "plain": "unscratched",
    "scratched": "recipe `published`, white scratches",
    "archive": "recipe `archive`, damaged",
    "published": "recipe `published`, unscratched",
}
"""Evaluations that a card may have, and how their columns are headed."""


def quality(card: ModelCard) -> str:
    """PSNR and SSIM beside the baselines, a row per method; a dash where an evaluation has no such method."""
    tables = {
        kind: {row["method"]: row for row in card.metrics[kind]["methods"]}
        for kind in EVALUATED
        if kind in card.metrics
    }
    filled = {kind for kind, table in tables.items() if any(row.get("psnr_filled") for row in table.values())}
    heads = ["method"]
    for kind in tables:
        heads += [f"{EVALUATED[kind]}: PSNR (dB)", "gain", "SSIM", *(["damaged pixels (dB)"] if kind in filled else [])]
    lines = [_line(heads), "|---" * len(heads) + "|"]
    for method in dict.fromkeys(method for table in tables.values() for method in table):
        cells = [cell for kind, table in tables.items() for cell in _cells(table.get(method), filled=kind in filled)]
        lines.append(_line([method, *cells]))
    return "\n".join(lines)


def _cells(row: Mapping[str, Any] | None, *, filled: bool) -> list[str]:
    if row is None:
        return ["-"] * (3 + filled)
    cells = [f"{row['psnr']:.2f}", f"{row['psnr_gain']:+.2f}", f"{row['ssim']:.3f}"]
    return [*cells, f"{row['psnr_filled']:.2f}"] if filled else cells


def detection(card: ModelCard) -> str:
    """How well its detector finds damage."""
    lines = [
        f"Threshold {card.detector['threshold']:.3f}.",
        "",
        "| photos | number | damaged pixels | ROC AUC | F1 | of them visible | AUC | F1 | found | false positives |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in card.metrics["detection"]["rows"]:
        judged = ["-"] * 6
        if row["auc"] is not None:
            judged = [f"{row['auc']:.4f}", f"{row['f1']:.3f}", f"{row['visible']:.0%}"]
            judged += [f"{row['auc_visible']:.4f}", f"{row['f1_visible']:.3f}", f"{row['found_visible']:.1%}"]
        marked = [f"{row['false_positives']:.3%}"]
        lines.append(_line([row["photos"], str(row["number"]), f"{row['damaged']:.2%}", *judged, *marked]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def training(card: ModelCard) -> str:
    """What each stage was and what it cost."""
    lines = [
        "| stage | steps | batch | crop | time | steps/s | photos/s | share of the cores |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for stage, spent in card.training.items():
        config: Mapping[str, Any] = spent["config"]
        lines.append(
            f"| `{stage}` | {spent['steps']} | {config['batch']} | {config['crop']} | {spent['seconds'] / 60:.0f} min |"
            f" {spent['steps_per_second']:.2f} | {spent['photos_per_second']:.0f} | {spent['cpu_share']:.0%} |"
        )
    return "\n".join(lines)


def page(card: ModelCard) -> str:
    """Everything, for docs/reference/training.md."""
    parts = [card.summary, training(card), quality(card)]
    if card.detector:
        parts.append(detection(card))
    parts += ["Seen in training:", _list(card.data)]
    return "\n\n".join([*parts, "Limits:", _list(card.limits), f"Terms: {card.licence}"])


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


if __name__ == "__main__":
    print(page(read_card(sys.argv[1] if len(sys.argv) > 1 else "starter")))
