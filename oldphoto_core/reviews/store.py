"""The decisions of a target: `reviews/` in its bucket.

    reviews/history/<key>/00000001.json         one decision; created once, never replaced
    reviews/history/<key>/mask-<sha256>.png     a corrected mask that a decision names; likewise
    reviews/<key>.json                          all decisions of the photo, for people and other programs
    reviews/masks/<key>.png                     the corrected mask of the last decision; of several pages, a TIFF

The history is the truth, and the two others are made from it. A key of a photo ends as an image does, so none of these
names can be that of another photo's file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from oldphoto_core.errors import DamagedDecision, DecidedMeanwhile, SourceMissing
from oldphoto_core.reviews.decision import SCHEMA, Decision, decode_decision, encode, encode_decision
from oldphoto_core.storage import Bucket, Journal, ObjectInfo
from oldphoto_core.storage.journal import entry_number
from oldphoto_core.storage.parallel import SMALL_THREADS, map_objects

REVIEWS = "reviews"
"""A target's folder of decisions."""
HISTORY = f"{REVIEWS}/history"
MASKS = f"{REVIEWS}/masks"
_MASK = re.compile(r"mask-[0-9a-f]{64}\.png")


class Reviews:
    """The decisions of one target. Safe between threads, processes and machines that use the same target."""

    def __init__(self, target: Bucket) -> None:
        self.target = target

    def history(self, key: str) -> list[Decision]:
        """Every decision about a photo, the first one first. Raises DamagedDecision."""
        return [self.entry(key, number) for number in self._journal(key).numbers()]

    def files(self, key: str) -> list[ObjectInfo]:
        """The entries of a photo's history and its corrected masks, sorted by name; none of them is ever replaced."""
        folder = f"{HISTORY}/{key}/"
        listed = self.target.list(folder.rstrip("/"))
        return sorted((info for info in listed if "/" not in info.key.removeprefix(folder)), key=lambda info: info.key)

    def last(self, key: str) -> Decision | None:
        """The decision that counts, or None. Raises DamagedDecision."""
        numbers = self._journal(key).numbers()
        return self.entry(key, numbers[-1]) if numbers else None

    def entry(self, key: str, number: int) -> Decision:
        """One decision about a photo. Raises DamagedDecision, SourceMissing."""
        place = entry_key(key, number)
        try:
            decision = decode_decision(self._journal(key).read(number))
        except DamagedDecision as error:
            raise DamagedDecision(f"{place}: {error}") from error
        if (decision.key, decision.number) != (key, number):
            raise DamagedDecision(
                f"{place}: it says that it is decision {decision.number} about {decision.key}: move it away"
            )
        return decision

    def all(self, known: Mapping[str, Decision] | None = None) -> tuple[dict[str, Decision], list[str]]:
        """The decision that counts of every photo, by key; and what is damaged, in a line each.

        `known` is what an earlier call returned: of photos without a newer decision nothing is read.
        """
        known = known or {}
        numbers = dict(self._numbers())
        decisions = {key: known[key] for key, number in numbers.items() if key in known and known[key].number == number}
        problems: list[str] = []
        for found in map_objects(
            self._read, [each for each in numbers.items() if each[0] not in decisions], SMALL_THREADS
        ):
            if isinstance(found, Decision):
                decisions[found.key] = found
            else:
                problems.append(found)
        return decisions, problems

    def keys(self) -> set[str]:
        """Of the photos that have decisions, by the names of files alone."""
        return {key for key, _ in self._numbers()}

    def count(self) -> int:
        """How many photos have decisions, by the names of files alone."""
        return sum(1 for _ in self._numbers())

    def add(self, decision: Decision, *, after: int | None = None) -> Decision:
        """Store a decision; once this returns, it lasts. The files for people are brought up to date after that.

        Args:
            decision: Its number is given here.
            after: The number of the last decision that the reviewer knew of, 0 for none; None: whatever is there.

        Returns:
            The decision as it is stored.

        Raises:
            DecidedMeanwhile: somebody else decided since; nothing was stored.
            SourceMissing: the mask that it names is not stored.
            NoConditions, WriteFailed, NoCredentials: it cannot be stored.
        """
        if decision.mask and self.target.info(mask_in_history(decision.key, decision.mask)) is None:
            raise SourceMissing(
                f"the corrected mask {decision.mask[:12]} of {decision.key} is not stored: store it first"
            )
        journal = self._journal(decision.key)
        while True:
            last = (journal.numbers() or [0])[-1]
            if after is not None and last != after:
                there = self.last(decision.key)
                if there is not None and there.id == decision.id:
                    return there  # sent again, as the reply to the first time was lost
                raise DecidedMeanwhile(_decided(decision.key, there))
            stored = replace(decision, number=last + 1)
            if journal.append(last, encode_decision(stored)):
                break
        self.publish(decision.key)
        return stored

    def publish(self, key: str) -> None:
        """Write `reviews/<key>.json` and the current mask from the history, until nothing was added meanwhile."""
        while True:
            decisions = self.history(key)
            if not decisions:
                return
            plain = [decision.as_dict() for decision in decisions]
            self._put_mask(decisions[-1])
            self.target.write(review_key(key), encode({"schema": SCHEMA, "key": key, "decisions": plain}))
            # two that publish at once: the later writer sees the other's decision here, and writes once more
            if self._journal(key).numbers()[-1] == decisions[-1].number:
                return

    def _put_mask(self, decision: Decision) -> None:
        place = mask_of(decision.key)
        if decision.mask:
            self.target.write(place, self.target.read(mask_in_history(decision.key, decision.mask)))
        elif self.target.info(place) is not None:
            self.target.delete(place)

    def _numbers(self) -> Iterator[tuple[str, int]]:
        """Key and last number of every photo that was decided about, from one listing."""
        found: dict[str, int] = {}
        for info in self.target.list(HISTORY):
            key, number = history_part(info.key) or ("", 0)
            if number:
                found[key] = max(found.get(key, 0), number)
        return iter(found.items())

    def _read(self, entry: tuple[str, int]) -> Decision | str:
        try:
            return self.entry(*entry)
        except (DamagedDecision, SourceMissing) as error:
            return str(error)

    def _journal(self, key: str) -> Journal:
        return Journal(self.target.join(HISTORY, key))


def review_key(key: str) -> str:
    """Where all decisions about a photo lie in a target, for people."""
    return f"{REVIEWS}/{key}.json"


def entry_key(key: str, number: int) -> str:
    """Where one decision about a photo lies in a target."""
    return f"{HISTORY}/{key}/{number:08d}.json"


def history_part(place: str) -> tuple[str, int] | None:
    """The photo whose history an object of a target belongs to, and the number of the decision; 0: a corrected mask.

    None: it belongs to none.
    """
    folder, _, name = place.removeprefix(f"{HISTORY}/").rpartition("/")
    number = entry_number(name)
    return (
        (folder, number) if place.startswith(f"{HISTORY}/") and folder and (number or _MASK.fullmatch(name)) else None
    )


def mask_of(key: str) -> str:
    """Where the corrected mask of a photo lies in a target."""
    return f"{MASKS}/{key}.png"


def mask_in_history(key: str, sha256: str) -> str:
    """Where a corrected mask lies that a decision names by its digest."""
    return f"{HISTORY}/{key}/mask-{sha256}.png"


def _decided(key: str, last: Decision | None) -> str:
    if last is None:
        return f"the decisions about {key} were removed meanwhile: load the photo again"
    return f"{last.reviewer} decided about {key} meanwhile ({last.verdict}, {last.time}): look again, then decide"
