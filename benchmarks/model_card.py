"""A model's card as Markdown: the tables of README.md and docs/training.md.

python benchmarks/model_card.py [MODEL]
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from oldphoto_core.checkpoints import ModelCard, read_card

EVALUATED = {"plain": "without scratches", "scratched": "with white scratches and their masks"}


def quality(card: ModelCard) -> str:
    """PSNR and SSIM beside the baselines, both kinds of degraded photos in one table."""
    lines = [
        "| method | PSNR (dB) | gain | SSIM | scratched: PSNR (dB) | gain | SSIM |",
        "|---|---|---|---|---|---|---|",
    ]
    tables = [card.metrics[kind]["methods"] for kind in EVALUATED]
    for rows in zip(*tables, strict=True):
        cells = [f"{row['psnr']:.2f} | {row['psnr_gain']:+.2f} | {row['ssim']:.3f}" for row in rows]
        lines.append(f"| {rows[0]['method']} | {' | '.join(cells)} |")
    return "\n".join(lines)


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
    """Everything, for docs/training.md."""
    parts = [card.summary, training(card), quality(card), "Seen in training:", _list(card.data)]
    return "\n\n".join([*parts, "Limits:", _list(card.limits), f"Terms: {card.licence}"])


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


if __name__ == "__main__":
    print(page(read_card(sys.argv[1] if len(sys.argv) > 1 else "starter")))
