"""A blind study: drawn photos restored by several methods, for people to rank."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.progress import CountProgress
from oldphoto_core.study.making import StudyConfig
from oldphoto_core.study.study import Study
from tasks.study import make_study as make_study_task


@flow(name="make study", persist_result=False, retries=0, log_prints=False)
def make_study(
    methods: Annotated[list[str], Field(description="Methods: opencv, sequential, dip, or models")],
    photos: Annotated[str, Field(description="Bucket of photos")],
    out: Annotated[str, Field(description="Folder that receives the study")],
    count: Annotated[int, Field(ge=1, description="Photos that are drawn")] = 25,
    seed: Annotated[int, Field(description="Seed by which they are drawn")] = 7,
    side: Annotated[int, Field(description="Longer side to which photos are shrunk first")] = 1024,
) -> Study:
    """Writes OUT/study.json and its pictures."""
    with CountProgress("restoring", count) as done:
        return make_study_task(methods, photos, out, StudyConfig(count=count, seed=seed, side=side), done.advance)
