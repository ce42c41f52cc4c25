"""`oldphoto report`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.terminal import show


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Folder or URL that photos were restored into.")],
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run: a folder of TARGET/runs.")],
) -> None:
    """Make the report of a run again, from its ledger and its thumbnails; also of a run that was killed.

    Exit codes: 0 done, 1 could not be done, 2 no such run.
    """
    from oldphoto_core.runs.run_report import make_report
    from oldphoto_core.storage import Bucket

    place = Bucket(target)
    show(f"report: {place}/{make_report(place, run)}")
