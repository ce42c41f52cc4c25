"""Clean photos in, paired shards (clean, degraded, mask, recipe) out; Dask over all cores, resumable."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from flows.progress import CountProgress
from oldphoto_core.degradation import recipe_named, with_film_damage
from oldphoto_core.degradation.synthesis import SynthesisConfig, plan_shards
from oldphoto_core.storage import Bucket
from tasks.synthesis import synthesize_shards

DEFAULTS = SynthesisConfig()


@flow(name="synthesize", persist_result=False, retries=0, log_prints=False)
def synthesize(
    clean: Annotated[str, Field(description="Bucket of clean photos")],
    target: Annotated[str, Field(description="Bucket that receives the shards")],
    count: Annotated[int, Field(ge=0, description="Pairs in all; 0 = one for each photo")] = DEFAULTS.count,
    seed: Annotated[int, Field(description="Seed of every item")] = DEFAULTS.seed,
    recipe: Annotated[str, Field(description="Name of the degradation recipe")] = DEFAULTS.recipe.name,
    crop: Annotated[int, Field(ge=16, description="Side of the crop of each photo, in pixels")] = DEFAULTS.crop,
    pairs_per_shard: Annotated[int, Field(ge=1, description="Pairs in one tar file")] = DEFAULTS.pairs_per_shard,
    outlines: Annotated[str | None, Field(description="Bucket of outlines that film_damage draws")] = None,
    dask: Annotated[str | None, Field(description="Address of a running Dask scheduler")] = None,
) -> dict[str, Any]:
    """Make what is missing; returns counts and photos/s."""
    chosen = recipe_named(recipe)
    if outlines is not None:
        chosen = with_film_damage(chosen, Bucket(outlines))
    config = SynthesisConfig(count=count, seed=seed, crop=crop, pairs_per_shard=pairs_per_shard, recipe=chosen)
    shards = plan_shards(Bucket(clean), config)
    total = sum(len(shard.keys) for shard in shards)
    finished: dict[str, int] = {}
    with CountProgress("synthesizing", total) as show:

        def on_shard(sidecar: dict[str, Any]) -> None:
            # by name: a task that is retried goes through the shards that are there already once more
            finished[sidecar["shard"]] = sidecar["items"] + len(sidecar["failed"])
            show(sum(finished.values()), total)

        result = synthesize_shards(
            shards,
            clean,
            target,
            on_shard,
            dask,
            lambda link: show.note(f"Dask dashboard: {link}"),
        )
    create_table_artifact(
        key="synthesize",
        table=[
            {"what": name, "figure": result[name]}
            for name in ("pairs", "made", "shards", "seconds", "photos_per_second")
        ],
        description=f"Pairs from {clean} in {target}",
    )
    return result
