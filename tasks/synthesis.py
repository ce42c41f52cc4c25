"""Make paired shards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from oldphoto_core.degradation import PairShard
from oldphoto_core.degradation import synthesis as core
from oldphoto_core.storage import Bucket
from tasks.retrying import RETRY_SECONDS, cluster_was_lost


@task(
    task_run_name="synthesize-shards",
    tags={"synthesize"},
    retries=2,
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=cluster_was_lost,
    timeout_seconds=None,  # as long as the pairs need
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def synthesize_shards(
    shards: list[PairShard],
    clean: str,
    target: str,
    on_shard: Callable[[dict[str, Any]], None],
    dask: str | None,
    on_link: Callable[[str], None],
) -> dict[str, Any]:
    """Make every shard that is missing, over Dask; shards that lie there are kept."""
    result = core.synthesize_shards(shards, Bucket(clean), Bucket(target), on_shard, dask, on_link)
    get_run_logger().info("%d pairs made, %.1f photos/s", result["made"], result["photos_per_second"])
    return result
