"""One shard that was handed out, restored by whatever process takes it, on whatever machine, as often as it must.

What an earlier attempt got done is not done again: its rows lie in the ledger, and where it had no time to write a row,
the record tells. One process at a time works on a shard, by a lease. Photos that a process had in flight when it died
are left for the end and restored one by one; one that was in flight at three deaths fails.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from oldphoto_core.errors import DamagedWeights, FailedReason, RunStopped, SourceMissing
from oldphoto_core.inference.contracts import RestoresPhotos, detector_digest
from oldphoto_core.names import visible
from oldphoto_core.pipeline.callbacks import OnRow, ShardCallbacks
from oldphoto_core.pipeline.engine import restore_photos
from oldphoto_core.pipeline.photo import Photo
from oldphoto_core.runs import shard_store
from oldphoto_core.runs.job import RestoreJob, restorer_of
from oldphoto_core.runs.missing_rows import rows_of_records
from oldphoto_core.runs.recovery import FACTS
from oldphoto_core.runs.run_metrics import telemetry_written
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter
from oldphoto_core.storage.lease import Lease
from oldphoto_core.storage.ledger import part_keys, read_part

if TYPE_CHECKING:
    from oldphoto_core.reports.summary import RunFacts

log = logging.getLogger("oldphoto.restoration")

DEATHS = 3
"""So many processes may die with a photo in flight before it fails."""
_SECONDS_BETWEEN_LOOKS = 10.0


def restore_listed(
    job: RestoreJob,
    restorer: RestoresPhotos,
    photos: list[Photo],
    ledger: LedgerWriter,
    run_id: str,
    callbacks: ShardCallbacks,
    *,
    shard: int,
    one_by_one: bool = False,
) -> None:
    """Restore these photos; each one's row is in the ledger before `callbacks` get it."""

    def settle(row: LedgerRow) -> None:
        ledger.add(row)
        log_row(row, run_id, shard)
        callbacks.on_row(row)

    restore_photos(
        restorer,
        Bucket(job.source),
        Bucket(job.target),
        photos,
        job.options,
        replace(callbacks, on_row=settle),
        masks=Bucket(job.masks) if job.masks is not None else None,
        run_id=run_id,
        operator=job.operator,
        one_by_one=one_by_one,
    )


def log_row(row: LedgerRow, run_id: str, shard: int) -> None:
    """A line of the log, with what it is about as fields of its own; silent unless somebody listens."""
    about: dict[str, object] = {
        "run_id": run_id,
        "shard": shard,
        "key": row.key,
        "status": row.status,
        "reason": row.reason,
    }
    about |= {"seconds": row.seconds, "megapixels": row.megapixels}
    what = f"{row.status}: {row.reason}: {row.detail}" if row.reason else row.status
    log.info("run %s, shard %d, %s: %s", run_id, shard, visible(row.key), visible(what), extra=about)


def restore_stored_shard(
    target: str, run_id: str, number: int, attempt: int = 1, callbacks: ShardCallbacks | None = None
) -> int:
    """Restore what is left of shard `number` of a run that `shard_store.store_shards` wrote down.

    Args:
        target: Bucket of the run.
        run_id: Its name.
        number: Of the shard, from 0.
        attempt: Counts the processes that have had it, from 1.
        callbacks: Called on the way.

    Returns:
        How many rows were written by this call.

    Raises:
        RunStopped: the run is closed, or was closed meanwhile; or a policy ended it.
        Occupied: another process holds the shard, or took it over.
        UnknownModel, DamagedWeights: this machine has not the run's model.
    """
    run = Bucket(target).join("runs", run_id)
    try:
        job = shard_store.read_job(run)
    except SourceMissing as error:
        raise RunStopped(f"run {run_id} is closed, or was never opened: {run} holds no shards") from error
    lease = shard_store.ShardLease(run, number)
    with lease, LedgerWriter(run, f"shard-{number:05d}", every_seconds=10.0, check=lease.check) as ledger:
        return _Shard(run, run_id, number, attempt, job, ledger, lease, callbacks or ShardCallbacks()).restore()


