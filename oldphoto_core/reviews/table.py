"""Decisions as CSV, a row per photo: out for other programs, and in from people who decide without the page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from oldphoto_core.errors import ConfigError, UsageError
from oldphoto_core.reviews.corrected import adopt_mask, with_uncorrected
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage.tables import as_text, raw_text

COLUMNS = ("key", "verdict", "reviewer", "note", "number", "time", "seen", "mask", "protected", "strength")
"""verdict: accept, reject, redo; number: of the decision that the row is about; protected: JSON; strength: 0 to 1."""
MOST_PROBLEMS = 20
"""Rows that a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What became of the rows of a table."""

    stored: int
    unchanged: int
    """Rows that say what the last decision of their photo says."""
    refused: tuple[str, ...]
    """Rows about photos that somebody else decided about since the table was made."""


def decisions_csv(reviews: Reviews) -> bytes:
    """The decision that counts of every photo, sorted by key, as UTF-8 CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    decisions, _ = reviews.all()
    for _, decision in sorted(decisions.items()):
        plain = {**decision.as_dict(), "protected": json.dumps(decision.protected) if decision.protected else ""}
        writer.writerow([as_text("" if plain[name] is None else plain[name]) for name in COLUMNS])
    return text.getvalue().encode("utf-8", "backslashreplace")


def import_csv(reviews: Reviews, data: bytes, photos: Mapping[str, str], reviewer: str = "") -> Imported:
    """Store a decision for each row that differs from the last decision of its photo.

    A row needs `key` and `verdict`; `reviewer` where the argument names nobody. `number`, where it is given, must be
    that of the last decision (0: none). The corrected mask is what lies in `reviews/masks/`; protected regions and
    strength stay unless the row has some. Every row is checked before the first decision is stored.

    Args:
        reviews: Of the target.
        data: The file.
        photos: Those that can be decided about: key -> sha256 of the derivative as it lies there, empty without one.
        reviewer: Who decided, for rows that do not say.

    Raises:
        UsageError: no such table, or rows that are refused; nothing was stored.
    """
    last, _ = reviews.all()
    rows = list(_rows(data))
    wanted = [_wanted(line, row, last, photos, reviewer) for line, row in rows]
    if problems := [each for each in wanted if isinstance(each, str)]:
        more = f"; and {len(problems) - MOST_PROBLEMS} more rows" if len(problems) > MOST_PROBLEMS else ""
        raise UsageError(f"nothing was stored: {'; '.join(problems[:MOST_PROBLEMS])}{more}")
    stored, unchanged, refused = 0, 0, list[str]()
    for row, decision in zip(rows, wanted, strict=True):
        assert isinstance(decision, Decision)
        before = last.get(decision.key)
        if decision.verdict == "redo":
            decision = replace(decision, mask=adopt_mask(reviews.target, decision.key) or decision.mask)
        known = before.number if before else 0
        if (number := _number(row[1])) is not None and number != known:
            refused.append(
                f"{decision.key}: decision {known} was made since, by {before.reviewer if before else 'nobody'}"
            )
        elif before is not None and _says(before) == _says(decision):
            unchanged += 1
        else:
            decision = with_uncorrected(reviews.target, decision, before)
            last[decision.key] = reviews.add(decision, after=known)
            stored += 1
    return Imported(stored=stored, unchanged=unchanged, refused=tuple(refused))


def _rows(data: bytes) -> list[tuple[int, dict[str, str]]]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        if missing := {"key", "verdict"} - set(reader.fieldnames or ()):
            raise UsageError(
                f"the table has no column {' and no column '.join(sorted(missing))}; add it to the first row"
            )
        return [
            (reader.line_num, {name: raw_text(cell) for name, cell in row.items() if name and isinstance(cell, str)})
            for row in reader
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"the table is no CSV in UTF-8: {error}; save it as one") from error


def _wanted(
    line: int, row: dict[str, str], last: dict[str, Decision], photos: Mapping[str, str], reviewer: str
) -> Decision | str:
    """The decision of a row, or what is wrong with it."""
    key = row.get("key", "")
    if key not in photos:
        return f"line {line}: no run of this target knows the photo {key[:200]!r}"
    before = last.get(key)
    try:
        _number(row)
        regions: Any = json.loads(row["protected"]) if row.get("protected") else before.protected if before else ()
        return Decision(
            key=key,
            verdict=row.get("verdict", "").strip().lower(),  # type: ignore[arg-type] # checked there
            reviewer=row.get("reviewer", "").strip() or reviewer,
            note=row.get("note", ""),
            seen=photos[key],
            mask="" if before is None else before.mask,
            protected=regions,
            strength=float(row["strength"]) if row.get("strength") else before.strength if before else None,
        )
    except (ConfigError, ValueError) as error:
        return f"line {line}: {error}"


def _number(row: dict[str, str]) -> int | None:
    text = row.get("number", "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise ConfigError(f"number is {text[:80]!r}; give that of the last decision, or nothing")
    return int(text) if text else None


def _says(decision: Decision) -> tuple[object, ...]:
    return (
        decision.verdict,
        decision.reviewer,
        decision.note,
        decision.mask,
        decision.protected,
        decision.strength,
    )
