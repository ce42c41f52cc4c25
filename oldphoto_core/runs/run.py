"""A run from its manifest to its summary: what the flow's tasks call, one function each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from oldphoto_core.errors import RunStopped
from oldphoto_core.inference.contracts import detector_digest
from oldphoto_core.pipeline.callbacks import ShardCallbacks
from oldphoto_core.pipeline.options import RestoreOptions
from oldphoto_core.pipeline.telemetry import Telemetry
from oldphoto_core.reports.summary import RunFacts, Summary, encode
from oldphoto_core.reviews.store import HISTORY
from oldphoto_core.reviews.wishes import wishes_of
from oldphoto_core.runs import shard_store
from oldphoto_core.runs.destinations import refuse_awkward, refuse_unwritable
from oldphoto_core.runs.finalising import settle
from oldphoto_core.runs.job import RESULT_FOLDERS, RestoreJob, check_places, manifest_of, restorer_of
from oldphoto_core.runs.key_collisions import keep_apart
from oldphoto_core.runs.ledger_rows import rows_by_key
from oldphoto_core.runs.mask_index import MaskIndex
from oldphoto_core.runs.missing_rows import rows_of_records
from oldphoto_core.runs.plan import MAX_SHARD_PHOTOS, Plan, cut_shards, make_plan
from oldphoto_core.runs.recovery import FACTS, finalise_killed_runs
from oldphoto_core.runs.run_metrics import telemetry_written
from oldphoto_core.runs.run_report import report_of_closed
from oldphoto_core.runs.shard import restore_listed
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, read_ledger, write_manifest
from oldphoto_core.storage.temporary import sweep

if TYPE_CHECKING:
    import pandas as pd

    from oldphoto_core.inference.contracts import RestoresPhotos
    from oldphoto_core.pipeline.photo import Photo

OVERLOOKED = "decisions of curators do not count"
"""How the line begins that says so."""
PLAN_ROWS = 100_000
"""Rows of a part of the plan's own: they come all at once, and cost nothing to make again."""
LEAST_POOL_SHARD_PHOTOS = 50
"""Of a shard for a pool, unless the job says otherwise: what it costs beside its photos is a second."""


