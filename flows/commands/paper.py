"""`oldphoto paper-table`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import typer

from flows.commands.terminal import known_device, names_of, say, show, show_text

_UNITS = {"s": 1, "m": 60, "h": 3600}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="paper-table")(paper_table)


def paper_table(
    clean: Annotated[str, typer.Option(metavar="URL", help="Clean photos.")],
    old: Annotated[str, typer.Option(metavar="URL", help="Real old photos.")],
    out: Annotated[str, typer.Option(metavar="URL", help="Receives models, pictures and the table.")],
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="CPU time that each row is trained: 90s, 60m, 2h.")
    ] = "60m",
    rows: Annotated[str, typer.Option(metavar="A,B,...", help="Rows by name; all unless given.")] = "",
    preset: Annotated[Literal["compact", "dense", "paper"], typer.Option(help="Shapes of the networks.")] = "compact",
    recipe: Annotated[str, typer.Option(help="How the photos of the table are degraded.")] = "archive",
    seed: Annotated[int, typer.Option(help="Of the trainings.")] = 1,
    holdout: Annotated[int, typer.Option(min=1, help="Last photos of each name prefix: the table is of them.")] = 40,
    batch: Annotated[int, typer.Option(min=0, help="Crops a step; 0 = each stage's own.")] = 0,
    crop: Annotated[int, typer.Option(min=0, help="Side of a training crop; 0 = each stage's own.")] = 0,
    device: Annotated[str, typer.Option(callback=known_device, help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Train rivals, ablations and our method at one budget, and measure all: the paper's table on your photos."""
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.evaluation.paper import PaperConfig, rows_named
    from oldphoto_core.evaluation.paper.table import photos_of
    from oldphoto_core.storage import Bucket

    names = names_of(rows)
    config = PaperConfig(
        budget=_seconds(budget), preset=preset, recipe=recipe, seed=seed, holdout=holdout, crop=crop, batch=batch
    )  # fmt: skip
    for row in rows_named(names):
        if row.is_trained:
            config.stages(row)
        photos_of(Bucket(clean), Bucket(old), row, config)
    Bucket(out).check_writable()
    with prefect_session(say):
        from flows.paper_table import paper_table as paper_table_flow

        text = paper_table_flow(clean, old, out, config, names, device)
    show_text(text)
    show(f"table: {out}/table.md, table.csv, table.tex, table.png")


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if not match or not float(match[1]):
        raise typer.BadParameter(f"{text!r} is no time: write it as 90s, 60m or 2h", param_hint="--budget")
    return float(match[1]) * _UNITS[match[2]]