class _Shard:
    def __init__(
        self,
        run: Bucket,
        run_id: str,
        number: int,
        attempt: int,
        job: RestoreJob,
        ledger: LedgerWriter,
        lease: Lease,
        callbacks: ShardCallbacks,
    ) -> None:
        self._run, self._run_id, self._number, self._attempt = run, run_id, number, attempt
        self._job, self._ledger, self._lease = job, ledger, lease
        self._callbacks = replace(callbacks, on_row=self._checked(callbacks.on_row), check=lease.check)
        self._looked = time.monotonic()
        self._rows = 0

    def restore(self) -> int:
        if not shard_store.has_stored_shards(self._run):  # asked under the lease, for which whoever withdraws it waits
            raise RunStopped(f"run {self._run_id} is closed; its shard {self._number} is not begun")
        restorer = restorer_of(self._job)
        _check_model(restorer, json.loads(self._run.read(FACTS)))
        left = self._left(shard_store.read_photos(self._run, self._number))
        deaths = shard_store.deaths_of(self._run, self._number) if self._attempt > 1 else {}
        for photo in [photo for photo in left if len(deaths.get(photo.key, ())) >= DEATHS]:
            left.remove(photo)
            self._add(_quarantined(photo, deaths[photo.key], self._job, restorer))
        # who was in flight at a death is suspected: the most suspected first, each alone
        suspects = sorted((p for p in left if p.key in deaths), key=lambda photo: -len(deaths[photo.key]))
        unaffected = [photo for photo in left if photo.key not in deaths]
        self._ledger.flush()  # here and below: who dies next takes the rows with it that are not written yet
        with telemetry_written(self._run, self._number, self._attempt, self._callbacks.telemetry):
            if unaffected:
                self._restore(unaffected, restorer)
                self._ledger.flush()
            if suspects:
                self._callbacks = replace(self._callbacks, on_row=self._flush_after(self._callbacks.on_row))
                self._restore(suspects, restorer, one_by_one=True)
        return self._rows

    def _restore(self, photos: list[Photo], restorer: RestoresPhotos, *, one_by_one: bool = False) -> None:
        restore_listed(
            self._job,
            restorer,
            photos,
            self._ledger,
            self._run_id,
            self._callbacks,
            shard=self._number,
            one_by_one=one_by_one,
        )

    def _left(self, photos: list[Photo]) -> list[Photo]:
        """Without those that an earlier attempt is done with."""
        parts = part_keys(self._run, f"shard-{self._number:05d}-")
        done = {key for part in parts for key in read_part(self._run, part)["key"]}
        if self._attempt > 1:
            for row in rows_of_records(
                Bucket(self._job.target), [photo.key for photo in photos if photo.key not in done], self._run_id
            ):
                self._add(row)
                done.add(row.key)
        return [photo for photo in photos if photo.key not in done]

    def _add(self, row: LedgerRow) -> None:
        self._ledger.add(row)
        self._callbacks.on_row(row)

    def _flush_after(self, on_row: OnRow) -> OnRow:
        def flush(row: LedgerRow) -> None:
            on_row(row)
            self._ledger.flush()

        return flush

    def _checked(self, on_row: OnRow) -> OnRow:
        def checked(row: LedgerRow) -> None:
            self._rows += 1
            on_row(row)
            self._lease.check()
            if time.monotonic() - self._looked > _SECONDS_BETWEEN_LOOKS:
                self._looked = time.monotonic()
                if not shard_store.has_stored_shards(self._run):
                    raise RunStopped(f"run {self._run_id} was closed while its shard {self._number} was worked on")

        return checked


def _check_model(restorer: RestoresPhotos, facts: RunFacts) -> None:
    """A machine with other weights of that name must not restore a part of the run."""
    here = {"digest": restorer.digest, "detector": detector_digest(restorer)}
    for name, digest in here.items():
        if facts["model"][name] != digest:
            raise DamagedWeights(
                f"model {restorer.name} here is not the run's: {name} {digest[:12] or 'none'} and not"
                f" {facts['model'][name][:12] or 'none'}; give every machine the same weights"
            )


def _quarantined(photo: Photo, deaths: list[str], job: RestoreJob, restorer: RestoresPhotos) -> LedgerRow:
    reason: FailedReason = "timed out" if deaths[-1].startswith(shard_store.HUNG) else "crashes the decoder"
    return LedgerRow(
        key=photo.key,
        version=photo.version,
        status="failed",
        reason=reason,
        detail=f"{len(deaths)} processes died with it in flight, one when it was alone ({deaths[-1]}):"
        " open it in another program",
        model=restorer.digest,
        options=job.options.digest(photo.mask_version, detector_digest(restorer)),
    )
