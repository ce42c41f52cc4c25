"""Draw a sheet of methods side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.evaluation.named import named_methods
from oldphoto_core.evaluation.sheet import SheetConfig
from oldphoto_core.evaluation.sheet import draw_sheet as core_draw_sheet
from oldphoto_core.storage import Bucket


@task(cache_policy=NO_CACHE, persist_result=False, retries=0, log_prints=False)
def draw_sheet(
    methods: Sequence[str],
    photos: str,
    place: str,
    name: str,
    form: str,
    config: SheetConfig,
    on_photo: Callable[[str, str], None],
) -> None:
    """Drawn photos by each method, as the file `name` in the bucket `place`."""
    Bucket(place).write(name, core_draw_sheet(Bucket(photos), named_methods(methods), form, config, on_photo))
    get_run_logger().info("sheet of %d methods", len(methods))
