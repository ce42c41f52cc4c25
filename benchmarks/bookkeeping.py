"""What records, labels, kept metadata, thumbnails and the report add to a run: the same collection with and without.

    python benchmarks/bookkeeping.py [--photos 32] [--rounds 3] [--model starter]

All of it is CPU time, of this process and of its decoders, since machines are seldom quiet. A network's own time varies
by more than what is sought, so runs with and without take turns with a network that hands its photos back; the cheapest
of each counts. What they differ by is then held against one run of the same collection with the model.

"Without" leaves out: facts, statistics of difference, checksum of the mask, record, XMP label, everything around the
pixels of a derivative, thumbnails and report. Ledger, manifest and the derivative's own checksum are in both.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from pipeline_overhead import collect

from oldphoto_core.pipeline import buffers, memory_buffer, stages
from oldphoto_core.pipeline.photo_files import PhotoFiles
from oldphoto_core.restoration import (
    close_run,
    job_of,
    open_run,
    register_restorer,
    restore_shard,
)
from oldphoto_core.storage import Bucket

BAR = 0.05


@dataclass
class Nothing:
    """A network that hands the photo back."""

    name: str = "nothing"
    digest: str = "0" * 64
    device: str = "cpu"
    max_megapixels: float = 1000.0

    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The photo, one level brighter, so that something differs."""
        del mask
        return pixels + (pixels < np.iinfo(pixels.dtype).max)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--photos", type=int, default=32)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--model", default="starter")
    chosen = arguments.parse_args()
    register_restorer("nothing", lambda device: Nothing())
    with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as folder:
        source = collect(Path(folder), None, chosen.photos)

        def spent(model: str, name: str, *, books: bool = True) -> float:
            target = Path(folder) / name
            with nullcontext() if books else without_books():
                return cpu_seconds(lambda: run(source, target, model, books))

        spent("nothing", "warm")
        rounds = [
            (spent("nothing", f"with-{turn}"), spent("nothing", f"without-{turn}", books=False))
            for turn in range(chosen.rounds)
        ]
        kept, bare = (min(costs) for costs in zip(*rounds, strict=True))
        whole = spent(chosen.model, "whole")
    each = 1000 * (kept - bare) / chosen.photos
    print(f"{chosen.photos} photos of the demo, CPU seconds, the cheapest of {chosen.rounds} rounds:")
    print(f"a network that costs nothing: {kept:.2f} with, {bare:.2f} without; {each:.1f} ms a photo")
    print(f"the whole run with {chosen.model}: {whole:.2f}; share {(kept - bare) / whole:.1%} (bar {BAR:.0%})")


def run(source: Path, target: Path, model: str, report: bool) -> None:
    """From inventory to summary, and the report."""
    job = job_of(source=str(source), target=str(target), model=model, report=report)
    opened = open_run(job)
    for number in range(len(opened.shards)):
        restore_shard(opened, number)
    summary = close_run(opened)
    assert summary["failed"] == 0, summary["failed_reasons"]


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this process and of those that it started and that have ended."""

    def used() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    before = used()
    work()
    return used() - before


@contextmanager
def without_books() -> Iterator[None]:
    """Runs inside write derivatives and masks, and say nothing of them."""
    write, encode = Bucket.write, memory_buffer.write_scan

    def write_no_record(bucket: Bucket, key: str, data: bytes) -> str:
        return "" if key.startswith("records/") else write(bucket, key, data)

    def encode_bare(scan: Any, pixels: Any, **how: Any) -> bytes:
        return encode(replace(scan, icc_profile=None, metadata={}), pixels, **how)

    nothing: dict[str, Any] = {"return_value": {}}
    with ExitStack() as patches:
        for where, what, stand_in in (
            (Bucket, "write", {"new": write_no_record}),
            (memory_buffer, "write_scan", {"new": encode_bare}),
            (buffers.PhotoBuffer, "difference", {"return_value": None}),
            (PhotoFiles, "facts", nothing),
            (stages, "identity", nothing),
            (stages, "record_of", nothing),
            (stages, "_label", {"return_value": None}),
        ):
            patches.enter_context(mock.patch.object(where, what, **stand_in))
        yield


if __name__ == "__main__":
    main()
