"""What the page of one target can do, as plain calls: look, correct, decide, preview. Safe between threads."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from oldphoto_core.desk.bits import packed, unpacked
from oldphoto_core.desk.masks import Masks
from oldphoto_core.desk.opened import OpenPhoto, Which
from oldphoto_core.desk.pictures import Pictures
from oldphoto_core.desk.preview import CONTEXT, LARGEST, Part, Previewer
from oldphoto_core.desk.pyramid import TILE
from oldphoto_core.desk.queue import FILTERS, Queue
from oldphoto_core.errors import SourceMissing, UsageError
from oldphoto_core.reports.page.thumbnails import REPORT, thumbnail_stem
from oldphoto_core.reviews.corrected import with_uncorrected
from oldphoto_core.reviews.decision import Decision

TAKEN_SECONDS = 60.0
"""For so long others are told that somebody looks at a photo, after the last sign of it."""
MOST_TAKEN = 1000
_PAGE = re.compile(r"[1-9][0-9]{0,5}")
_DECIDED = ("key", "verdict", "reviewer", "note", "seen", "mask")


@dataclass(frozen=True, slots=True)
class _Taken:
    who: str
    """Of the browser window, random."""
    reviewer: str
    at: float


class Desk:
    """One target's photos under review."""

    def __init__(
        self,
        queue: Queue,
        pictures: Pictures,
        previewer: Previewer,
        *,
        reviewer: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`reviewer`: the name that the page begins with."""
        self.queue, self.pictures, self._previewer = queue, pictures, previewer
        self._masks = Masks(queue, pictures.decoders)
        self._reviewer, self._clock = reviewer, clock
        self._taken: dict[str, _Taken] = {}
        self._lock = threading.Lock()

    def page(self, chosen: str, search: str, after: str) -> dict[str, Any]:
        """Rows of the queue. Raises UsageError for a filter that there is not."""
        found = next((each for each in FILTERS if each == chosen), None)
        if found is None:
            raise UsageError(f"filter is {chosen[:40]!r}; choose one of {', '.join(FILTERS)}")
        self.queue.refresh(at_once=False)
        page = self.queue.page(found, search, after)
        return {**page, "target": self.queue.target.url, "reviewer": self._reviewer, **self._notices()}

    def activity(self, key: str, who: str, reviewer: str) -> dict[str, Any]:
        """Note that a window looks at `key` (empty: at none), and return what others do.

        Returns:
            `taken`: key -> reviewer of other windows; `decided`: changes with every decision; `number`: of the last
            decision about `key`.
        """
        self.queue.refresh(at_once=False)
        now = self._clock()
        with self._lock:
            self._taken = {
                each: taken
                for each, taken in self._taken.items()
                if now - taken.at < TAKEN_SECONDS and taken.who != who
            }
            others = {each: taken.reviewer for each, taken in self._taken.items()}
            if key and len(self._taken) < MOST_TAKEN and key not in self._taken:
                self._taken[key] = _Taken(who[:40], reviewer[:200], now)
        decision = self.queue.decision(key)
        return {
            "taken": others,
            "decided": self.queue.decided,
            "number": decision.number if decision else 0,
            **self._notices(),
        }

    def photo(self, key: str, page: str = "1") -> dict[str, Any]:
        """Open a photo, or a page of it. Raises SourceMissing for a key that no run knows, UsageError for no page."""
        self.queue.photo(key)
        if not _PAGE.fullmatch(page):
            raise UsageError(f"page is {page[:40]!r}; give a number from 1")
        opened = self.pictures.open(key, int(page))
        decision = self.queue.look_again(key)
        facts = self.queue.run_facts(opened.photo.run_id)
        return {
            **opened.photo.as_dict(),
            **opened.as_dict(),
            "state": self.queue.state(opened.photo),
            "decision": decision.as_dict() if decision else None,
            "masks": self._masks.exist(opened),
            "mode": facts.get("options", {}).get("mode", "full"),
            "strength": facts.get("options", {}).get("strength", 1.0),
            "tile": TILE,
            "preview": {"largest": LARGEST, "context": CONTEXT},
        }

    def thumbnail(self, key: str) -> bytes:
        """The photo before and after side by side, small. Raises SourceMissing."""
        photo = self.queue.photo(key)
        place = f"runs/{photo.run_id}/{REPORT}/{thumbnail_stem(key)}-small.jpg"
        return self.queue.target.read_inside(place)

    def tile(self, name: str, which: str, level: int, column: int, row: int) -> bytes:
        """A tile as a JPEG. Raises SourceMissing, UsageError."""
        pyramids = self._opened(name).pyramids
        chosen = next((each for each in get_args(Which) if each == which), None)
        if chosen is None or chosen not in pyramids:
            raise SourceMissing(f"there is no picture {which[:20]!r} of this photo")
        return pyramids[chosen].jpeg(level, column, row)

    def mask(self, name: str) -> bytes:
        """The mask that counts, as `bits.packed`. Raises SourceMissing, ScanError, StorageError."""
        return packed(self._masks.of(self._opened(name)))

    def put_mask(self, name: str, data: bytes, pages: str = "1", base: str = "") -> str:
        """Store corrected masks of some pages, as `Masks.store`; returns the sha256 for the decision that follows."""
        return self._masks.store(self._opened(name), data, pages, base)

    def decide(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """Store a decision.

        Args:
            plain: Fields of a Decision, and `after`: the number of the last decision that the reviewer knew of.

        Raises:
            DecidedMeanwhile: somebody else decided since.
            NotWhatWasSeen: the derivative is gone, or another one.
            UsageError, SourceMissing: what makes no sense.
        """
        try:
            known: dict[str, Any] = {name: plain[name] or "" for name in _DECIDED}
            after = plain["after"]
            decision = Decision(
                **known, protected=plain["protected"], strength=plain.get("strength"), id=str(plain["id"])[:64]
            )
        except (KeyError, TypeError) as error:
            raise UsageError(f"the decision lacks something, or holds what it should not: {error}") from error
        if type(after) is not int or after < 0:
            raise UsageError(f"after is {str(after)[:40]}; give the number of the last decision, or 0")
        photo = self.queue.photo(decision.key)
        self.pictures.check_derivative(photo, decision.seen, may_be_gone=decision.verdict != "accept")
        last = self.queue.look_again(decision.key)
        stored = self.queue.reviews.add(with_uncorrected(self.queue.target, decision, last), after=after)
        self.queue.note(stored)
        return {"decision": stored.as_dict(), "state": self.queue.state(photo), "decided": self.queue.decided}

    def preview(self, asked: Mapping[str, str], mask: bytes) -> bytes:
        """A part of a photo, restored, as PNG. Raises UsageError, SourceMissing, ModelError."""
        opened = self._opened(asked.get("id", ""))
        if "before" not in opened.pyramids:
            raise SourceMissing(f"the master of {opened.photo.key} cannot be read")
        try:
            left, top, width, height = (int(asked[name]) for name in ("left", "top", "width", "height"))
            tone = float(asked["tone"]) if "tone" in asked else None
            strength = float(asked.get("strength", "1"))
        except (KeyError, ValueError) as error:
            raise UsageError("a preview needs left, top, width and height in whole pixels") from error
        mode = asked.get("mode", "full")
        part = Part(left=left, top=top, width=width, height=height, mode=mode, tone=tone, strength=strength)
        x, y, right, bottom = part.widened(opened.pyramids["before"].size)
        return self._previewer.png(opened.pyramids["before"], part, unpacked(mask, bottom - y, right - x))

    def _opened(self, name: str) -> OpenPhoto:
        opened = self.pictures.known(name)
        if opened is None:
            raise SourceMissing("this photo is not open any more: load it again")
        return opened

    def _notices(self) -> dict[str, Any]:
        return {"working": self.queue.working, "problems": self.queue.problems[:20]}
