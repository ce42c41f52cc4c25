"""What the processes measured at the shards of a run: written by each, merged into the run's summary.

runs/<run id>/metrics/<shard>-<token>.json   one file for each process that had the shard
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from oldphoto_core.errors import Occupied
from oldphoto_core.pipeline.telemetry import QUEUES, Telemetry
from oldphoto_core.storage import Bucket

FOLDER = "metrics"


@contextmanager
def telemetry_written(run: Bucket, shard: int, attempt: int, telemetry: Telemetry) -> Iterator[None]:
    """Write the telemetry when the block ends, however it ends, but for Occupied: another process has the shard."""
    is_ours = True
    try:
        yield
    except Occupied:
        is_ours = False
        raise
    finally:
        if is_ours:
            _write_telemetry(run, shard, attempt, telemetry)


def _write_telemetry(run: Bucket, shard: int, attempt: int, telemetry: Telemetry) -> None:
    """Put them down for the run's summary."""
    measured = {
        "attempt": attempt,
        "seconds": telemetry.seconds,
        "busy_seconds": telemetry.busy_seconds,
        "photos": telemetry.photos,
        "waiting": telemetry.waiting,
    }
    run.write(f"{FOLDER}/{shard:05d}-{secrets.token_hex(4)}.json", json.dumps(measured).encode())


def merge_telemetry(run: Bucket) -> list[tuple[int, dict[str, Any]]]:
    """What was put down, with the numbers of the shards."""
    keys = [entry.key for entry in run.list(FOLDER)]
    return [(int(key.removeprefix(f"{FOLDER}/").partition("-")[0]), json.loads(run.read(key))) for key in keys]


def clear_telemetry(run: Bucket) -> None:
    """They are in the summary now."""
    for entry in list(run.list(FOLDER)):
        run.delete(entry.key)


def metrics_of(
    measured: Iterable[tuple[int, Mapping[str, Any]]], seconds: float, photos: int, megapixels: float
) -> dict[str, Any]:
    """Return the figures of a whole run that took `seconds` of wall time and restored that much.

    Processes that were killed measured nothing: busy share and queues are of the others.
    """
    parts = list(measured)
    attempts: dict[int, int] = {}
    for shard, part in parts:
        attempts[shard] = max(attempts.get(shard, 1), part["attempt"])
    worked = sum(part["seconds"] for _, part in parts)
    mean = {queue: _over(sum(part["waiting"][queue] for _, part in parts), worked) for queue in QUEUES}
    return {
        "photos_per_second": _over(photos, seconds),
        "megapixels_per_second": _over(megapixels, seconds),
        "shards": len(attempts),
        "retries": sum(last - 1 for last in attempts.values()),
        "shard_seconds": round(worked, 3),
        "device_busy_share": _over(sum(part["busy_seconds"] for _, part in parts), worked),
        "queue_depths": mean,
    }


def _over(amount: float, seconds: float) -> float:
    return round(amount / seconds, 4) if seconds > 0 else 0.0
