"""A bucket of old photos goes in, restored photos come out.

manifest and plan -> shards, one task run each, or one run each in a pool -> ledger, reconciliation, summary
"""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.logging import get_run_logger
from prefect.states import Cancelled
from pydantic import Field

from flows.artifacts import publish
from flows.session.logs import log_as_asked
from flows.session.server import RunCancelled, wait_for_server
from flows.shard_runs import deployment_in, workers_of
from flows.shards import cancel_orphaned_runs, restore_shards
from oldphoto_core.checkpoints import place_of
from oldphoto_core.detection.options import FrameChoice, Sensitivity
from oldphoto_core.errors import Occupied, RunStopped
from oldphoto_core.inference.network_options import Precision
from oldphoto_core.names import visible
from oldphoto_core.pipeline.options import ExistingPolicy, FailurePolicy, Mode
from oldphoto_core.reports.summary import Summary
from oldphoto_core.runs import run as core
from oldphoto_core.runs.job import DEFAULTS, job_of
from oldphoto_core.runs.run_lock import UNKEPT, sole_coordinator
from oldphoto_core.scans import OutputFormat
from oldphoto_core.tone import ColourChoice, Tint
from tasks.restoration import close_run, open_run

NETWORK, OPTIONS = DEFAULTS.network, DEFAULTS.options


@flow(name="restore", persist_result=False, retries=0, log_prints=False)
def restore(
    source: Annotated[str, Field(description="Bucket of the old photos: a folder, file://, s3:// or memory://")],
    target: Annotated[str, Field(description="Bucket that receives photos/, masks/, records/ and runs/")],
    masks: Annotated[str | None, Field(description="Bucket of masks of what is damaged, white")] = DEFAULTS.masks,
    model: Annotated[str, Field(description="Weights by name or place, champion or NAME@VERSION")] = NETWORK.model,
    device: Annotated[str, Field(description="auto, cpu, cuda or cuda:N")] = NETWORK.device,
    pool: Annotated[
        str | None, Field(description="Work pool that restores the shards; none: this process")
    ] = DEFAULTS.pool,
    shard_photos: Annotated[
        int | None, Field(ge=1, description="At most so many photos a shard")
    ] = DEFAULTS.shard_photos,
    memory: Annotated[float | None, Field(ge=1, description="Bytes that restoring a photo may take")] = NETWORK.memory,
    precision: Annotated[Precision, Field(description="Of the network's arithmetic")] = NETWORK.precision,
    limit: Annotated[int | None, Field(ge=1, description="At most this many images of the source")] = DEFAULTS.limit,
    keys: Annotated[
        str | list[str] | None, Field(description="Only these keys, or the file or URL of a list of them, one a line")
    ] = None,
    pages: Annotated[
        str, Field(description="Which pages of a TIFF of several are restored, as 1,3-5; all")
    ] = OPTIONS.pages,
    format: OutputFormat = OPTIONS.format,  # noqa: A002 - the name users give
    existing: ExistingPolicy = OPTIONS.existing,
    on_failure: FailurePolicy = OPTIONS.on_failure,
    copy_linked: Annotated[
        bool, Field(description="Copy, too, what links lead to outside of the source")
    ] = OPTIONS.copy_linked,
    warn_failure_rate: Annotated[
        float, Field(ge=0, le=1, description="Above it an event is sent, once")
    ] = DEFAULTS.warn_failure_rate,
    max_failure_rate: Annotated[
        float, Field(ge=0, le=1, description="Stop above this share of failed photos")
    ] = OPTIONS.max_failure_rate,
    mode: Annotated[Mode, Field(description="The whole picture, or only what is damaged")] = OPTIONS.mode,
    masks_only: Annotated[bool, Field(description="Use the given masks and no detector")] = not OPTIONS.detect,
    sensitivity: Annotated[
        Sensitivity, Field(description="How readily the detector calls a pixel damaged")
    ] = OPTIONS.sensitivity,
    frame: Annotated[FrameChoice, Field(description="Find nothing outside the picture's frame")] = OPTIONS.frame,
    max_damage: Annotated[
        float, Field(ge=0, le=1, description="Share of a photo that may be damaged")
    ] = OPTIONS.max_damage,
    max_growth: Annotated[
        float, Field(ge=0, description="Most that a lossy file may grow; 0: any")
    ] = OPTIONS.max_growth,
    colour: Annotated[
        ColourChoice, Field(description="Whether photos are monochrome; auto: judged of each")
    ] = OPTIONS.colour,
    tint: Annotated[Tint, Field(description="What monochrome photos are tinted with")] = OPTIONS.tint,
    tone: Annotated[
        float | None, Field(ge=0, le=1, description="How much of the predicted tone map is applied")
    ] = OPTIONS.tone,
    strength: Annotated[
        float, Field(ge=0, le=1, description="How much of the restoration is taken where nothing is damaged")
    ] = OPTIONS.strength,
    denoise: Annotated[
        float, Field(ge=0, le=1, description="How much of a photo's noise counts as noise; less keeps fine texture")
    ] = OPTIONS.denoise,
    operator: Annotated[str, Field(description="Who is named in the records")] = DEFAULTS.operator,
    report: Annotated[bool, Field(description="Make thumbnails, and a report to look at")] = OPTIONS.report,
    max_megapixels: Annotated[float, Field(gt=0, description="Larger photos fail")] = OPTIONS.max_megapixels,
    photo_timeout: Annotated[
        float | None, Field(gt=0, description="Seconds that a photo may take")
    ] = OPTIONS.photo_timeout,
    isolate: Annotated[bool, Field(description="Decode in processes of their own")] = OPTIONS.isolate,
    reviews: Annotated[bool, Field(description="Do what curators decided in the target's reviews/")] = DEFAULTS.reviews,
) -> Summary:
    """Restore a collection; the summary is also `TARGET/runs/<run id>/summary.json`.

    Cancelled in Prefect, it ends within a photo's time. Raises RunStopped when a policy ended the run; what was done
    until then is accounted for all the same. Raises Occupied when another run is at work in this target.
    """
    log_as_asked()
    job = job_of(**{**locals(), "model": place_of(model)})
    if job.pool:
        deployment_in(job.pool)  # raises where there is none, before anything is begun
    workers = workers_of(job.pool) if job.pool else 1
    log, said = get_run_logger(), list[str]()

    def warn(line: str) -> None:
        said.append(line)
        log.warning(visible(line))

    with sole_coordinator(job.target, warn) as check_held:
        run = open_run(job, cancel_orphaned_runs, workers, check_held)
        if overlooked := core.overlooked_decisions(job):
            warn(overlooked)
        run.facts["warnings"] = [line for line in said if line.startswith((UNKEPT, core.OVERLOOKED))]
        try:
            restore_shards(run, check_held)
        except RunCancelled as wish:
            core.close_run(run, str(wish))
            wait_for_server()
            return Cancelled(message=str(wish))  # type: ignore[return-value] # Prefect takes it for the run's state
        except Occupied:  # another run is at work here by now, and finalises this one
            raise
        except RunStopped as stop:
            core.close_run(run, str(stop))
            raise
        except BaseException as reason:  # Ctrl-C, SIGTERM, a bug: the ledger tells how far the run came
            core.close_run(run, f"interrupted ({type(reason).__name__})")
            raise
        summary = close_run(run)
    wait_for_server()
    publish(summary)
    return summary
