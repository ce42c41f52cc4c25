"""Shards that other processes restore: what the coordinator of a run puts into its folder, and what is noted there.

    runs/<run id>/shards/job.json             the job, without its list of keys
    runs/<run id>/shards/00003/photos.json    the photos of shard 3, pinned to their versions
    runs/<run id>/shards/00003/deaths/*.json  what a process had in flight when it died, one file per death
    runs/<run id>/shards/00003/lease/*.json   who restores it now

It is removed when the run is finalised; a process that comes too late finds nothing to do.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any

from oldphoto_core.errors import NoConditions, Occupied
from oldphoto_core.pipeline.photo import Photo
from oldphoto_core.reviews.wishes import review_of
from oldphoto_core.runs.job import RestoreJob, job_of
from oldphoto_core.storage import Bucket, ObjectInfo
from oldphoto_core.storage.lease import Lease
from oldphoto_core.storage.parallel import SMALL_THREADS, for_each

log = logging.getLogger("oldphoto.restoration")

FOLDER = "shards"
JOB = f"{FOLDER}/job.json"
LEASE_SECONDS = 30.0
_SECONDS_TO_WAIT = 120.0  # several times what a machine that is gone can hold a lease
HUNG = "no progress"
"""How the death of a process begins that was ended because it did nothing any more."""


def store_shards(run: Bucket, job: RestoreJob, shards: Sequence[Sequence[Photo]]) -> None:
    """Write down what is to be done, so that a shard is named by its number alone."""
    plain = asdict(replace(job, keys=None))
    run.write(JOB, _encode({**plain.pop("network"), **plain}))
    for_each(lambda shard: run.write(_photos_key(shard[0]), _encode(shard[1])), _listed(shards))


def read_job(run: Bucket) -> RestoreJob:
    """Raises SourceMissing when the run is closed, or no shard of it was handed out."""
    plain = json.loads(run.read(JOB))
    return job_of(**plain.pop("options"), **plain)


def read_photos(run: Bucket, number: int) -> list[Photo]:
    """Of one shard. Raises SourceMissing."""
    return [
        Photo(key, version, size, tuple(ObjectInfo(**mask) for mask in masks), review_of(review) if review else None)
        for key, version, size, masks, review in json.loads(run.read(_photos_key(number)))
    ]


class ShardLease(Lease):
    """Held by whoever restores a shard. Waits for the one who holds it, as long as a dead one can hold it.

    On stores without conditional writes it keeps nobody away, which the log says.
    """

    def __init__(self, run: Bucket, number: int) -> None:
        super().__init__(run.join(FOLDER, f"{number:05d}", "lease"), seconds=LEASE_SECONDS, on_wait=log.info)
        self._is_possible = True

    def __enter__(self) -> Lease:
        deadline = time.monotonic() + _SECONDS_TO_WAIT
        while True:
            try:
                return super().__enter__()
            except Occupied:
                if time.monotonic() > deadline:
                    raise
            except NoConditions as error:
                # the worst that two processes do is the same photos twice
                log.warning("nobody keeps a second process from this shard: %s", error)
                self._is_possible = False
                return self
            time.sleep(2.0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_possible:
            super().__exit__(kind, error, trace)

    def check(self) -> None:
        """Raises Occupied if it was lost; on stores without conditions it never is."""
        if self._is_possible:
            super().check()


def has_stored_shards(run: Bucket) -> bool:
    """Whether other processes may restore shards of it; they stop soon after it is not so any more."""
    return run.info(JOB) is not None


def withdraw(run: Bucket) -> None:
    """No process begins a shard of it any more, and none is at one when this returns, unless it hangs.

    Prefect may say that all have ended while one is just about to begin: it holds the lease, or finds no job.
    """
    if not has_stored_shards(run):
        return
    run.delete(JOB)
    begun = {int(entry.key.split("/")[1]) for entry in run.list(FOLDER) if entry.key.split("/")[2:3] == ["lease"]}
    for_each(lambda number: _wait_for(run, number), sorted(begun), SMALL_THREADS)


def _wait_for(run: Bucket, number: int) -> None:
    with contextlib.suppress(Occupied), ShardLease(run, number):
        pass


def note_death(run: Bucket, number: int, keys: Iterable[str], how: str) -> None:
    """Remember what a process of that shard had in flight when it died; `how` in words."""
    key = f"{FOLDER}/{number:05d}/deaths/{secrets.token_hex(8)}.json"
    run.write(key, _encode({"keys": sorted(keys), "how": how}))


def deaths_of(run: Bucket, number: int) -> dict[str, list[str]]:
    """How processes died that had a photo in flight, by its key; last the death with the fewest others in flight, which
    tells most."""
    deaths: dict[str, list[str]] = {}
    notes = [json.loads(run.read(note.key)) for note in run.list(f"{FOLDER}/{number:05d}/deaths")]
    for death in sorted(notes, key=lambda death: -len(death["keys"])):
        for key in death["keys"]:
            deaths.setdefault(key, []).append(death["how"])
    return deaths


def clear(run: Bucket) -> None:
    """Remove all of it. The job goes first, so that nothing is begun with half of the rest."""
    if has_stored_shards(run):
        run.delete(JOB)
    for_each(lambda entry: run.delete(entry.key), list(run.list(FOLDER)))


def _listed(shards: Sequence[Sequence[Photo]]) -> Iterable[tuple[int, list[Any]]]:
    for number, photos in enumerate(shards):
        yield (
            number,
            [
                [p.key, p.version, p.size, [asdict(mask) for mask in p.masks], asdict(p.review) if p.review else None]
                for p in photos
            ],
        )


def _photos_key(number: int) -> str:
    return f"{FOLDER}/{number:05d}/photos.json"


def _encode(plain: Any) -> bytes:
    return json.dumps(plain, ensure_ascii=True, allow_nan=False).encode()
