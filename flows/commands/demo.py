"""`oldphoto demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.restore import report
from flows.commands.terminal import say, show
from oldphoto_core.inference.network_options import DEFAULT_NETWORK, NetworkOptions


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    folder: Annotated[str, typer.Argument(help="Where the collection and the results go.")] = "demo",
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Weights by name, or where they lie.")
    ] = DEFAULT_NETWORK.model,
) -> None:
    """Make a small collection of old photos, restore it, and show the result: no network, bucket or account needed."""
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.inference.models import load_restorer
    from oldphoto_core.samples.demo import draw_sheet, lay_out

    places = lay_out(folder)
    say(f"made {places.count} old photos in {places.source} ({places.damaged} damaged, masks in {places.masks})")
    with prefect_session(say, meanwhile=lambda: load_restorer(NetworkOptions(model=model))):
        from flows.restore import restore

        # masks as a person has checked them: what the detector finds by itself is shown in docs/detection.md
        summary = restore(places.source.url, places.restored.url, places.masks.url, model, masks_only=True)
    report(summary)
    sheet = draw_sheet(places)
    show(f"before and after, side by side: {sheet.path}")
    psnr = f"{sheet.psnr_old:.1f} dB old, {sheet.psnr_restored:.1f} dB restored"
    show(f"PSNR against the photos before they were aged: {psnr}")
    if summary["failed"]:
        raise typer.Exit(3)
