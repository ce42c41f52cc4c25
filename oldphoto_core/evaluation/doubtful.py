"""What the limits of the method cost: crops that are marked as doubtful against the others.

What is damaged most has most to gain, so a gain over the input says little of limits; how well damaged pixels came out
says more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from oldphoto_core.names import visible

COLUMN = "doubtful"
"""Of results: the reasons of a crop, separated by "; ", empty where there is none."""


def doubtful_to_markdown(results: pd.DataFrame, methods: Sequence[str]) -> str:
    """A line on how many crops are doubtful and why, and a row for each of `methods`: gain in PSNR, PSNR, and PSNR of
    the damaged pixels, in dB, of the doubtful crops and of the others.

    `results` has a row per photo and method, with the columns of `compare` and `COLUMN`.
    """
    by_photo = results.pivot(index="key", columns="method", values="psnr")
    filled = results.pivot(index="key", columns="method", values="psnr_filled")
    gains = by_photo.sub(by_photo["degraded input"], axis=0)
    reasons = results.drop_duplicates("key").set_index("key")[COLUMN].reindex(gains.index)
    marked = (reasons != "").to_numpy()
    counts = Counter(reason for text in reasons[marked] for reason in text.split("; "))
    listed = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    if not marked.any():
        return f"None of {len(gains)} crops is doubtful."
    lines = [
        f"{int(marked.sum())} of {len(gains)} crops are doubtful ({listed}).",
        "", "Of doubtful crops / of the others:", "",
        "| method | gain (dB) | PSNR (dB) | PSNR of damaged pixels (dB) |", "|---|---|---|---|",
    ]  # fmt: skip
    for name in methods:
        cells = [
            " / ".join(_mean(table.loc[which, name], form) for which in (marked, ~marked))
            for table, form in ((gains, "+.2f"), (by_photo, ".2f"), (filled, ".2f"))
        ]
        lines.append(f"| {visible(name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(values: pd.Series[float], form: str) -> str:
    """Over those that were measured; a dash if none was."""
    mean = float(values.mean())
    return "-" if math.isnan(mean) else format(mean, form)
