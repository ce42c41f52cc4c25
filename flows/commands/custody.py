"""`oldphoto audit` and `oldphoto rollback`: what lies in a target, and how to take a run out of it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.terminal import say, show, table

if TYPE_CHECKING:
    from oldphoto_core.custody import AuditReport, Rollback


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(audit)
    app.command()(rollback)


def audit(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Folder or URL that photos were restored into.")],
    out: Annotated[
        str | None, typer.Option(metavar="URL", help="Folder or URL for audit.json and audit.csv; none: not written.")
    ] = None,
) -> None:
    """Read every derivative, mask and decision again and hold it against its record. Nothing there is changed.

    Exit codes: 0 all is as recorded, 1 could not be done, 2 wrong usage, 3 something was found.
    """
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.custody.fixity import check_places
    from oldphoto_core.storage import Bucket

    check_places(Bucket(target), Bucket(out) if out is not None else None)
    with prefect_session(say):
        from flows.audit import audit as audit_flow

        report = audit_flow(target, out)
    report_findings(report)
    if out is not None:
        show(f"report: {Bucket(out).url}/audit.json, audit.csv")
    if report.findings:
        raise typer.Exit(3)


def report_findings(report: AuditReport) -> None:
    """What was found, and what is as it should be."""
    if report.findings:
        table(("finding", "object", "detail"), [(each.kind, each.key, each.detail) for each in report.findings])
    counts = ", ".join(f"{count} {kind}" for kind, count in report.counts.items())
    show(
        f"{report.derivatives} derivatives and {report.masks} masks are as recorded"
        f" ({report.bytes_read / 1e6:.1f} MB in {report.seconds:.1f} s); {counts}"
    )
    if report.decisions:
        show(f"the decisions about {report.decisions} photos are about what lies there")
    if report.unfinished_unknown:
        show(f"what killed writers began and left is not known: {report.unfinished_unknown}")
    if report.masks_not_recorded:
        show(f"{report.masks_not_recorded} masks lie there without a digest in their record, and were not compared")


def rollback(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Folder or URL that photos were restored into.")],
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run: a folder of TARGET/runs.")],
    check: Annotated[bool, typer.Option("--check", help="Only list what would be removed.")] = False,
    leave_altered: Annotated[
        bool, typer.Option("--leave-altered", help="Leave what was altered since the run, and remove the rest.")
    ] = False,
) -> None:
    """Remove what a run wrote (photos, masks, records), and only that. The same command completes a killed one.

    Exit codes: 0 done, 1 could not be done (something was altered since: it is listed), 2 no such run.
    """
    from flows.progress import CountProgress
    from oldphoto_core.custody import plan_rollback, roll_back
    from oldphoto_core.storage import Bucket

    with CountProgress("looking") as progress:
        plan = plan_rollback(Bucket(target), run, progress)
    if check:
        table(("what", "object", "detail"), [(f.fate, f.key, f.detail) for files in plan.photos for f in files])
        show(f"run {run}: {_counted(plan, 'to be removed')}; nothing was done")
        return
    before = plan.finished
    left = plan.of("altered") + plan.of("kept")
    if left:
        table(("what", "object", "detail"), [(file.fate, file.key, file.detail) for file in left])
    with CountProgress("removing") as progress:
        plan = roll_back(plan, leave_altered=leave_altered, on_photo=progress)
    if before and not plan.of("removed"):
        show(f"run {run} was rolled back already, {before}; nothing is left to remove")
    else:
        show(f"run {run}: {_counted(plan, 'removed')}; its ledger stays in {plan.target}/runs/{run}")


def _counted(plan: Rollback, done: str) -> str:
    """How many photos, masks and records, and what was left."""
    from oldphoto_core.custody.fixity import FOLDERS

    files = plan.of("removed")
    parts = [f"{sum(file.key.startswith(f'{folder}/') for file in files)} {folder}" for folder in FOLDERS]
    others = [(plan.of("gone"), "gone already"), (plan.of("altered"), "altered"), (plan.of("kept"), "kept")]
    rest = "".join(f", {len(found)} {what}" for found, what in others if found)
    return f"{', '.join(parts)} {done}{rest}"
