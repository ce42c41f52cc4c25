"""`oldphoto sheet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.terminal import names_of, say, show

if TYPE_CHECKING:
    from oldphoto_core.evaluation.sheet import Square


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sheet)


def sheet(
    methods: Annotated[str, typer.Option(metavar="A,B,...", help="opencv, sequential, dip, or models.")],
    photos: Annotated[str, typer.Option(metavar="URL", help="Photos that are restored.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="Where the sheet goes: .png or .pdf.")],
    count: Annotated[int, typer.Option(min=1, max=20, help="Photos, drawn at random.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed draws the same photos.")] = 7,
    side: Annotated[int, typer.Option(min=32, max=4096, help="Longer side to which photos are shrunk first.")] = 768,
    crop: Annotated[
        list[str] | None, typer.Option(metavar="LEFT,TOP,SIDE", help="Square to enlarge; may be given again.")
    ] = None,
    crops: Annotated[int, typer.Option(min=0, max=4, help="Squares that are chosen where none is given.")] = 1,
) -> None:
    """Draw photos and what each method makes of them side by side, with enlarged crops, as PNG or PDF."""
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.evaluation.named import named_methods
    from oldphoto_core.evaluation.sampling import drawn
    from oldphoto_core.evaluation.sheet import SheetConfig, check_format
    from oldphoto_core.storage import Bucket

    place, _, name = out.rpartition("/")
    form = check_format(name)
    config = SheetConfig(
        count=count, seed=seed, side=side, chosen=crops, crops=tuple(_square(each) for each in crop or ())
    )  # fmt: skip
    names = names_of(methods)
    named_methods(names)
    drawn(Bucket(photos), seed)
    folder = place or ("/" if out.startswith("/") else ".")
    Bucket(folder).check_writable()
    with prefect_session(say):
        from flows.sheet import draw_sheet

        draw_sheet(names, photos, folder, name, form, config)
    show(f"sheet: {out}")


def _square(text: str) -> Square:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise typer.BadParameter(f"{text!r} is no square; write LEFT,TOP,SIDE in pixels, such as 40,60,96")
    left, top, side = (int(part) for part in parts)
    return left, top, side
