"""One decision of a curator about one photo, checked on construction, and its JSON."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Literal, get_args

from oldphoto_core.errors import ConfigError, DamagedDecision

Verdict = Literal["accept", "reject", "redo"]
Region = tuple[int, int, int, int]
"""Left, top, width and height in pixels of the scan as it is stored."""

SCHEMA = "oldphoto-review/1"
LONGEST_NAME = 200
LONGEST_NOTE = 2000
MOST_REGIONS = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")


def now() -> str:
    """The time of this machine, UTC; decisions are ordered by their numbers, never by their times."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What one person decided about one photo. The last decision of a photo counts, with all that it says."""

    key: str
    """Of the master in its source."""
    verdict: Verdict
    """accept: leave the derivative alone; reject: never restore the photo; redo: restore it again."""
    reviewer: str
    """Who decided: one line of text."""
    number: int = 0
    """From 1, without gaps; 0: not stored yet."""
    time: str = field(default_factory=now)
    """When it was made, UTC, by the clock of the machine that stored it."""
    seen: str = ""
    """sha256 of the derivative that the reviewer saw; empty: there was none."""
    note: str = ""
    """For people."""
    mask: str = ""
    """sha256 of the corrected mask's file; empty: the mask is not corrected."""
    uncorrected: str = ""
    """sha256 of the run's mask, as it was before anybody corrected it; empty: there was none, or nobody kept it."""
    protected: tuple[Region, ...] = ()
    """Regions that no restoration changes."""
    strength: float | None = None
    """How much of the restoration is taken where nothing is damaged, 0 to 1, instead of the run's; None: as the run."""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    """Of this decision, so that no two have the same bytes."""

    def __post_init__(self) -> None:
        for name in ("key", "verdict", "reviewer", "time", "seen", "note", "mask", "uncorrected", "id"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} is {str(getattr(self, name))[:80]!r}; give text")
        if self.verdict not in get_args(Verdict):
            raise ConfigError(f"verdict is {self.verdict!r}; choose one of {', '.join(get_args(Verdict))}")
        if not self.reviewer.strip() or not self.reviewer.isprintable() or len(self.reviewer) > LONGEST_NAME:
            raise ConfigError(
                f"reviewer is {self.reviewer[:LONGEST_NAME]!r}; give a name of one line, {LONGEST_NAME} characters at"
                " most"
            )
        if len(self.note) > LONGEST_NOTE:
            raise ConfigError(f"note has {len(self.note)} characters; give {LONGEST_NOTE} at most")
        for name in ("seen", "mask", "uncorrected"):
            value = getattr(self, name)
            if value and not _SHA256.fullmatch(value):
                raise ConfigError(f"{name} is {value[:80]!r}; give a sha256 in 64 hex digits, or nothing")
        _check_time(self.time)
        if self.strength is not None and not (type(self.strength) in (int, float) and 0 <= self.strength <= 1):
            raise ConfigError(f"strength is {str(self.strength)[:80]}; give a number from 0 to 1, or nothing")
        object.__setattr__(self, "protected", checked_regions(self.protected))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `schemas/review-1.json` describes them."""
        plain = asdict(self)
        empty_as_null = {name: plain[name] or None for name in ("seen", "mask", "uncorrected")}
        return {**plain, **empty_as_null, "protected": [list(region) for region in self.protected]}


def _check_time(time: str) -> None:
    with suppress(ValueError):
        if "T" in time and datetime.fromisoformat(time).tzinfo is not None:
            return
    raise ConfigError(f"time is {time[:80]!r}; give one as 2026-11-23T10:15:00.000+00:00")


def checked_regions(regions: Any) -> tuple[Region, ...]:
    """The regions as whole numbers. Raises ConfigError for what is no list of regions."""
    if not isinstance(regions, list | tuple) or len(regions) > MOST_REGIONS:
        raise ConfigError(f"protected is no list of at most {MOST_REGIONS} regions; give left, top, width, height each")
    for region in regions:
        whole = isinstance(region, list | tuple) and len(region) == 4 and all(type(side) is int for side in region)
        if not whole or min(region) < 0 or min(region[2:]) < 1 or max(region) > 2**31:
            raise ConfigError(
                f"protected holds {str(region)[:80]}; give left, top, width and height (above 0) in whole pixels"
            )
    return tuple((region[0], region[1], region[2], region[3]) for region in regions)


_FIELDS = frozenset(each.name for each in fields(Decision))


def decision_of(plain: Mapping[str, Any]) -> Decision:
    """The decision of plain values. Raises DamagedDecision where they are none."""
    try:
        known = {name: value for name, value in plain.items() if name in _FIELDS}
        texts = {name: known.get(name) or "" for name in ("seen", "mask", "uncorrected", "note")}
        if type(known["number"]) is not int or not all(isinstance(text, str) for text in texts.values()):
            raise TypeError("number is no whole number, or a text is none")
        return Decision(**{**known, **texts})
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise DamagedDecision(f"it is no decision ({error}): move it away, or restore it from a backup") from error


def encode(value: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON for people and programs alike."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def encode_decision(decision: Decision) -> bytes:
    """The file of one decision."""
    return encode({"schema": SCHEMA, **decision.as_dict()})


def decode_decision(data: bytes) -> Decision:
    """The decision in a file. Raises DamagedDecision."""
    try:
        plain = json.loads(data)
    except ValueError as error:
        raise DamagedDecision("it is no JSON: move it away, or restore it from a backup") from error
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        raise DamagedDecision(f"it is no decision of the schema {SCHEMA}: move it away, or restore it from a backup")
    return decision_of(plain)


def review_schema() -> dict[str, Any]:
    """The JSON Schema of `reviews/<key>.json`; `$defs/entry` is that of the files in `reviews/history/`."""
    text = (resources.files("oldphoto_core.reviews") / "schemas/review-1.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
