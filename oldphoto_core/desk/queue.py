"""The photos of a target as a curator goes through them: most doubtful first, with what was decided about each."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from oldphoto_core.errors import SourceMissing
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.states import State, state_of
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.ledger import (
    FACTS_KEY,
    LEDGER_KEY,
    PARTS_FOLDER,
    ROLLBACK_KEY,
    RUNS_FOLDER,
    SUMMARY_KEY,
    rows_of_all_runs,
)

if TYPE_CHECKING:
    import pandas as pd

Filter = Literal["open", "accepted", "rejected", "sent back", "all", "warnings", "damaged", "failed"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
PAGE = 60
"""Photos of a page, at most."""
REFRESH_SECONDS = 5.0
"""How old may be what is known of runs and of decisions that others made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedPhoto:
    """What the ledgers say of one photo; of numbers that nobody measured, NaN."""

    key: str
    status: str
    """restored or failed, as the last run said that tried it."""
    reason: str
    """Why it failed."""
    detail: str
    """The same for people."""
    run_id: str
    """Of the run that made its derivative, or failed."""
    version: str
    """Of its master in the source."""
    output: str
    """Key of its derivative in the target; empty: there is none."""
    output_sha256: str
    """Of the derivative."""
    megapixels: float
    mask_coverage: float
    doubt: float
    changed_share: float
    tone_warning: str

    @property
    def score(self) -> float:
        """How much it needs to be looked at; the sum in docs/review.md."""
        if self.status == "failed":
            return 9.0 if self.reason == "too damaged" else 0.0
        large = min(1.0, _known(self.mask_coverage) / 0.2)
        return 4 * _known(self.doubt) + 2 * large + 1.5 * bool(self.tone_warning) + 0.5 * _known(self.changed_share)

    def is_in(self, chosen: Filter, state: State) -> bool:
        """Whether a filter shows it."""
        match chosen:
            case "all":
                return True
            case "warnings":
                return bool(self.tone_warning)
            case "damaged":
                return self.reason == "too damaged"
            case "failed":
                return self.status == "failed"
        return state == chosen

    def as_dict(self) -> dict[str, Any]:
        """What the page shows of it, as JSON values."""
        names = ("key", "status", "reason", "detail", "run_id", "output_sha256", "tone_warning")
        numbers = ("megapixels", "mask_coverage", "doubt", "changed_share")
        known = {name: getattr(self, name) for name in numbers if not math.isnan(getattr(self, name))}
        return {**{name: getattr(self, name) for name in names}, **known, "score": round(self.score, 3)}


