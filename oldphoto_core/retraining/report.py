"""What a retraining came to: figures, a chart and pictures to look at, with the decision and its reasons."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from oldphoto_core.evaluation.compare import crops
from oldphoto_core.evaluation.run import as_method
from oldphoto_core.inference.restorer import Restorer
from oldphoto_core.reports.contact_sheet import CELL, SheetRow, contact_sheet
from oldphoto_core.retraining.judging import SetResult, Verdict, evaluations, real_photos
from oldphoto_core.retraining.plan import REPORT, Plan, digest_of
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.tables import write_csv

MARKDOWN, CHART, SHEET, SCORES = "report.md", "chart.png", "contact_sheet.png", "scores.csv"
SHOWN = 3
"""Real photos on the contact sheet, and crops of each set of pairs: of the smallest, the middle, the largest gain."""


def numbers(verdict: Verdict) -> dict[str, Any]:
    """JSON-ready: also what the card of a promoted model says under `metrics`."""
    return {
        each.name: {
            "unit": each.unit, "photos": each.photos, "champion": _known(each.champion),
            "challenger": _known(each.challenger), "gain": _known(each.gain), "low": _known(each.low),
            "high": _known(each.high), "tolerance": each.tolerance,
        }
        for each in verdict.sets
    }  # fmt: skip


def write_report(plan: Plan, verdict: Verdict, decision: str, how_to_undo: str) -> str:
    """Writes all files, report.json last: with it the retraining has come to its end. Returns the Markdown."""
    text = to_markdown(plan, verdict, decision, how_to_undo)
    place = plan.place
    write_csv(place, SCORES, verdict.scores)
    place.write(CHART, to_png(plan, verdict))
    place.write(SHEET, sheet(plan, verdict))
    place.write(MARKDOWN, text.encode())
    write_end(plan, decision, verdict.reasons, numbers(verdict))
    return text


def write_end(plan: Plan, decision: str, reasons: Sequence[str], sets: dict[str, Any] | None = None) -> None:
    """Writes report.json: with it a retraining has come to its end."""
    record = {
        "decision": decision, "reasons": list(reasons), "champion": plan.champion, "challenger": plan.challenger,
        "new_sha256": digest_of(plan.new), "sets": sets or {},
        "trained_on": {"new": len(plan.new), "before": len(plan.before), "clean": len(plan.clean)},
        "left_out": dict(plan.left_out), "config": plan.config.record(),
    }  # fmt: skip
    plan.place.write(REPORT, json.dumps(record, indent=2).encode())


def to_markdown(plan: Plan, verdict: Verdict, decision: str, how_to_undo: str) -> str:
    """The decision, its numbers, and what was done."""
    lines = [
        f"# {plan.challenger}: {decision}", "", *(f"- {reason}" for reason in verdict.reasons), "",
        "| set | photos | champion | challenger | gain | interval | may lose |", "|---|---|---|---|---|---|---|",
        *(f"| {each.name} ({each.unit}) | {each.photos} | {each.champion:.3f} | {each.challenger:.3f}"
          f" | {each.gain:+.3f} | {each.low:+.3f} to {each.high:+.3f} | {each.tolerance:g} |" for each in verdict.sets),
        "", f"Gains are counted so that more is better; intervals are {plan.config.level:.0%} of all sets together.",
        f"Photos one by one: {SCORES}; {CHART}; {SHEET}.", "", "## What was done", "", "",
    ]  # fmt: skip
    return "\n".join(lines) + plan.in_words() + f"\n{how_to_undo}\n"


def to_png(plan: Plan, verdict: Verdict) -> bytes:
    """Gain with its interval on every set, a panel per unit; what may be lost is shaded."""
    # the object interface: pyplot keeps global state, and retrainings run in threads of flows
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: dict[str, list[SetResult]] = {}
    for each in verdict.sets:
        panels.setdefault(each.unit, []).append(each)
    heights = [len(sets) + 0.8 for sets in panels.values()]
    figure = Figure(figsize=(9, 1.0 + 0.55 * sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axis, (unit, sets) in zip(axes, panels.items(), strict=True):
        axis.axvspan(-sets[0].tolerance, 0, color="0.9")
        axis.axvline(0, color="0.4", linewidth=1)
        for each in sets:
            colour = "tab:green" if each.is_better else "tab:red" if each.may_be_worse else "0.3"
            axis.plot([each.low, each.high], [each.name] * 2, color=colour, linewidth=2)
            axis.plot(each.gain, each.name, "o", color=colour)
        axis.set_ylim(len(sets) - 0.5, -0.5)
        axis.set_xlabel(f"gain ({unit})")
        axis.grid(axis="x", alpha=0.3)
    figure.suptitle(f"{plan.challenger} against {plan.champion}")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    return buffer.getvalue()


def sheet(plan: Plan, verdict: Verdict) -> bytes:
    """Old, champion, challenger and, where there is one, the clean photo."""
    champion, challenger = (as_method(Restorer.load(model)) for model in plan.models)
    rows = []
    for name, settings in evaluations(plan.config).items():
        gains = verdict.scores[verdict.scores["set"] == name].sort_values("gain")
        keys = list(dict.fromkeys(gains["key"].iloc[place] for place in (0, len(gains) // 2, -1)))
        told = dict(zip(gains["key"], gains["gain"], strict=True))
        rows += [
            SheetRow(
                f"{name}: {crop.key}, {told[crop.key]:+.2f} dB",
                [crop.degraded, champion(crop.degraded, crop.mask), challenger(crop.degraded, crop.mask), crop.clean],
            )
            for crop in crops(Bucket(plan.config.clean), keys, settings)
        ]
    for number, (key, photo) in enumerate(real_photos(plan)):
        if number == SHOWN:
            break
        nothing = np.zeros(photo.shape[:2], bool)
        rows.append(SheetRow(f"real: {key}", [photo, champion(photo, nothing), challenger(photo, nothing), None]))
    return contact_sheet(["old", plan.champion, plan.challenger, "clean"], rows, cell=max(CELL, plan.config.crop))


def _known(value: float) -> float | None:
    """JSON knows no nan."""
    return None if np.isnan(value) else value
