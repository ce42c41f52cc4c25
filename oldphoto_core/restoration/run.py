"""A run from its inventory to its summary: what the flow's tasks call, one function each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from oldphoto_core.errors import RunStopped, UsageError
from oldphoto_core.reports.summary import RunFacts, Summary, encode
from oldphoto_core.restoration.engine import OnPart, restore_photos
from oldphoto_core.restoration.job import RestoreJob, check_places, inventory_of
from oldphoto_core.restoration.masks import MaskIndex
from oldphoto_core.restoration.models import load_restorer
from oldphoto_core.restoration.options import RestoreOptions
from oldphoto_core.restoration.photo import detector_of
from oldphoto_core.restoration.plan import Plan, cut_shards, make_plan
from oldphoto_core.restoration.recovery import FACTS, settle, settle_killed_runs
from oldphoto_core.restoration.rows import rows_by_key
from oldphoto_core.restoration.showing import report_of_closed
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, read_ledger, write_manifest

if TYPE_CHECKING:
    import pandas as pd

    from oldphoto_core.restoration.photo import Photo, RestoresPhotos

PLAN_ROWS = 100_000
"""Rows of a part of the plan's own: they come all at once, and cost nothing to make again."""


class Run:
    """One run under way: its name, its job, and the shards that are left to do."""

    def __init__(self, job: RestoreJob, plan: Plan, found: int, restorer: RestoresPhotos) -> None:
        self.run_id = new_run_id()
        self.job = job
        self.found = found
        self.shards: list[list[Photo]] = cut_shards(plan.photos)
        self.planned = len(plan.photos)
        self.facts = RunFacts(
            run_id=self.run_id,
            source=Bucket(job.source).url,
            target=Bucket(job.target).url,
            model={
                "name": restorer.name,
                "digest": restorer.digest,
                "detector": _detector_digest(restorer),
                "device": restorer.device,
            },
            options=asdict(job.options),
            masks={"used": plan.masks_used, "without a photo": len(plan.masks_unclaimed)},
            started=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )

    @property
    def bucket(self) -> Bucket:
        """The run's own folder in the target."""
        return Bucket(self.job.target).join("runs", self.run_id)


class FailureGuard:
    """Stops a run once it can no longer end under the failure rate that was allowed."""

    def __init__(self, options: RestoreOptions, planned: int) -> None:
        self._rate, self._planned = options.max_failure_rate, planned
        self._failed = 0

    def judge(self, row: LedgerRow) -> None:
        """Count a row; raises RunStopped over the limit."""
        self._failed += row.status == "failed"
        if self._failed > self._rate * self._planned:
            raise RunStopped(
                f"stopped: {self._failed} of {self._planned} photos failed, more than --max-failure-rate {self._rate:g}"
                f" allows; the last one is {row.key}: {row.detail}"
            )


def new_run_id() -> str:
    """UTC time, the last four digits (hex) counting 65536ths of the second: names sort as their runs began."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond * 65536 // 1_000_000:04x}"


def open_run(job: RestoreJob) -> Run:
    """Check the places, list the source, decide what is to be done, and write the manifest and the settled rows.

    Raises UsageError, SourceMissing, NoCredentials, WriteFailed, UnknownModel, DamagedWeights, RunStopped.
    """
    check_places(job)
    restorer = restorer_of(job)
    target = Bucket(job.target)
    settle_killed_runs(target)
    manifest, plan = plan_job(job, restorer)
    run = Run(job, plan, len(manifest), restorer)
    run.bucket.write(FACTS, encode(run.facts))
    write_manifest(run.bucket, manifest)
    with LedgerWriter(run.bucket, "plan", every_rows=PLAN_ROWS) as ledger:
        for row in plan.skipped:
            ledger.add(row)
    return run


def restorer_of(job: RestoreJob) -> RestoresPhotos:
    """The network of a job. Raises UnknownModel, DamagedWeights; UsageError when it cannot do what is asked."""
    restorer = load_restorer(job.model, job.device, job.memory, job.precision)
    if job.options.mode == "scratches" and job.masks is None and not _detector_digest(restorer):
        raise UsageError(
            f"mode scratches fills what is found damaged, and model {restorer.name} has no detector; give masks with"
            " --masks URL, or choose --mode full"
        )
    return restorer


def plan_job(job: RestoreJob, restorer: RestoresPhotos, lost: Iterable[LedgerRow] = ()) -> tuple[pd.DataFrame, Plan]:
    """The manifest of the source, and what is to be done; nothing is written. `lost` as in `make_plan`."""
    manifest = inventory_of(job)
    masks = MaskIndex(Bucket(job.masks).list()) if job.masks is not None else None
    detector = _detector_digest(restorer)
    plan = make_plan(manifest, Bucket(job.target), job.options, restorer.digest, masks, detector, lost)
    if job.keys is not None:
        plan.masks_unclaimed.clear()  # theirs are photos that are not asked for
    return manifest, plan


def restore_shard(
    run: Run, number: int, on_row: Callable[[LedgerRow], None], on_part: OnPart = lambda _key, _done, _total: None
) -> None:
    """Restore shard `number` of the run; each photo's row is in the ledger before `on_row` hears of it.

    `on_part` hears how far a photo is that is too large to be restored in one go.
    """
    job = run.job
    masks = Bucket(job.masks) if job.masks is not None else None
    with LedgerWriter(run.bucket, f"shard-{number:05d}") as ledger:

        def settle_photo(row: LedgerRow) -> None:
            ledger.add(row)
            on_row(row)

        restore_photos(
            restorer_of(job),
            Bucket(job.source),
            Bucket(job.target),
            run.shards[number],
            job.options,
            settle_photo,
            masks=masks,
            run_id=run.run_id,
            operator=job.operator,
            on_part=on_part,
        )


def _detector_digest(restorer: RestoresPhotos) -> str:
    detector = detector_of(restorer)
    return detector.detector_digest if detector else ""


def close_run(run: Run, stopped: str = "") -> Summary:
    """Hold the ledger against the manifest and the bucket, then write ledger.parquet, summary.json and the report.

    `stopped` says why the run ended before its time.
    """
    target = Bucket(run.job.target)
    summary = settle(target, run.bucket, run.facts, stopped)
    report_of_closed(target, summary)
    return summary


def failed_rows(summary: Summary) -> list[LedgerRow]:
    """The failures of a finished run, by key."""
    ledger = read_ledger(Bucket(summary["target"]).join("runs", summary["run_id"]))
    return [row for row in rows_by_key(ledger).values() if row.status == "failed"]
