"""A sheet: photos and what several methods make of them, side by side."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.logging import get_run_logger
from pydantic import Field

from flows.progress import CountProgress
from oldphoto_core.evaluation import sheet as core
from oldphoto_core.evaluation.named import named_methods
from oldphoto_core.evaluation.sheet import SheetConfig
from oldphoto_core.storage import Bucket


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

        drawn = core.draw_sheet(Bucket(photos), named_methods(methods), form, config, on_photo)
        Bucket(place).write(name, drawn)
    get_run_logger().info("sheet of %d methods", len(methods))
