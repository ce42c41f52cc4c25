"""Many objects at once, few in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 8
"""Reading and hashing release the GIL; a store far away gains from more, a disk loses."""
SMALL_THREADS = 16
"""For what is small, and waits for the store most of its time: records, headers, looking keys up."""


def map_objects(do: Callable[[Item], Result], items: Iterable[Item], threads: int = THREADS) -> Iterator[Result]:
    """`do` of every item, in their order, on some threads; at most four results a thread wait to be taken.

    What an item raises is raised here; items that were not begun are dropped then, or when the caller stops.
    """
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(max_workers=threads)
    try:
        for item in items:
            waiting.append(pool.submit(do, item))
            if len(waiting) >= 4 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def for_each(do: Callable[[Item], object], items: Iterable[Item], threads: int = THREADS) -> None:
    """`map_objects` where nothing comes back."""
    for _ in map_objects(do, items, threads):
        pass
