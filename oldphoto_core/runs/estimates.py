"""How long a restoration would take, and how much it would write: estimates, each with what it rests on."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oldphoto_core.errors import OldPhotoError
from oldphoto_core.runs.finalising import KILLED
from oldphoto_core.runs.recovery import SUMMARY
from oldphoto_core.scans.formats import FORMATS

if TYPE_CHECKING:
    from oldphoto_core.inference.contracts import RestoresPhotos
    from oldphoto_core.pipeline.options import RestoreOptions
    from oldphoto_core.scans import OutputFormat, ScanHeader
    from oldphoto_core.storage import Bucket

TRIAL_SIDE = 512
"""Of the picture on which the network is timed where no earlier run tells."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that nobody can know yet."""

    value: float | None
    """None: not known."""
    basis: str
    """What it rests on, for people."""


def estimated_seconds(target: Bucket, restorer: RestoresPhotos, options: RestoreOptions, megapixels: float) -> Estimate:
    """Wall time for so many megapixels: by earlier runs into this target, or else by timing the network now."""
    if not megapixels:
        return Estimate(0.0, "nothing to restore")
    runs = [run for run in _summaries(target) if _is_alike(run, restorer, options)]
    done = sum(run["megapixels"] for run in runs)
    if done:
        spent = sum(run["seconds"] for run in runs)
        return Estimate(spent / done * megapixels, f"{len(runs)} earlier runs into this target, {done:.1f} megapixels")
    try:
        rate = _trial(restorer)
    except (OldPhotoError, RuntimeError, MemoryError) as error:
        return Estimate(None, f"no earlier run, and a trial failed: {' '.join(str(error).split())}")
    basis = f"the network alone, timed now on {TRIAL_SIDE} x {TRIAL_SIDE} pixels on {restorer.device}"
    return Estimate(rate * megapixels, basis)


def estimated_bytes(written: OutputFormat, header: ScanHeader, size: int) -> float | None:
    """Of one derivative: as large as its master where the format is kept, uncompressed where it becomes lossless."""
    if written == "keep" or written == header.format:
        return float(size)
    if not FORMATS[written].is_lossy:
        return float(header.width * header.height * header.bands * max(1, header.bits // 8))
    return None


BYTES_BASIS = "a kept format as large as its master, another lossless one uncompressed; without masks and records"


def _summaries(target: Bucket) -> list[dict[str, Any]]:
    found = []
    for run_id in target.folders("runs"):
        key = f"runs/{run_id}/{SUMMARY}"
        if target.info(key) is not None:
            found.append(json.loads(target.read(key)))
    return found


def _is_alike(run: dict[str, Any], restorer: RestoresPhotos, options: RestoreOptions) -> bool:
    # a killed run's summary was written by a later one, and its seconds tell nothing
    if run["stopped"] == KILLED:
        return False
    made = (run["model"]["digest"], run["model"].get("device"), run["options"].get("mode"))
    return made == (restorer.digest, restorer.device, options.mode)


def _trial(restorer: RestoresPhotos) -> float:
    """Seconds per megapixel, of the second of two equal pictures: the first one warms up."""
    pixels = np.random.default_rng(1).integers(0, 256, (TRIAL_SIDE, TRIAL_SIDE, 3), np.uint8)
    for _ in range(2):
        started = time.perf_counter()
        restorer.restore(pixels)
    return (time.perf_counter() - started) / (TRIAL_SIDE**2 / 1e6)
