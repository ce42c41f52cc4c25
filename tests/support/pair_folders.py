"""Folders as `oldphoto synthesize` writes them, made in this process: Dask takes seconds to come up."""

from __future__ import annotations

from oldphoto_core.degradation import write_pair_shard
from oldphoto_core.degradation.synthesis import SynthesisConfig, plan_shards, write_index
from oldphoto_core.storage import Bucket


def paired(clean: Bucket, target: Bucket, config: SynthesisConfig) -> Bucket:
    """`target`, with all that was asked for."""
    write_index(target, [write_pair_shard(shard, clean, target) for shard in plan_shards(clean, config)])
    return target
