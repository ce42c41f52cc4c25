"""A blind study: drawn photos restored by several methods, for people to rank."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.logging import get_run_logger
from pydantic import Field

from flows.progress import CountProgress
from oldphoto_core.evaluation.named import named_methods
from oldphoto_core.storage import Bucket
from oldphoto_core.study import making as core
from oldphoto_core.study.making import StudyConfig
from oldphoto_core.study.study import Study


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
        config = StudyConfig(count=count, seed=seed, side=side)
        study = core.make_study(Bucket(photos), Bucket(out), named_methods(methods), config, done.advance)
    get_run_logger().info("study of %d photos by %d methods", len(study.photos), len(study.methods))
    return study
