"""`oldphoto export`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.terminal import say, show


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Folder or URL into which photos were restored.")],
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Id of a finished run; without it, everything that lies in TARGET.")
    ] = "",
    premis: Annotated[bool, typer.Option("--premis", help="PREMIS 3: objects, events and agents, as XML.")] = False,
    bagit: Annotated[bool, typer.Option("--bagit", help="A BagIt bag whose payload stays where it is.")] = False,
    iiif: Annotated[
        str, typer.Option(metavar="URL", help="A IIIF manifest; URL is where TARGET is served (https://...).")
    ] = "",
    originals: Annotated[str, typer.Option(metavar="URL", help="Where the originals are served; with --iiif.")] = "",
    dublin_core: Annotated[bool, typer.Option("--dublin-core", help="Dublin Core, as CSV.")] = False,
) -> None:
    """Write the records of a run in the forms that archives exchange. Doing it again changes nothing."""
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.reports.exports.run import ExportOptions

    # what is wrong usage is said before a server is started
    ExportOptions(premis=premis, bagit=bagit, dublin_core=dublin_core, iiif=iiif, originals=originals)
    with prefect_session(say):
        from flows.export import export as export_flow

        result = export_flow(target, run, premis, bagit, dublin_core, iiif, originals)
    for reason, count in result["left_out"].items():
        say(f"left out: {count} {reason}")
    show(f"exported {result['photos']} photos")
    for key in result["written"]:
        show(f"written: {target.rstrip('/')}/{key}")