class Queue:
    """The photos of a target. Safe between threads; what changes in the target shows within REFRESH_SECONDS."""

    def __init__(self, target: Bucket, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises SourceMissing: no run has restored anything into the target."""
        self.target, self.reviews, self._clock = target, Reviews(target), clock
        self._lock = threading.Lock()
        self._runs: object = None
        self._photos: dict[str, QueuedPhoto] = {}
        self._decisions: dict[str, Decision] = {}
        self.problems: list[str] = []
        """Files that are no decisions, in a line each."""
        self.working: list[str] = []
        """Runs that have no summary: they are under way, or were killed."""
        self._looked = -math.inf
        self.refresh()
        if not self._photos:
            raise SourceMissing(f"no run has restored photos into {target}: run oldphoto restore SOURCE {target} first")

    def refresh(self, *, at_once: bool = True) -> None:
        """Look for new runs and decisions; unless `at_once`, only when what is known is REFRESH_SECONDS old."""
        with self._lock:
            if not at_once and self._clock() - self._looked < REFRESH_SECONDS:
                return
            if (runs := self._fingerprint()) != self._runs:
                photos = sorted(_photos_of(rows_of_all_runs(self.target)), key=lambda one: (-one.score, one.key))
                self._photos = {photo.key: photo for photo in photos}
                self._runs = runs
            self._decisions, self.problems = self.reviews.all(self._decisions)
            self._looked = self._clock()

    def photo(self, key: str) -> QueuedPhoto:
        """Raises SourceMissing for a key that no run knows."""
        with suppress(KeyError):
            return self._photos[key]
        raise SourceMissing(f"no run of this target knows the photo {key[:200]!r}: load the page again")

    def decision(self, key: str) -> Decision | None:
        """The last one that is known."""
        return self._decisions.get(key)

    def look_again(self, key: str) -> Decision | None:
        """The last decision about a photo as it is stored now, also if another server stored it just now."""
        decision = self.reviews.last(key)
        if decision is not None:
            self.note(decision)
        return decision

    def note(self, decision: Decision) -> None:
        """Take a decision in that was just stored."""
        with self._lock:
            self._decisions = {**self._decisions, decision.key: decision}

    @property
    def decided(self) -> int:
        """How many decisions are known; changes with every one."""
        return sum(decision.number for decision in self._decisions.values())

    def state(self, photo: QueuedPhoto) -> State:
        """What was decided about the derivative as it is now; a new derivative is to be looked at again."""
        return state_of(self._decisions.get(photo.key), photo.output_sha256)

    def page(self, chosen: Filter = "open", search: str = "", after: str = "", limit: int = PAGE) -> dict[str, Any]:
        """Rows of the queue that a filter and a search (a part of the key) show.

        Args:
            chosen: Which photos.
            search: A part of their keys; upper and lower case count the same.
            after: The key behind which the page begins; empty, or not there any more: at the beginning.
            limit: Rows at most.

        Returns:
            `rows`; `next`, the cursor of the next page, or empty; `found`, how many there are in all of its pages;
            `counts`, by filter, of all photos.
        """
        states = {key: self.state(photo) for key, photo in self._photos.items()}
        photos, wanted = list(self._photos.values()), search.casefold()
        found = [
            photo
            for photo in photos
            if photo.is_in(chosen, states[photo.key]) and (not wanted or wanted in photo.key.casefold())
        ]
        begin = 0
        if (last := self._photos.get(after)) is not None:
            place = (-last.score, last.key)
            begin = next((at for at, photo in enumerate(found) if (-photo.score, photo.key) > place), len(found))
        rows = found[begin : begin + limit]
        return {
            "rows": [{**photo.as_dict(), "state": states[photo.key]} for photo in rows],
            "next": rows[-1].key if begin + limit < len(found) else "",
            "found": len(found),
            "begin": begin,
            "counts": _counts(photos, states),
        }

    def digests(self) -> dict[str, str]:
        """Key -> sha256 of the derivative, of every photo; empty without one."""
        return {key: photo.output_sha256 for key, photo in self._photos.items()}

    def run_facts(self, run_id: str) -> dict[str, Any]:
        """What `run.json` says of a run: source, model, options; empty where it is gone."""
        with suppress(SourceMissing, ValueError):
            facts = json.loads(self.target.join(RUNS_FOLDER, run_id).read(FACTS_KEY))
            return facts if isinstance(facts, dict) else {}
        return {}

    def _fingerprint(self) -> object:
        """Changes whenever a ledger does; only names, sizes and versions are read."""
        working, seen = list[str](), list[object]()
        for run_id in self.target.folders(RUNS_FOLDER):
            run = self.target.join(RUNS_FOLDER, run_id)
            over = [run.info(name) for name in (LEDGER_KEY, ROLLBACK_KEY)]
            seen.append((run_id, *over, *((over[0] is None and [info.key for info in run.list(PARTS_FOLDER)]) or ())))
            if not any(over) and run.info(SUMMARY_KEY) is None:
                working.append(run_id)
        self.working = working
        return seen


def _photos_of(rows: pd.DataFrame) -> Iterator[QueuedPhoto]:
    """The last word on each photo: its last derivative, unless it failed and has none."""
    tried = rows[rows["status"] != "skipped"].sort_values("finished_at", kind="stable")
    # of a photo that was restored once and failed later the derivative lies there still
    last = tried.assign(made=tried["status"] == "restored").sort_values("made", kind="stable")
    last = last.drop_duplicates("key", keep="last")
    names = list(QueuedPhoto.__dataclass_fields__)
    for values in last[names].itertuples(index=False, name=None):
        yield QueuedPhoto(**dict(zip(names, values, strict=True)))


def _counts(photos: list[QueuedPhoto], states: dict[str, State]) -> dict[str, int]:
    counts = Counter[str](states.values())
    for photo in photos:
        counts.update(name for name in ("warnings", "damaged", "failed") if photo.is_in(name, "open"))
    return {name: len(photos) if name == "all" else counts[name] for name in FILTERS}


def _known(number: float) -> float:
    return 0.0 if math.isnan(number) else number
