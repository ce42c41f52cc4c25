"""Real old photos, which have no clean original: how natural they look before and after, and the latent domain gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.evaluation.bootstrap import mean_interval
from oldphoto_core.evaluation.compare import EvaluationConfig, Method, centre, crops, evaluation_keys, held_out
from oldphoto_core.evaluation.gap import domain_gap
from oldphoto_core.evaluation.natural import Naturalness
from oldphoto_core.names import visible
from oldphoto_core.nets.presets import VAE
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket
from oldphoto_core.tone.measures import MONOCHROME, measure

Photo = NDArray[np.uint8]

FITTED_ON = 120
"""Clean photos on which naturalness is fitted: none of those that are evaluated, where there are enough."""

SIDE = 1024
"""Pixels of a side from which a real photo is cropped before it is judged: statistics want many patches."""


def naturalness_of(clean: Bucket, config: EvaluationConfig) -> Naturalness:
    """Fitted on whole clean photos that are not evaluated, or on all of them if the evaluation takes every photo."""
    evaluated = set(evaluation_keys(clean, config)) if config.holdout is not None else set()
    others = [key for key in held_out(clean, None) if key not in evaluated]
    chosen = others[:: max(1, len(others) // FITTED_ON)][:FITTED_ON]
    return Naturalness.fit(to_rgb8(read_scan(clean.read(key)).pixels) for key in chosen)


def real_photos(old: Bucket, config: EvaluationConfig, side: int) -> Iterator[tuple[str, Photo]]:
    """Key and centre crop of each held-out old photo."""
    for key in held_out(old, config.holdout):
        yield key, centre(to_rgb8(read_scan(old.read(key)).pixels), side)


def naturalness(
    old: Bucket,
    methods: Mapping[str, Method],
    fitted: Naturalness,
    config: EvaluationConfig,
    each: Callable[[], None] = lambda: None,
) -> pd.DataFrame:
    """A row per photo and method.

    Columns: key; method; niqe (lower = more natural; nan of photos below 96 pixels); chroma_residual; chroma_rise, how
    much of that the photo as it is does not have; blotch; and monochrome, whether the photo as it is counts as such.
    """
    rows: list[dict[str, Any]] = []
    for key, photo in real_photos(old, config, SIDE):
        nothing = np.zeros(photo.shape[:2], bool)
        rows += [
            {"key": key, "method": name, **_scores(photo, method(photo, nothing), fitted)}
            for name, method in methods.items()
        ]
        each()
    return pd.DataFrame(rows)


def _scores(photo: Photo, restored: Photo, fitted: Naturalness) -> dict[str, float | bool]:
    tone = measure(ArrayCanvas(photo), ArrayCanvas(restored))
    return {
        "niqe": fitted.score(restored),
        "chroma_residual": tone.chroma_after,
        "chroma_rise": tone.chroma_after - tone.chroma_before,
        "blotch": tone.blotch,
        "monochrome": tone.chroma_before < MONOCHROME,
    }


def gaps(encoders: Mapping[str, VAE], clean: Bucket, old: Bucket, config: EvaluationConfig) -> dict[str, float]:
    """Latent domain gap of each model: real old photos against clean ones degraded, centre crops."""
    real = [photo for _, photo in real_photos(old, config, config.crop)]
    synthetic = [crop.degraded for crop in crops(clean, evaluation_keys(clean, config), config)]
    return {name: domain_gap(encoder, real, synthetic) for name, encoder in encoders.items()}


def summarise_real(results: pd.DataFrame) -> pd.DataFrame:
    """A row per method, in order: photos, mean niqe, its change against the photo as it is with the 95 % interval.

    Of monochrome photos the highest chroma_rise, and of blotch the median, the 90th percentile and the highest; nan
    where none is monochrome.
    """
    order: Sequence[str] = list(dict.fromkeys(results["method"]))
    by_photo = results.pivot(index="key", columns="method", values="niqe")
    rows = []
    for method in order:
        change = (by_photo[method] - by_photo[order[0]]).to_numpy()
        low, high = mean_interval(change)
        rows.append({
            "method": method, "photos": len(by_photo), "niqe": float(by_photo[method].mean()),
            "change": float(by_photo[method].mean() - by_photo[order[0]].mean()),
            "change_low": low, "change_high": high, **_evenness(results[results["method"] == method]),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _evenness(results: pd.DataFrame) -> dict[str, float]:
    grey = results[results["monochrome"]]
    blotch = grey["blotch"]
    return {
        "monochrome": len(grey),
        "chroma_rise": float(grey["chroma_rise"].max()),
        "blotch": float(blotch.median()),
        "blotch_90": float(blotch.quantile(0.9)),
        "blotch_worst": float(blotch.max()),
    }


def real_to_markdown(table: pd.DataFrame, domain_gaps: Mapping[str, float], config: EvaluationConfig) -> str:
    """All tables."""
    lines = [
        f"{int(table['photos'].max())} real old photos, no original to compare with. Latents of centre crops of"
        f" {config.crop}, the synthetic ones by recipe {config.recipe}, seed {config.seed}.",
        "",
        "| method | NIQE, fitted on clean photos here (lower is better) | change | 95 % interval |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {visible(row['method'])} | {row['niqe']:.2f} | {row['change']:+.2f}"
        f" | {row['change_low']:+.2f} to {row['change_high']:+.2f} |"
        for row in table.to_dict("records")
    ]
    lines += [
        "",
        f"Colour and tone of the {int(table['monochrome'].max())} monochrome photos among them (docs/tone.md):",
        "",
        "| method | highest rise of chroma residual | blotch, median | 90 % | worst |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['method']} | {row['chroma_rise']:+.2f} | {row['blotch']:.2f} | {row['blotch_90']:.2f}"
        f" | {row['blotch_worst']:.2f} |"
        for row in table.to_dict("records")
    ]
    lines += ["", "| model | latent domain gap, real to synthetic (standard deviations) |", "|---|---|"]
    lines += [f"| {visible(name)} | {gap:.3f} |" for name, gap in domain_gaps.items()]
    return "\n".join(lines) + "\n"
