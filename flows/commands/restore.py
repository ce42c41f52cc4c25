"""`oldphoto restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.check import show_check
from flows.commands.terminal import RegistryOption, above_zero, known_device, parsed_size, say, show
from oldphoto_core.detection.options import FrameChoice, Sensitivity
from oldphoto_core.errors import RunStopped
from oldphoto_core.inference.network_options import Precision
from oldphoto_core.pipeline.options import ExistingPolicy, FailurePolicy, Mode
from oldphoto_core.runs.job import DEFAULTS
from oldphoto_core.scans.formats import OutputFormat
from oldphoto_core.tone.options import ColourChoice, Tint

if TYPE_CHECKING:
    from oldphoto_core.reports.summary import Summary

NETWORK, OPTIONS = DEFAULTS.network, DEFAULTS.options
FAILURES_SHOWN = 20
NOT_THE_FLOWS = ("context", "registry", "check", "json", "no_report")
"""Parameters of the command that the flow does not have under these names."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(restore)


def restore(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Folder or URL (s3://bucket/prefix) of old photos; only ever read.")
    ],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="Folder or URL for photos/, masks/, records/ and runs/.")
    ],
    masks: Annotated[
        str | None, typer.Option(metavar="URL", help="Masks of what is damaged (white): KEY.png for the photo KEY.")
    ] = DEFAULTS.masks,
    reviews: Annotated[
        bool,
        typer.Option("--reviews", help="Do what curators decided: redo what was sent back, leave what they accepted."),
    ] = DEFAULTS.reviews,
    mode: Annotated[
        Mode, typer.Option(help="The whole picture, or only what is damaged: every other pixel stays the master's.")
    ] = OPTIONS.mode,
    masks_only: Annotated[
        bool, typer.Option("--masks-only", help="Use the given masks alone, and not the model's detector.")
    ] = not OPTIONS.detect,
    sensitivity: Annotated[
        Sensitivity,
        typer.Option(help="How readily the detector calls a pixel damaged; low spares what may be content."),
    ] = OPTIONS.sensitivity,
    frame: Annotated[
        FrameChoice, typer.Option(help="Find no damage outside the picture's frame; off: also there.")
    ] = OPTIONS.frame,
    max_damage: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="A photo damaged over more than over this share of it fails.")
    ] = OPTIONS.max_damage,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Weights by name or place, or champion, NAME@VERSION of the registry.")
    ] = NETWORK.model,
    registry: RegistryOption = None,
    device: Annotated[str, typer.Option(callback=known_device, help="auto, cpu, cuda or cuda:N.")] = NETWORK.device,
    pool: Annotated[
        str | None, typer.Option(metavar="NAME", help="Work pool of Prefect whose workers restore; none: this process.")
    ] = DEFAULTS.pool,
    shard_photos: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="At most so many photos a shard, which a worker takes at a time."),
    ] = DEFAULTS.shard_photos,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory that a photo may take, as 2G; larger ones go in parts.")
    ] = None,
    precision: Annotated[Precision, typer.Option(help="Of the network's arithmetic.")] = NETWORK.precision,
    format: Annotated[  # noqa: A002 - the name users give
        OutputFormat, typer.Option(help="Format of the results; a new one is appended.")
    ] = OPTIONS.format,
    pages: Annotated[
        str, typer.Option(metavar="1,3-5", help="Pages of a TIFF of several to restore; others stay as they are.")
    ] = OPTIONS.pages,
    max_growth: Annotated[
        float, typer.Option(metavar="TIMES", help="Most that a JPEG or lossy WebP may grow; 0: any, at full quality.")
    ] = OPTIONS.max_growth,
    colour: Annotated[
        ColourChoice,
        typer.Option(help="Monochrome photos are restored in lightness alone: judged of each photo, or stated."),
    ] = OPTIONS.colour,
    tint: Annotated[Tint, typer.Option(help="A monochrome photo keeps its tint, or gets R = G = B.")] = OPTIONS.tint,
    tone: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="How much of the predicted tone map is applied; 0 leaves tone alone."),
    ] = OPTIONS.tone,
    strength: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="How much of the restoration is taken where nothing is damaged."),
    ] = OPTIONS.strength,
    denoise: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="How much of a photo's noise counts as noise; less keeps fine texture."),
    ] = OPTIONS.denoise,
    existing: Annotated[
        ExistingPolicy, typer.Option(help="What to do about results that are there already.")
    ] = OPTIONS.existing,
    on_failure: Annotated[
        FailurePolicy,
        typer.Option(help="A photo that fails: leave it out, put a copy of the original there, or stop."),
    ] = OPTIONS.on_failure,
    copy_linked: Annotated[
        bool, typer.Option("--copy-linked", help="With --on-failure copy: also what links lead to outside of SOURCE.")
    ] = OPTIONS.copy_linked,
    max_failure_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Stop once more than this share of the photos has failed.")
    ] = OPTIONS.max_failure_rate,
    warn_failure_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Above this share of failed photos Prefect gets an event, once.")
    ] = DEFAULTS.warn_failure_rate,
    max_megapixels: Annotated[
        float, typer.Option(callback=above_zero, metavar="N", help="Larger photos fail, before they are decoded.")
    ] = OPTIONS.max_megapixels,
    photo_timeout: Annotated[
        float | None, typer.Option(callback=above_zero, metavar="SECONDS", help="A photo that takes longer fails.")
    ] = OPTIONS.photo_timeout,
    isolate: Annotated[
        bool, typer.Option(help="Decode in processes of their own: a file that crashes the decoder fails alone.")
    ] = OPTIONS.isolate,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many photos.")] = DEFAULTS.limit,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Make no thumbnails, and no report to look at.")
    ] = not OPTIONS.report,
    keys: Annotated[
        str | None,
        typer.Option(metavar="FILE|URL", help="Only the photos of this list, a key a line; -: from stdin."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what would be done with each file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --check: everything as JSON, a row per file.")] = False,
    operator: Annotated[
        str, typer.Option(metavar="NAME", help="Who is named in the records; nobody unless given here.")
    ] = DEFAULTS.operator,
) -> None:
    """Restore a collection of old photos. A rerun does only what is left to do.

    Exit codes: 0 every photo restored or skipped, 1 could not be done, 2 wrong usage, 3 done but some photos failed.
    """
    # every option by its name, which is what the flow calls it
    choices = {name: given for name, given in locals().items() if name not in NOT_THE_FLOWS}
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.checkpoints.registry import place_of
    from oldphoto_core.inference.models import load_restorer
    from oldphoto_core.runs.job import check_places, job_of
    from oldphoto_core.storage.key_list import as_file

    allowed = None if memory is None else parsed_size(memory)
    choices |= {"model": place_of(model, registry), "memory": allowed, "report": not no_report}
    if keys is not None:
        # a stream can be read only once, and the list is read more often; it is removed when the command ends
        choices["keys"] = context.with_resource(as_file(keys))
    job = job_of(**choices)  # what is wrong usage is said before a server is started
    if json and not check:
        raise typer.BadParameter("--json is about --check; give both, or neither")
    if check:
        show_check(job, as_json=json)
        return
    check_places(job)
    with prefect_session(say, meanwhile=lambda: load_restorer(job.network)):
        from prefect import tags
        from prefect.exceptions import CancelledRun

        from flows.restore import restore as restore_flow
        from flows.session.server import WATCHED

        try:
            with tags(WATCHED):
                summary = restore_flow(**choices)
        except CancelledRun as wish:
            raise RunStopped(f"{wish}") from None
    report(summary)
    if summary["failed"]:
        raise typer.Exit(3)


def report(summary: Summary) -> None:
    """What became of the run, and every failure by name (the first ones, where there are many)."""
    from oldphoto_core.reports.page.build import INDEX_KEY
    from oldphoto_core.runs.run import failed_rows
    from oldphoto_core.storage import Bucket

    for row in failed_rows(summary)[:FAILURES_SHOWN]:
        say(f"failed: {row.key}: {row.reason}: {row.detail}")
    if summary["failed"] > FAILURES_SHOWN:
        say(f"... and {summary['failed'] - FAILURES_SHOWN} more, in the ledger")
    for warning in summary.get("warnings", ()):
        say(f"note: {warning}")
    if summary["masks"]["without a photo"]:
        say(f"note: {summary['masks']['without a photo']} masks belong to no photo of the source")
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary["skipped_reasons"].items())
    if not summary["restored"] and not summary["failed"]:
        show(f"nothing new to restore: {summary['found']} files found ({reasons})")
    else:
        show(
            f"{summary['found']} files found: {summary['restored']} restored, {summary['skipped']} skipped"
            f"{f' ({reasons})' if reasons else ''}, {summary['failed']} failed;"
            f" {summary['megapixels']:.1f} megapixels in {summary['seconds']:.0f} s"
        )
    if summary["restored"] or "already restored" in summary["skipped_reasons"]:
        show(f"restored photos: {summary['target']}/photos")
    run = f"{summary['target']}/runs/{summary['run_id']}"
    show(f"ledger and summary: {run}")
    if Bucket(run).info(INDEX_KEY) is not None:
        show(f"report: {run}/{INDEX_KEY}")
    elif summary["options"].get("report", True):
        say(
            "note: the report could not be written;"
            f" oldphoto report {summary['target']} {summary['run_id']} tries again"
        )
