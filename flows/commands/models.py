"""`oldphoto models list | show | import | publish | promote | rollback | history`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.terminal import RegistryOption, names_of, say, show, show_json, table

if TYPE_CHECKING:
    from oldphoto_core.checkpoints import ModelCard

Why = Annotated[str, typer.Option(metavar="TEXT", help="The reason, for the history.")]
Who = Annotated[str, typer.Option(metavar="NAME", help="Who decided it; by default user@machine.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="The networks' weights: which there are, and what they can do.", no_args_is_help=True)
    group.command("list")(list_models)
    group.command("show")(show_model)
    importing = typer.Typer(help="Make weights from elsewhere models of oldphoto.", no_args_is_help=True)
    importing.callback()(_from_elsewhere)
    importing.command("official")(import_official)
    group.add_typer(importing, name="import")
    for command in (publish, promote, rollback, history):
        group.command()(command)
    app.add_typer(group, name="models")


def _from_elsewhere() -> None:
    """Make weights from elsewhere models of oldphoto."""


def list_models(
    registry: RegistryOption = None,
    reviews: Annotated[
        str, typer.Option(metavar="URL,...", help="Targets in which curators decided: which share they accepted.")
    ] = "",
) -> None:
    """Names of the models that come with oldphoto, of imported ones, and of the registry's, one line each."""
    from oldphoto_core.checkpoints import Registry, imported_models, read_card, shipped_models
    from oldphoto_core.checkpoints.store import TONE
    from oldphoto_core.errors import DamagedWeights
    from oldphoto_core.reviews.shares import reviewed_by_model
    from oldphoto_core.storage import Bucket

    shares = reviewed_by_model(Bucket(url) for url in names_of(reviews)) if reviews else {}

    def summary(card: ModelCard) -> str:
        share = shares.get(card.restoring_digest(card.parts.get(TONE)))
        return f"{card.summary}{f'  [{share}]' if share else ''}"

    for name in [*shipped_models(), *imported_models()]:
        card = read_card(name)
        show(f"{name}  {card.preset}  {card.weights_sha256[:12]}  {summary(card)}")
    if registry is None:
        return
    there = Registry(registry)
    now = there.current()
    pointers = {now[1].previous: "  (previous)", now[1].champion: "  (champion)"} if now else {}
    for reference in there.versions():
        try:
            card = read_card(there.folder(reference).url)
        except DamagedWeights as error:
            show(f"{reference}  cannot be used{pointers.get(reference, '')}: {error}")
            continue
        show(f"{reference}  {card.preset}  {card.weights_sha256[:12]}{pointers.get(reference, '')}  {summary(card)}")


def show_model(
    name: Annotated[
        str, typer.Argument(help="A name of `oldphoto models list`, champion, previous, or where weights lie.")
    ],
    registry: RegistryOption = None,
) -> None:
    """The model card: data, training, lineage, metrics, limits."""
    from oldphoto_core.checkpoints import place_of, read_card

    show_json(read_card(place_of(name, registry)).to_json().rstrip())


def publish(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name, folder or URL of a model.")],
    version: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="What it becomes in the registry.")],
    registry: RegistryOption = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="What it was trained on and under what terms; repeatable.")
    ] = None,
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Terms of the weights.")] = "",
) -> None:
    """Copy a model into the registry as a version that nothing replaces. It is nobody's champion yet."""
    from oldphoto_core.checkpoints import Registry, publish_version

    there = Registry(registry)
    card = publish_version(there, model, version, data=data or (), licence=licence)
    show(f"published: {version} ({card.weights_sha256[:12]}) in {there.folder(version).url}")


def promote(
    version: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="A published version.")],
    why: Why,
    registry: RegistryOption = None,
    who: Who = "",
    replacing: Annotated[
        str | None, typer.Option(metavar="NAME@VERSION", help="Refuse unless this is the champion until then.")
    ] = None,
) -> None:
    """Make a version the champion, which `--model champion` means; the champion until then becomes `previous`."""
    from oldphoto_core.checkpoints import Registry

    done = Registry(registry).promote(version, why=why, who=who, replacing=replacing)
    show(f"champion: {done.champion}; previous: {done.previous or 'none'}")


def rollback(why: Why, registry: RegistryOption = None, who: Who = "") -> None:
    """Undo the last promotion that was not undone yet."""
    from oldphoto_core.checkpoints import Registry

    done = Registry(registry).rollback(why=why, who=who)
    show(f"champion: {done.champion}; previous: {done.previous or 'none'}")


def history(registry: RegistryOption = None) -> None:
    """Every promotion and rollback: who, when, why."""
    from oldphoto_core.checkpoints import Registry

    rows = [
        (str(number), done.when, done.action, done.champion, done.who, done.why)
        for number, done in Registry(registry).history()
    ]
    table(("number", "when", "what", "champion", "who", "why"), rows, most=len(rows))


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
