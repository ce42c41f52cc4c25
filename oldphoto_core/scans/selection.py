"""Which pages of a file are meant: "1,3-5" and "7-", as users write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from oldphoto_core.errors import ConfigError

_RANGE = re.compile(r"([1-9][0-9]{0,5})(?:(-)([1-9][0-9]{0,5})?)?")


@dataclass(frozen=True, slots=True)
class PageSelection:
    """Ranges of page numbers from 1; no ranges: every page."""

    ranges: tuple[tuple[int, int | None], ...] = ()
    """(first, last) in order, apart from each other; a last of None: to the end of any file."""

    @classmethod
    def parse(cls, text: str) -> PageSelection:
        """Reads "1,3-5,7-"; "" means every page. Raises ConfigError for anything else."""
        if not text:
            return cls()
        found = [_RANGE.fullmatch(part.strip()) for part in text.split(",")]
        ranges = [(int(part[1]), _last(part)) for part in found if part]
        if len(ranges) < len(found) or any(last is not None and last < first for first, last in ranges):
            raise ConfigError(f"pages is {text!r}; give numbers and ranges from 1 on, as 1,3-5 or 2-")
        return cls(tuple(_joined(ranges)))

    def __str__(self) -> str:
        """As `parse` reads it: the same text for whatever means the same pages."""
        return ",".join(
            f"{first}" if first == last else f"{first}-{'' if last is None else last}" for first, last in self.ranges
        )

    def of(self, count: int) -> tuple[int, ...]:
        """The numbers that are meant in a file of so many pages."""
        if not self.ranges:
            return tuple(range(1, count + 1))
        ends = [(first, count if last is None else min(last, count)) for first, last in self.ranges]
        return tuple(number for first, last in ends for number in range(first, last + 1))


ALL_PAGES = PageSelection()


def _last(part: re.Match[str]) -> int | None:
    if not part[2]:
        return int(part[1])
    return int(part[3]) if part[3] else None


def _joined(ranges: list[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
    joined: list[tuple[int, int | None]] = []
    for first, last in sorted(ranges, key=lambda part: part[0]):
        if joined:
            before, end = joined[-1]
            if end is None:
                break
            if first <= end + 1:
                joined[-1] = (before, None if last is None else max(end, last))
                continue
        joined.append((first, last))
    return joined
