"""Seconds and bytes of a run's report: `python benchmarks/report.py [--photos 10000]`.

Thumbnails are timed on a few pictures of 12 megapixels and counted by their bytes; the report is then built of a ledger
of so many photos whose thumbnails lie there as empty files.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.reports.page.build import write_report
from oldphoto_core.reports.page.thumbnails import thumbnail_stem, write_thumbnails
from oldphoto_core.reports.summary import RunFacts, summarise
from oldphoto_core.samples.collection import SAMPLES, read_clean
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, merge_ledger

RUN = "20260101-000000-0000"


def thumbnails(report: Bucket, megapixels: float = 12.0) -> None:
    """Of the demo's photographs, enlarged to the size of scans, with grain before."""
    import cv2

    seconds, weights = [], []
    for number, sample in enumerate(SAMPLES):
        clean = read_clean(sample)
        scale = (megapixels * 1e6 / (clean.shape[0] * clean.shape[1])) ** 0.5
        clean = cv2.resize(clean, None, fx=scale, fy=scale)
        grain = np.random.default_rng(number).normal(0, 8, clean.shape[:2])[..., np.newaxis]
        old = (clean + grain).clip(0, 255).astype(np.uint8)
        damaged = np.zeros((*old.shape[:2], 1), np.uint8)
        damaged[:: old.shape[0] // 7, :, 0] = 1
        before = time.perf_counter()
        write_thumbnails(report, sample.key, ArrayCanvas(old), ArrayCanvas(clean), ArrayCanvas(damaged))
        seconds.append(time.perf_counter() - before)
        stem = thumbnail_stem(sample.key)
        weights.append(sum(info.size for info in report.list(stem.rpartition("/")[0])))
    print(
        f"thumbnails of {megapixels:g} megapixels: {np.median(seconds):.2f} s, {np.mean(weights) / 1e3:.0f} kB a photo"
    )


def build(target: Bucket, photos: int, put: Callable[[Path], None] = Path.touch) -> None:
    """The report of so many photos, two in a hundred failed; `put` makes a thumbnail."""
    run, began = target.join("runs", RUN), datetime.now(UTC) - timedelta(hours=1)
    rows = [_row(number, photos, began.timestamp()) for number in range(photos)]
    with LedgerWriter(run, "shard") as ledger:
        for row in rows:
            ledger.add(row)
    merge_ledger(run)
    folder = Path(run.url, "report")
    for row in rows:
        if row.status == "restored":
            stem = folder / thumbnail_stem(row.key)
            stem.parent.mkdir(parents=True, exist_ok=True)
            for kind in ("small.jpg", "before.jpg", "after.jpg", "mask.png"):
                put(Path(f"{stem}-{kind}"))
    facts = RunFacts(
        run_id=RUN,
        source="s3://archive/scans",
        target=target.url,
        model={"name": "archive", "digest": "0" * 64, "detector": ""},
        options={"mode": "full"},
        masks={"used": 0, "without a photo": 0},
        started=began.isoformat(),
    )
    summary = summarise(facts, rows, datetime.now(UTC))
    before = time.perf_counter()
    write_report(target, summary)
    seconds = time.perf_counter() - before
    data = sum(info.size for info in run.list("report") if info.key.endswith((".js", ".css", ".html")))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"report of {photos:,} photos: {seconds:.1f} s, {data / 1e6:.1f} MB without thumbnails, peak {peak:.0f} MiB")


def _row(number: int, photos: int, began: float) -> LedgerRow:
    failed = number % 50 == 0
    return LedgerRow(
        key=f"fonds-{number // 500:03d}/box-{number % 500 // 50}/{number:06d}.tif",
        version="1",
        status="failed" if failed else "restored",
        reason="truncated" if failed else "",
        detail="the file ends before its last row; fetch it again" if failed else "",
        seconds=2.5,
        megapixels=12.0,
        mask_coverage=number % 97 / 970,
        changed_share=0.5 + number % 83 / 166,
        output="" if failed else f"photos/fonds-{number // 500:03d}/box-{number % 500 // 50}/{number:06d}.tif",
        finished_at=began + 3600 * number / photos,
    )


def main() -> None:
    """Print both."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--photos", type=int, default=10_000)
    photos = arguments.parse_args().photos
    with tempfile.TemporaryDirectory() as folder:
        thumbnails(Bucket(f"{folder}/thumbs"))
        build(Bucket(f"{folder}/target"), photos)


if __name__ == "__main__":
    main()
