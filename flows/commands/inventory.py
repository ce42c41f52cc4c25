"""`oldphoto inventory`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.terminal import DaskOption, in_words, say, show


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(inventory)


def inventory(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Folder or URL of a collection; only ever read.")],
    out: Annotated[str, typer.Option(metavar="FILE|URL", help="The table: ends in .parquet or .csv.")],
    dask: DaskOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many objects.")] = None,
) -> None:
    """Checksums, formats and quality of everything in a collection, a row each. A rerun examines what is new.

    Exit codes: 0 everything was examined, 1 could not be done, 2 wrong usage, 3 done but some objects failed.
    """
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.inventory.collection import check_places
    from oldphoto_core.storage import Bucket

    check_places(Bucket(source), out)
    with prefect_session(say):
        from flows.inventory import inventory as inventory_flow

        report = inventory_flow(source, out, dask, limit)
    show(
        f"{report.found} objects: {report.examined} examined, {report.others} not images, {report.failed} failed;"
        f" {report.kept} were known already; {in_words(report.bytes_read)} read in {report.seconds:.1f} s"
    )
    show(f"inventory: {out}")
    if report.failed:
        raise typer.Exit(3)
