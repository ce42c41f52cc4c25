"""Make a blind study."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.evaluation.named import named_methods
from oldphoto_core.storage import Bucket
from oldphoto_core.study.making import StudyConfig
from oldphoto_core.study.making import make_study as core_make_study
from oldphoto_core.study.study import Study


@task(cache_policy=NO_CACHE, persist_result=False, retries=0, log_prints=False)
def make_study(
    methods: Sequence[str], photos: str, out: str, config: StudyConfig, on_photo: Callable[[], None]
) -> Study:
    """Drawn photos by each method, written as a study."""
    study = core_make_study(Bucket(photos), Bucket(out), named_methods(methods), config, on_photo)
    get_run_logger().info("study of %d photos by %d methods", len(study.photos), len(study.methods))
    return study
