"""How busy a pool of workers is kept: the coordinator's own dispatcher, a plan's real shards, a pool in virtual time.

    python benchmarks/dispatch.py [--shards 2000] [--workers 64] [--seconds 2]

Photos are a generated listing, cut into shards as for a pool. Nothing sleeps: a stub of the orchestrator moves the
clock itself, by what was measured of Prefect 3.8 on a machine of 2 cores: 0.11 s for each start that it is asked for,
and from there to the first photo 3.1 s with a process a shard. A photo takes `--seconds`; busy is the share of all
workers' time, from the first start to the last row, that went into photos. What the orchestrator itself can serve is
not part of this.
"""

from __future__ import annotations

import argparse
import heapq
import time
from collections.abc import Collection, Mapping

from scale import key_of, size_of, version_of

from oldphoto_core.restoration import Photo
from oldphoto_core.runs.dispatcher import Dispatcher, DispatchOptions, ProcessStatus
from oldphoto_core.runs.plan import MAX_SHARD_PHOTOS, cut_shards
from oldphoto_core.runs.run import LEAST_POOL_SHARD_PHOTOS
from oldphoto_core.storage import LedgerRow

SECONDS_TO_ASK = 0.11
SECONDS_TO_BEGIN = 3.1


class StubPool:
    """Workers, their processes and their ledger, in virtual time."""

    def __init__(self, shards: list[list[Photo]], workers: int, seconds: float) -> None:
        self.now = 0.0
        self._shards, self._seconds = shards, seconds
        self._free = [0.0] * workers
        self._ends: dict[str, float] = {}
        self._coming: list[tuple[float, int, LedgerRow]] = []

    def start(self, number: int, attempt: int) -> str:
        """The worker that is free first takes it."""
        self.now += SECONDS_TO_ASK
        at = max(heapq.heappop(self._free), self.now) + SECONDS_TO_BEGIN
        for photo in self._shards[number]:
            at += self._seconds
            row = LedgerRow(key=photo.key, version=photo.version, status="restored")
            heapq.heappush(self._coming, (at, len(self._coming) + number * 10**6, row))
        heapq.heappush(self._free, at)
        self._ends[f"{number}-{attempt}"] = at
        return f"{number}-{attempt}"

    def look(self, names: Collection[str]) -> Mapping[str, ProcessStatus]:
        """Which ones have ended."""
        return {name: ProcessStatus("ended" if self._ends[name] <= self.now else "running") for name in names}

    def cancel(self, names: Collection[str]) -> None:
        """Nothing is ever cancelled here."""

    def new_rows(self) -> list[LedgerRow]:
        """Of photos that are done by now."""
        rows = []
        while self._coming and self._coming[0][0] <= self.now:
            rows.append(heapq.heappop(self._coming)[2])
        return rows

    def sleep(self, seconds: float) -> None:
        """The clock moves."""
        self.now += seconds

    @property
    def over(self) -> float:
        """When the last photo was done."""
        return max(self._ends.values())


def main() -> None:
    """Simulate and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--shards", type=int, default=2000)
    arguments.add_argument("--workers", type=int, default=64)
    arguments.add_argument("--seconds", type=float, default=2.0)
    arguments.add_argument(
        "--shard-photos", type=int, nargs="+", default=[LEAST_POOL_SHARD_PHOTOS, 100, MAX_SHARD_PHOTOS]
    )
    arguments.add_argument("--in-flight", type=int, nargs="+", default=[64, DispatchOptions().in_flight, 128])
    chosen = arguments.parse_args()
    print(f"{chosen.workers} workers, photos of {chosen.seconds:g} s\n")
    print("| shards | photos a shard | in flight | whole run (virtual s) | busy | CPU s of the coordinator |")
    print("|---|---|---|---|---|---|")
    for most in chosen.shard_photos:
        photos = (Photo(key_of(n), version_of(n), size_of(n)) for n in range(chosen.shards * most))
        shards = cut_shards(photos, max_photos=most)
        for in_flight in chosen.in_flight:
            print(simulated(shards, in_flight, chosen.workers, chosen.seconds), flush=True)


def simulated(shards: list[list[Photo]], in_flight: int, workers: int, seconds: float) -> str:
    """A line of the table."""
    pool, done, total = StubPool(shards, workers, seconds), [], sum(map(len, shards))
    cpu = time.process_time()
    options = DispatchOptions(in_flight=in_flight)
    Dispatcher(shards, pool, pool, options, sleep=pool.sleep, clock=lambda: pool.now).run(done.append)
    assert len(done) == total
    busy = total * seconds / (workers * pool.over)
    return (
        f"| {len(shards):,} | {total / len(shards):.0f} | {in_flight} | {pool.over:,.0f} | {busy:.1%} |"
        f" {time.process_time() - cpu:.1f} |"
    )


if __name__ == "__main__":
    main()
