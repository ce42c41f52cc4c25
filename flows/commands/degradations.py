"""`oldphoto degradations`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.terminal import show


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(degradations)


def degradations(
    out: Annotated[str, typer.Argument(help="Folder or URL that receives the sheets.")],
    photos: Annotated[
        str | None, typer.Option(metavar="URL", help="Photos to show it on; by default those of the demo.")
    ] = None,
    outlines: Annotated[
        str | None, typer.Option(metavar="URL", help="Outlines of real damage: shows film_damage, too.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws other defects.")] = 7,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Side of each picture, in pixels.")] = 256,
) -> None:
    """Draw every operation of the recipe `archive` from weak to strong, and whole mixtures with their masks."""
    from oldphoto_core.samples.degradation_sheets import draw_sheets
    from oldphoto_core.storage import Bucket

    given, library = (Bucket(url) if url else None for url in (photos, outlines))
    for path in draw_sheets(Bucket(out), given, outlines=library, seed=seed, size=size):
        show(f"sheet: {path}")
