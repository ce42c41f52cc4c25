"""A sheet: photos and what several methods make of them, side by side."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.progress import CountProgress
from oldphoto_core.evaluation.sheet import SheetConfig
from tasks.sheet import draw_sheet as draw_sheet_task


@flow(name="draw sheet", persist_result=False, retries=0, log_prints=False)
def draw_sheet(
    methods: Annotated[list[str], Field(description="Methods: opencv, sequential, dip, or models")],
    photos: Annotated[str, Field(description="Bucket of photos")],
    place: Annotated[str, Field(description="Bucket that receives the sheet")],
    name: Annotated[str, Field(description="Name of the sheet")],
    form: Annotated[str, Field(description="png or pdf")],
    config: Annotated[SheetConfig, Field(description="Photos and crops")],
) -> None:
    """Writes the sheet."""
    with CountProgress("restoring", config.count) as done:

        def on_photo(key: str, reason: str) -> None:
            if reason:
                done.note(f"left out: {key}: {reason}")
            else:
                done.advance()

        draw_sheet_task(methods, photos, place, name, form, config, on_photo)
