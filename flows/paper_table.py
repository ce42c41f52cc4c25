"""The paper's table: rivals, ablations and our method, trained at one budget and measured on the same photos.

plan -> for each row: its stages -> its model -> what it makes of the photos -> the table
"""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from flows.progress import CountProgress
from flows.training_artifacts import as_image, with_artifacts
from flows.training_progress import TrainingProgress
from oldphoto_core.evaluation.paper import PaperConfig, Plan, Row, rows_named
from oldphoto_core.evaluation.paper.table import model_of, photos_of, place_of_row
from oldphoto_core.storage import Bucket
from oldphoto_core.training.assembling import publish, publish_baseline
from tasks.paper import plan_table, restore_row, write_table
from tasks.training import train_stage


@flow(name="paper table", persist_result=False, retries=0, log_prints=False)
def paper_table(
    clean: Annotated[str, Field(description="Bucket of clean photos")],
    old: Annotated[str, Field(description="Bucket of real old photos")],
    out: Annotated[str, Field(description="Bucket that receives models, pictures and the table")],
    config: Annotated[PaperConfig, Field(description="Budget, networks and photos")],
    rows: Annotated[list[str] | None, Field(description="Rows by name; none: all")] = None,
    device: Annotated[str, Field(description="auto, cpu, cuda or cuda:N")] = "auto",
) -> str:
    """Writes OUT/table.*; returns the table as Markdown. Run again with the same parameters, it goes on."""
    chosen = rows_named(rows or [])
    names = [row.name for row in chosen]
    plan = plan_table(clean, old, out, names, config, device)
    for row in chosen:
        if row.is_trained:
            _train(plan, row, clean, old, out, device)
        with CountProgress(f"restoring, {row.name}", photos_of(Bucket(clean), Bucket(old), row, config)) as done:
            restore_row(clean, old, out, row.name, config, done.advance, device)
    text = write_table(clean, old, out, names, config)
    page = f"{text}\n\n{as_image(Bucket(out), 'table.png')}"
    create_markdown_artifact(page, key="paper-table", description=f"The paper's table on {clean}")
    return text


def _train(plan: Plan, row: Row, clean: str, old: str, out: str, device: str) -> None:
    place = place_of_row(Bucket(out), row)
    for config in plan.stages(row):
        with TrainingProgress(f"{row.name}, {config.stage}", config.steps, config.batch) as progress:
            seen = with_artifacts(progress, config.stage, place.join(config.stage))
            train_stage(config, clean, old, place.url, seen, device)
    _publish(plan, row, out, place)


def _publish(plan: Plan, row: Row, out: str, place: Bucket) -> None:
    """Put the trained stages together as the row's model, unless it is there."""
    if Bucket(model_of(Bucket(out), row)).info("card.json") is not None:
        return
    config = plan.stages(row)[-1]
    if row.kind == "baseline":
        publish_baseline(config, place, name=row.name)
    else:
        publish(config, place, name=row.name)
