"""What a study comes to: the paper's table, agreement and scores; as Markdown, CSV, JSON and a chart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from oldphoto_core.errors import StudyError
from oldphoto_core.names import visible
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.tables import write_csv
from oldphoto_core.study.answers import Answer, read_answers
from oldphoto_core.study.chart import to_png
from oldphoto_core.study.statistics import bradley_terry, kendall_w, score_intervals, wins
from oldphoto_core.study.study import Study, read_study

RESULTS = "results"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyResults:
    """What the answers say."""

    table: pd.DataFrame
    """A row per method, the best first: method, mean_rank, top_1 ... top_k (shares of the rankings in which it is among
    the first 1 ... k), score, score_low, score_high (Bradley-Terry)."""
    rankings: int
    """Answers that were counted."""
    participants: int
    """People who gave them."""
    complete: int
    """Of these, people who ranked every photo."""
    agreement: float
    """Kendall's W over all rankings."""
    agreement_within: float
    """Mean over photos of Kendall's W of the rankings of one photo."""


def count(study: Study, answers: list[Answer]) -> StudyResults:
    """Return the results. Raises StudyError if there is no answer."""
    if not answers:
        raise StudyError("nobody has answered yet; results need one answer or more")
    ranks = np.stack([_ranks(answer) for answer in answers])
    people = pd.Series([answer.participant for answer in answers])
    photos = np.array([answer.photo for answer in answers])
    by_person = [ranks[(people == person).to_numpy()] for person in sorted(people.unique())]
    within = [kendall_w(ranks[photos == photo]) for photo in np.unique(photos)]
    known = [value for value in within if not np.isnan(value)]
    return StudyResults(
        table=_table(study, ranks, score_intervals(by_person)),
        rankings=len(answers),
        participants=len(by_person),
        complete=sum(len(given) == len(study.photos) for given in by_person),
        agreement=kendall_w(ranks),
        agreement_within=float(np.mean(known)) if known else float("nan"),
    )


def _ranks(answer: Answer) -> np.ndarray:
    """Rank of each method, 1 = best."""
    return np.argsort(np.array(answer.ranking)) + 1


def _table(study: Study, ranks: np.ndarray, intervals: np.ndarray) -> pd.DataFrame:
    columns: dict[str, Any] = {"method": list(study.methods), "mean_rank": ranks.mean(axis=0)}
    columns |= {f"top_{k}": (ranks <= k).mean(axis=0) for k in range(1, len(study.methods) + 1)}
    columns |= {"score": bradley_terry(wins(ranks)), "score_low": intervals[0], "score_high": intervals[1]}
    return pd.DataFrame(columns).sort_values("score", ascending=False, kind="stable", ignore_index=True)


def write_results(folder: Path) -> str:
    """Write `results/` of a study, also while it is served: table.md, table.csv, summary.json, chart.png, rankings.csv.

    Returns:
        table.md.

    Raises:
        SourceMissing: there is no study.
        StudyError: it is damaged, or nobody has answered yet.
    """
    study = read_study(folder)
    answers = read_answers(folder, study)
    results = count(study, answers)
    out = Bucket(folder).join(RESULTS)
    text = to_markdown(study, results)
    out.write("table.md", text.encode("utf-8", "backslashreplace"))
    write_csv(out, "table.csv", results.table)
    write_csv(out, "rankings.csv", _long(study, answers))
    out.write("summary.json", json.dumps(_summary(study, results), indent=2).encode())
    out.write("chart.png", to_png(results.table, _facts(results)))
    return text


def to_markdown(study: Study, results: StudyResults) -> str:
    """Return the paper's table (its table 2) with what it was counted from."""
    places = range(1, len(study.methods) + 1)
    lines = [
        _facts(results),
        f"Kendall's W: {_number(results.agreement)} over all rankings, {_number(results.agreement_within)} as the mean"
        " over photos.",
        "",
        "| method |" + "".join(f" top {k} |" for k in places) + " mean rank | Bradley-Terry score | 95 % interval |",
        "|---|" + "---|" * (len(study.methods) + 3),
    ]
    lines += [
        f"| {_cell(row['method'])} |"
        + "".join(f" {row[f'top_{k}']:.1%} |" for k in places)
        + f" {row['mean_rank']:.2f} | {row['score']:+.2f} | {_interval(row['score_low'], row['score_high'])} |"
        for row in results.table.to_dict("records")
    ]
    return "\n".join(lines) + "\n"


def _facts(results: StudyResults) -> str:
    return (
        f"{results.rankings} rankings by {results.participants} participants,"
        f" {results.complete} of whom ranked every photo."
    )


def _long(study: Study, answers: list[Answer]) -> pd.DataFrame:
    """A row per participant, photo and rank."""
    return pd.DataFrame([
        {"participant": answer.participant, "photo": study.photos[answer.photo].key, "rank": rank,
         "method": study.methods[method]}
        for answer in answers
        for rank, method in enumerate(answer.ranking, 1)
    ])  # fmt: skip


def _summary(study: Study, results: StudyResults) -> dict[str, Any]:
    """JSON knows no nan: what cannot be said is null."""
    content = asdict(results) | {"study": study.id, "source": study.source, "seed": study.seed}
    content["table"] = [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in results.table.to_dict("records")
    ]
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in content.items()}


def _cell(name: str) -> str:
    """A name inside a Markdown table: neither a bar nor markup in it acts."""
    return "".join(f"&#{ord(char)};" if char in "|<>&*_`[]\\" else char for char in visible(name))


def _number(value: float) -> str:
    return "not known" if np.isnan(value) else f"{value:.3f}"


def _interval(low: float, high: float) -> str:
    return "-" if np.isnan(low) else f"{low:+.2f} to {high:+.2f}"
