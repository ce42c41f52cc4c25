"""A bucket of old photos goes in, restored photos come out.

inventory and plan -> shards, one task run each -> ledger, reconciliation, summary
"""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from flows.progress import RestoreProgress
from oldphoto_core.checkpoints import place_of
from oldphoto_core.errors import RunStopped
from oldphoto_core.reports.summary import Summary
from oldphoto_core.restoration import run as core
from oldphoto_core.restoration.job import RestoreJob
from oldphoto_core.restoration.options import (
    ExistingPolicy,
    FailurePolicy,
    Mode,
    OutputFormat,
    Precision,
    RestoreOptions,
)
from oldphoto_core.storage import LedgerRow
from tasks.restoration import close_run, open_run, restore_shard


@flow(name="restore", persist_result=False)
def restore(
    source: Annotated[str, Field(description="Bucket of the old photos: a folder, file://, s3:// or memory://")],
    target: Annotated[str, Field(description="Bucket that receives photos/, masks/, records/ and runs/")],
    masks: Annotated[str | None, Field(description="Bucket of masks of what is damaged, white")] = None,
    model: Annotated[str, Field(description="Weights by name or place, champion or NAME@VERSION")] = "starter",
    device: Annotated[str, Field(description="auto, cpu or cuda")] = "auto",
    memory: Annotated[int | None, Field(ge=1, description="Bytes that restoring a photo may take")] = None,
    precision: Annotated[Precision, Field(description="Of the network's arithmetic")] = "auto",
    limit: Annotated[int | None, Field(ge=1, description="At most this many images of the source")] = None,
    keys: Annotated[
        str | list[str] | None, Field(description="Only these keys, or the file or URL of a list of them, one a line")
    ] = None,
    pages: Annotated[str, Field(description="Which pages of a TIFF of several are restored, as 1,3-5; all")] = "",
    format: OutputFormat = "keep",  # noqa: A002 - the name users give
    existing: ExistingPolicy = "skip",
    on_failure: FailurePolicy = "skip",
    max_failure_rate: Annotated[float, Field(ge=0, le=1, description="Stop above this share of failed photos")] = 1.0,
    mode: Annotated[Mode, Field(description="The whole picture, or only what is damaged")] = "full",
    masks_only: Annotated[bool, Field(description="Use the given masks and no detector")] = False,
    max_damage: Annotated[float, Field(ge=0, le=1, description="Share of a photo that may be damaged")] = 0.5,
    max_growth: Annotated[float, Field(ge=0, description="Most that a lossy file may grow; 0: any")] = 1.5,
    operator: Annotated[str, Field(description="Who is named in the records")] = "",
    report: Annotated[bool, Field(description="Make thumbnails, and a report to look at")] = True,
    max_megapixels: Annotated[float, Field(gt=0, description="Larger photos fail")] = 500.0,
    photo_timeout: Annotated[float | None, Field(gt=0, description="Seconds that a photo may take")] = None,
    isolate: Annotated[bool, Field(description="Decode in processes of their own")] = True,
) -> Summary:
    """Restore a collection; the summary is also `TARGET/runs/<run id>/summary.json`.

    Raises RunStopped when a policy ended the run; what was done until then is accounted for all the same.
    """
    options = RestoreOptions(
        mode=mode,
        format=format,
        pages=pages,
        max_growth=max_growth,
        detect=not masks_only,
        max_damage=max_damage,
        existing=existing,
        on_failure=on_failure,
        max_failure_rate=max_failure_rate,
        report=report,
        max_megapixels=max_megapixels,
        photo_timeout=photo_timeout,
        isolate=isolate,
    )
    job = RestoreJob(
        source=source,
        target=target,
        masks=masks,
        model=place_of(model),
        device=device,
        memory=memory,
        precision=precision,
        limit=limit,
        operator=operator,
        keys=tuple(keys) if isinstance(keys, list) else keys,
        options=options,
    )
    run = open_run(job)
    try:
        _restore_shards(run)
    except RunStopped as stop:
        core.close_run(run, str(stop))
        raise
    except BaseException as reason:  # Ctrl-C, SIGTERM, a bug: the ledger tells how far the run came
        core.close_run(run, f"interrupted ({type(reason).__name__})")
        raise
    summary = close_run(run)
    _publish(summary)
    return summary


def _restore_shards(run: core.Run) -> None:
    guard = core.FailureGuard(run.job.options, run.planned)
    with RestoreProgress(run.planned) as progress:

        def settle(row: LedgerRow) -> None:
            progress.advance(row)
            guard.judge(row)

        for number in range(len(run.shards)):
            restore_shard(run, number, settle, progress.part)


def _publish(summary: Summary) -> None:
    counts = ("found", "restored", "skipped", "failed", "megapixels", "seconds")
    reasons = {f"failed: {reason}": count for reason, count in summary["failed_reasons"].items()}
    figures = {**{name: summary[name] for name in counts}, **reasons}  # type: ignore[literal-required]
    create_table_artifact(
        key=f"restore-{summary['run_id']}",
        table=[{"what": name, "figure": figure} for name, figure in figures.items()],
        description=f"Restoration of {summary['source']} into {summary['target']}",
    )
