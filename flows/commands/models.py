"""`oldphoto models list | show | import`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.terminal import say, show


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="The networks' weights: which there are, and what they can do.", no_args_is_help=True)
    group.command("list")(list_models)
    group.command("show")(show_model)
    importing = typer.Typer(help="Make weights from elsewhere models of oldphoto.", no_args_is_help=True)
    importing.callback()(_from_elsewhere)
    importing.command("official")(import_official)
    group.add_typer(importing, name="import")
    app.add_typer(group, name="models")


def _from_elsewhere() -> None:
    """Make weights from elsewhere models of oldphoto."""


def list_models() -> None:
    """Names of the models that come with oldphoto and of those that were imported, one line each."""
    from oldphoto_core.checkpoints import imported_models, read_card, shipped_models

    for name in [*shipped_models(), *imported_models()]:
        card = read_card(name)
        show(f"{name}  {card.preset}  {card.weights_sha256[:12]}  {card.summary}")


def show_model(
    name: Annotated[str, typer.Argument(help="A name of `oldphoto models list`, or where weights lie.")],
) -> None:
    """The model card: data, training, metrics, limits."""
    from oldphoto_core.checkpoints import read_card

    show(read_card(name).to_json().rstrip())


def import_official(
    global_checkpoints: Annotated[
        str, typer.Option("--global", metavar="PATH", help="global_checkpoints.zip, or the folder it was unpacked to.")
    ],
    face_checkpoints: Annotated[
        str, typer.Option("--face", metavar="PATH", help="face_checkpoints.zip, or the folder it was unpacked to.")
    ] = "",
    to: Annotated[
        str, typer.Option(metavar="FOLDER", help="Folder of models; by default the one where names are looked up.")
    ] = "",
) -> None:
    """Convert the published checkpoints of "Bringing Old Photos Back to Life" into the model `official`."""
    from oldphoto_core.checkpoints import imported_models, read_card
    from oldphoto_core.checkpoints.importing import NAME, convert

    say("converting; this reads and writes up to 1.5 GB")
    folder = convert(global_checkpoints, face_checkpoints or None, to=to or None)
    card = read_card(folder)
    show(f"model: {folder} ({1 + len(card.parts)} files of weights, digest {card.weights_sha256[:12]})")
    found_by_name = NAME in imported_models() and read_card(NAME) == card
    show(f"restore with --model {NAME if found_by_name else folder}")
