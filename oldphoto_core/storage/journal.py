"""A folder of numbered objects, each written once and never replaced: a log that many machines may append to.

What is compared and swapped is the end of the log: who read entry N may write N + 1, and of several who try, one
succeeds. That takes nothing of a store but creating an object where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from oldphoto_core.errors import NoConditions
from oldphoto_core.storage.bucket import Bucket

_ENTRY = re.compile(r"([0-9]{8}|[1-9][0-9]{8,})\.json")
"""Of any length: an entry after the last one that is known must be known, too. Digits of other scripts are none."""


class Journal:
    """The entries `00000001.json`, `00000002.json`, ... of one bucket folder."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def numbers(self) -> list[int]:
        """Of the entries there are, ascending."""
        return sorted(number for entry in self.bucket.list() if (number := entry_number(entry.key)))

    def last(self) -> tuple[int, bytes] | None:
        """Number and content of the last entry."""
        numbers = self.numbers()
        return (numbers[-1], self.read(numbers[-1])) if numbers else None

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """All, from the first to the last."""
        return ((number, self.read(number)) for number in self.numbers())

    def read(self, number: int) -> bytes:
        """One entry. Raises SourceMissing."""
        return self.bucket.read(_key(number))

    def append(self, after: int, data: bytes) -> bool:
        """Writes entry `after` + 1; False if somebody else did. `data` must differ from what anybody else writes.

        Raises:
            NoConditions: the store takes no notice of conditions, and entries would be lost on it.
        """
        key = _key(after + 1)
        if not self.bucket.create(key, data):
            return self.bucket.info(key) is not None and self.bucket.read(key) == data
        if after == 0 and self.bucket.create(key, data):
            raise NoConditions(
                f"{self.bucket.url} replaces an object that was to be created only if absent (If-None-Match), so what "
                "is written at the same time would be lost; use a store that knows conditional writes"
            )
        return True

    def forget(self, up_to: int) -> None:
        """Removes the entries up to that number, for logs of which only the end matters."""
        for number in self.numbers():
            if number <= up_to:
                self.bucket.delete(_key(number))


def entry_number(name: str) -> int:
    """The number of the entry of this name; 0: it is none."""
    match = _ENTRY.fullmatch(name)
    return int(match[1]) if match else 0


def _key(number: int) -> str:
    return f"{number:08d}.json"