class Run:
    """One run under way: its name, its job, and the shards that are left to do."""

    def __init__(
        self,
        job: RestoreJob,
        plan: Plan,
        found: int,
        restorer: RestoresPhotos,
        workers: int = 1,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.run_id = new_run_id()
        self.job, self.check = job, check
        self.found = found
        self.shards: list[list[Photo]] = cut_shards(
            plan.photos, max_photos=_photos_a_shard(job, len(plan.photos), workers)
        )
        self.planned = len(plan.photos)
        self.facts = RunFacts(
            run_id=self.run_id,
            source=Bucket(job.source).url,
            target=Bucket(job.target).url,
            model={
                "name": restorer.name,
                "digest": restorer.digest,
                "detector": detector_digest(restorer),
                "device": f"pool {job.pool}" if job.pool else restorer.device,
            },
            options=asdict(job.options),
            masks={"used": plan.masks_used, "without a photo": len(plan.masks_unclaimed)},
            started=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )

    @property
    def bucket(self) -> Bucket:
        """The run's own folder in the target."""
        return Bucket(self.job.target).join("runs", self.run_id)


def _photos_a_shard(job: RestoreJob, planned: int, workers: int) -> int:
    """At most. Every worker of a pool should get two, so that not many wait while the last ones are restored."""
    if job.shard_photos is not None:
        return job.shard_photos
    if job.pool is None:
        return MAX_SHARD_PHOTOS
    return min(MAX_SHARD_PHOTOS, max(LEAST_POOL_SHARD_PHOTOS, -(-planned // (2 * workers))))


class FailureGuard:
    """Stops a run once it can no longer end under the failure rate that was allowed, and warns at a lower one."""

    def __init__(
        self,
        options: RestoreOptions,
        planned: int,
        *,
        warn_rate: float = 1.0,
        on_warning: Callable[[int, LedgerRow], None] = lambda _failed, _last: None,
    ) -> None:
        """`on_warning` is called once with how many have failed and the last of them, when that is over `warn_rate`."""
        self._rate, self._planned = options.max_failure_rate, planned
        self._warn_rate, self._on_warning = warn_rate, on_warning
        self._failed, self._warned = 0, False

    def judge(self, row: LedgerRow) -> None:
        """Count a row; raises RunStopped over the limit."""
        self._failed += row.status == "failed"
        if not self._warned and self._failed > self._warn_rate * self._planned:
            self._warned = True
            self._on_warning(self._failed, row)
        if self._failed > self._rate * self._planned:
            raise RunStopped(
                f"stopped: {self._failed} of {self._planned} photos failed, more than --max-failure-rate {self._rate:g}"
                f" allows; the last one is {row.key}: {row.detail}"
            )


def new_run_id() -> str:
    """UTC time, the last four digits (hex) counting 65536ths of the second: names sort as their runs began."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond * 65536 // 1_000_000:04x}"


def open_run(
    job: RestoreJob,
    cancel_orphaned_runs: Callable[[list[str]], None] = lambda _run_ids: None,
    workers: int = 1,
    check: Callable[[], None] = lambda: None,
) -> Run:
    """Check the places, list the source, decide what is to be done, and write the manifest and the settled rows.

    Killed runs are finalised first, and their unfinished writes removed. Before that `cancel_orphaned_runs` is called
    with those whose shards other processes may still restore. So many `workers` of the job's pool wait for shards.
    `check` raises Occupied once another run may be at work in the target; it is called before each write of this run.

    Raises UsageError, SourceMissing, NoCredentials, WriteFailed, UnknownModel, DamagedWeights, RunStopped, Occupied.
    """
    check_places(job)
    sweep(Bucket(job.target), RESULT_FOLDERS)
    restorer = restorer_of(job)
    target = Bucket(job.target)
    finalise_killed_runs(target, cancel_orphaned_runs, check)
    manifest, plan = plan_job(job, restorer)
    refuse_awkward(plan, target)
    keep_apart(plan, target)
    check()
    run = Run(job, plan, len(manifest), restorer, workers, check)
    run.bucket.write(FACTS, encode(run.facts))
    write_manifest(run.bucket, manifest)
    with LedgerWriter(run.bucket, "plan", every_rows=PLAN_ROWS, check=check) as ledger:
        for row in [*plan.skipped, *plan.failed]:
            ledger.add(row)
    return run


def overlooked_decisions(job: RestoreJob) -> str:
    """A line about decisions in the target that the job does not look at; empty where there are none."""
    if job.reviews or next(Bucket(job.target).list(HISTORY), None) is None:
        return ""
    return f"{OVERLOOKED} in this run: photos restored by their corrected masks may be restored without; give --reviews"


def plan_job(job: RestoreJob, restorer: RestoresPhotos, lost: Iterable[LedgerRow] = ()) -> tuple[pd.DataFrame, Plan]:
    """The manifest of the source, and what is to be done; nothing is written. `lost` as in `make_plan`."""
    manifest = manifest_of(job)
    masks = MaskIndex(Bucket(job.masks).list()) if job.masks is not None else None
    detector = detector_digest(restorer)
    wishes = wishes_of(Bucket(job.target)) if job.reviews else {}
    plan = make_plan(manifest, Bucket(job.target), job.options, restorer.digest, masks, detector, lost, wishes)
    refuse_unwritable(plan, Bucket(job.source), Bucket(job.target), job.options, manifest["key"])
    if job.keys is not None:
        plan.masks_unclaimed.clear()  # theirs are photos that are not asked for
    return manifest, plan


def restore_shard(run: Run, number: int, callbacks: ShardCallbacks | None = None, device: str = "") -> None:
    """Restore shard `number` of the run; each photo's row is in the ledger before `callbacks` get it.

    `device` is another than the job's. Telemetry and check of the callbacks are the run's own, one for each shard.
    """
    job = run.job.on(device) if device else run.job
    callbacks = replace(callbacks or ShardCallbacks(), check=run.check, telemetry=Telemetry())
    with (
        LedgerWriter(run.bucket, f"shard-{number:05d}", check=run.check) as ledger,
        telemetry_written(run.bucket, number, 1, callbacks.telemetry),
    ):
        restore_listed(job, restorer_of(job), run.shards[number], ledger, run.run_id, callbacks, shard=number)


def store_shards(run: Run) -> None:
    """Write the shards down, for processes that know the run by its name alone."""
    shard_store.store_shards(run.bucket, run.job, run.shards)


def give_up(run: Run, left: Mapping[int, Iterable[str]], why: Mapping[int, str]) -> None:
    """Rows for the photos of shards that no process came to the end of; `left` and `why` by the shard's number.

    What its process had no time to write down is in the records.
    """
    with LedgerWriter(run.bucket, "given-up", check=run.check) as ledger:
        for number, keys in left.items():
            restored = rows_of_records(Bucket(run.job.target), keys, run.run_id)
            for row in restored:
                ledger.add(row)
            versions = {photo.key: photo.version for photo in run.shards[number]}
            for key in sorted(set(keys) - {row.key for row in restored}):
                detail = f"its shard, {number}, was {why.get(number, 'left')}; run it again"
                ledger.add(
                    LedgerRow(key=key, version=versions[key], status="failed", reason="no result", detail=detail)
                )


def close_run(run: Run, stopped: str = "") -> Summary:
    """Hold the ledger against the manifest and the bucket, then write ledger.parquet, summary.json and the report.

    `stopped` says why the run ended before its time. Raises Occupied, and writes nothing, when the target is another
    run's by now: that one has finalised it, or will.
    """
    target = Bucket(run.job.target)
    summary = settle(target, run.bucket, run.facts, stopped, run.check)
    report_of_closed(target, summary)
    return summary


def most_changed(run: Bucket) -> str:
    """Key of the photo of a finished run that differs most from its master; empty where none was restored."""
    restored = [row for row in rows_by_key(read_ledger(run)).values() if row.status == "restored"]
    return max(restored, key=lambda row: row.changed_share).key if restored else ""


def failed_rows(summary: Summary) -> list[LedgerRow]:
    """The failures of a finished run, by key."""
    ledger = read_ledger(Bucket(summary["target"]).join("runs", summary["run_id"]))
    return [row for row in rows_by_key(ledger).values() if row.status == "failed"]
