"""The report written: one `index.html`, and one folder with everything that it loads besides thumbnails.

    report/index.html            names the build; written last, so that a reader sees the old report or the new one
    report/build-<hex>/          report.css, scripts, run.js (figures and charts), photos-00000.js, photos-00001.js, ...
    report/thumbs/               made while the run worked (`thumbnails`)

Data come as scripts, since a page from a disk may not fetch anything else. They are JSON in ASCII, and become text in
the page, never markup.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from oldphoto_core.reports.page.charts import charts_of
from oldphoto_core.reports.page.decisions import Decisions
from oldphoto_core.reports.page.thumbnails import FOLDER, REPORT, thumbnail_stem
from oldphoto_core.storage import Bucket, read_ledger
from oldphoto_core.storage.ledger import previous_results
from oldphoto_core.storage.parallel import for_each

if TYPE_CHECKING:
    import pandas as pd

    from oldphoto_core.reports.summary import Summary

INDEX = "index.html"
INDEX_KEY = f"{REPORT}/{INDEX}"
"""Of the page, in its run's folder."""
CHUNK = 200
"""Photos in a data file."""
ASSETS = ("report.css", "data.js", "charts.js", "gallery.js", "viewer.js")
_BUILD = "build-"
_DIGITS = 5
_MADE_EARLIER = ("already restored", "accepted", "rejected")
"""Why photos were skipped of which an earlier run may have made thumbnails."""


def write_report(target: Bucket, summary: Summary) -> str:
    """Make the report of a finalised run; returns the key of its index in the target.

    Thumbnails are those that lie there; a photo that an earlier run restored shows that run's. Decisions are those
    that curators made up to now. Raises StorageError.
    """
    run = target.join("runs", summary["run_id"])
    report = run.join(REPORT)
    ledger = read_ledger(run)
    build = f"{_BUILD}{secrets.token_hex(4)}"
    older = [name for name in report.folders() if name.startswith(_BUILD)]
    for name in ASSETS:
        report.write(f"{build}/{name}", asset(name))
    report.write(f"{build}/run.js", _script("run", {"charts": charts_of(ledger, summary), "summary": summary}))
    decisions = Decisions(target)
    chunks = _chunks(ledger, _Thumbnails(target, summary["run_id"], ledger), decisions)
    for_each(partial(_write_chunk, report, build), enumerate(chunks))
    counts = decisions.counts(ledger[["key", "output", "output_sha256"]].to_dict("records"))
    report.write(INDEX, _index(summary, build, len(ledger), counts, len(decisions.problems)))
    for name in older:
        for item in list(report.list(name)):
            report.delete(item.key)
    return f"runs/{summary['run_id']}/{INDEX_KEY}"


def asset(name: str) -> bytes:
    """A file of the page as it is shipped."""
    return files("oldphoto_core.reports.page").joinpath("assets", name).read_bytes()


class _Thumbnails:
    """Which thumbnails there are, by the stem of their names; relative to the report's index."""

    def __init__(self, target: Bucket, run_id: str, ledger: pd.DataFrame) -> None:
        self._target, self._run_id = target, run_id
        self._known = {run_id: self._listed(run_id)}
        skipped = set(ledger.loc[ledger["reason"].isin(_MADE_EARLIER), "key"])
        self._made_by: dict[str, str] = {}
        if skipped:
            results = previous_results(target)
            results = results[results["key"].isin(skipped)]
            self._made_by = dict(zip(results["key"], results["run_id"], strict=True))

    def of(self, key: str) -> tuple[str, str]:
        """The stem and the letters of what there is (s, b, a, m); empty where there is nothing."""
        stem = thumbnail_stem(key)
        run_id = self._made_by.get(key, self._run_id)
        if run_id not in self._known:
            self._known[run_id] = self._listed(run_id)
        kinds = self._known[run_id].get(stem, "")
        if not kinds:
            return "", ""
        return (stem if run_id == self._run_id else f"../../{quote(run_id)}/{REPORT}/{stem}"), kinds

    def _listed(self, run_id: str) -> dict[str, str]:
        kinds: dict[str, str] = {}
        for item in self._target.join("runs", run_id, REPORT).list(FOLDER):
            stem, _, rest = item.key.rpartition("-")
            kinds[stem] = kinds.get(stem, "") + rest[:1]
        return kinds


def _chunks(ledger: pd.DataFrame, thumbs: _Thumbnails, decisions: Decisions) -> Iterator[list[dict[str, Any]]]:
    for first in range(0, len(ledger), CHUNK):
        rows = ledger.iloc[first : first + CHUNK].to_dict("records")
        yield [_photo(row, thumbs) | decisions.of(row) for row in rows]


def _photo(row: Mapping[Any, Any], thumbs: _Thumbnails) -> dict[str, Any]:
    """A row as the page wants it, without what is empty."""
    stem, kinds = thumbs.of(row["key"])
    # three floors up from runs/<id>/report; quoted, so that a key is never more than a path
    output = f"../../../{quote(row['output'])}" if row["output"] else ""
    values = {
        "key": row["key"],
        "status": row["status"],
        "reason": row["reason"],
        "detail": row["detail"],
        "mask": _rounded(row["mask_coverage"]),
        "doubt": _rounded(row["doubt"]),
        "doubtful": row["doubtful"],
        "changed": _rounded(row["changed_share"]),
        "colour": row["colour"],
        "residual": _rounded(row["colour_residual"]),
        "warning": row["tone_warning"],
        "megapixels": _rounded(row["megapixels"]),
        "seconds": _rounded(row["seconds"]),
        "output": output,
        "thumb": stem,
        "has": kinds,
    }
    return {name: value for name, value in values.items() if value not in ("", None)}


def _rounded(number: float) -> float | None:
    return None if math.isnan(number) else round(number, _DIGITS)


def _write_chunk(report: Bucket, build: str, chunk: tuple[int, list[dict[str, Any]]]) -> None:
    number, photos = chunk
    report.write(f"{build}/photos-{number:05d}.js", _script(f"photos[{number}]", photos))


def _script(name: str, value: Any) -> bytes:
    """An assignment that a page loads with a plain <script src>."""
    return f"window.oldphoto.{name} = {json.dumps(value, separators=(',', ':'), allow_nan=False)};\n".encode("ascii")


def _index(summary: Summary, build: str, photos: int, decisions: Mapping[str, int], unreadable: int) -> bytes:
    """The page; `decisions` by state, `unreadable` files that are no decisions."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(asset("index.html").decode())
    return template.render(
        summary=summary,
        duration=_duration(summary["seconds"]),
        build=build,
        photos=photos,
        chunk=CHUNK,
        scripts=ASSETS[1:],
        decisions=decisions,
        unreadable=unreadable,
    ).encode()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
