"""Staged training: each stage is a task that goes on from its last checkpoint, then the model is put together.

vae_old -> vae_clean -> mapping -> joint -> (scratches and tone, which need none of them) -> OUT/model
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from flows.training_artifacts import with_artifacts
from flows.training_progress import TrainingProgress
from oldphoto_core.storage import Bucket
from oldphoto_core.training.assembling import has_triplet, publish, publish_baseline
from oldphoto_core.training.config import BASELINES
from oldphoto_core.training.run import configs_for
from tasks.training import train_stage

StageChoice = Literal[
    "all", "vae_old", "vae_clean", "mapping", "joint", "scratches", "tone", "pix2pix", "cyclegan", "attention"
]


@flow(name="train", persist_result=False, retries=0, log_prints=False)
def train(
    stage: Annotated[StageChoice, Field(description="One stage, or all of them in order")],
    clean: Annotated[str, Field(description="Bucket of clean photos (domain Y)")],
    old: Annotated[str, Field(description="Bucket of real old photos (domain R)")],
    out: Annotated[str, Field(description="Bucket that receives checkpoints, logs, charts and the model")],
    preset: Annotated[Literal["compact", "dense", "paper"], Field(description="Shapes of the networks")] = "compact",
    device: Annotated[str, Field(description="auto, cpu, cuda or cuda:N")] = "auto",
    name: Annotated[str, Field(description="Name of the model, for its card")] = "trained",
    changes: Annotated[dict[str, Any] | None, Field(description="Fields of StageConfig to set in every stage")] = None,
    processes: Annotated[int, Field(ge=1, description="Processes of this machine that train together")] = 1,
    joint: Annotated[bool, Field(description="Whether `all` trains the stage joint, and the model has it")] = True,
    ablation: Annotated[str, Field(description="Name of an ablation, or nothing")] = "",
) -> list[dict[str, Any]]:
    """Train; returns what each stage cost. Run again with the same parameters, it goes on where it was."""
    configs = configs_for(stage, preset, joint=joint, ablation=ablation, **(changes or {}))
    results = []
    for config in configs:
        with TrainingProgress(config.stage, config.steps, config.batch) as progress:
            seen = with_artifacts(progress, config.stage, Bucket(out).join(config.stage))
            results.append(train_stage(config, clean, old, out, seen, device, processes))
    if stage in BASELINES:
        publish_baseline(configs[-1], Bucket(out), name=name)
    elif has_triplet(Bucket(out)):
        publish(configs[-1], Bucket(out), name=name, joint=joint)
    create_table_artifact(
        key="train",
        table=[
            {"stage": result["config"]["stage"], **{k: v for k, v in result.items() if isinstance(v, int | float)}}
            for result in results
        ],
        description=f"Training of {name} in {out}",
    )
    return results
