"""The champion trained further on what has arrived, compared with itself as it was, and replaced if that is better.

plan -> vae_old -> mapping -> judge -> promote or not -> report
"""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from flows.progress import CountProgress
from flows.training_artifacts import as_image, with_artifacts
from flows.training_progress import TrainingProgress
from oldphoto_core.errors import TooFewPhotos
from oldphoto_core.retraining import Outcome, Plan, RetrainConfig, make_plan, occupied
from tasks.retraining import conclude_retraining, open_retraining, train_challenger

DEFAULTS = RetrainConfig(incoming="", clean="", registry="")


@flow(name="retrain", persist_result=False, retries=0, log_prints=False)
def retrain(
    incoming: Annotated[str, Field(description="Bucket in which old photos arrive")],
    clean: Annotated[str, Field(description="Bucket of clean photos")],
    registry: Annotated[str, Field(description="Registry that has the champion")],
    old: Annotated[str | None, Field(description="Bucket of earlier old photos")] = DEFAULTS.old,
    minimum: Annotated[int, Field(ge=1, description="New photos below which nothing is trained")] = DEFAULTS.minimum,
    dry_run: Annotated[bool, Field(description="Only say what would be done")] = False,
    device: Annotated[str, Field(description="auto, cpu, cuda or cuda:N")] = "auto",
    settings: Annotated[dict[str, Any] | None, Field(description="Further fields of RetrainConfig")] = None,
    quiet: Annotated[bool, Field(description="Too little that is new, or no places, is no failure")] = False,
) -> Outcome | Plan | None:
    """Retrain; run again with the same parameters, it goes on where it was. None: there was nothing to do.

    Raises TooFewPhotos if too little is new, unless `quiet`.
    """
    if quiet and not (incoming and clean and registry):
        get_run_logger().info("nothing to do: this deployment was given no places")
        return None
    places: dict[str, Any] = {"incoming": incoming, "clean": clean, "registry": registry, "old": old}
    config = RetrainConfig(**places, minimum=minimum, **(settings or {}))
    try:
        return make_plan(config) if dry_run else _retrain(config, device)
    except TooFewPhotos as error:
        if not quiet:
            raise
        get_run_logger().info("nothing to do: %s", error)
        return None


def _retrain(config: RetrainConfig, device: str) -> Outcome:
    with occupied(config.registry) as lease:
        plan = open_retraining(config)
        for stage in plan.stages():
            lease.check()
            with TrainingProgress(stage.stage, stage.steps, stage.batch) as progress:
                seen = with_artifacts(progress, stage.stage, plan.place.join(stage.stage))
                train_challenger(plan, stage, seen, device)
        with CountProgress("judging", plan.restorations) as judging:
            outcome = conclude_retraining(plan, judging.advance, lease.check)
    page = f"{outcome.report}\n{as_image(plan.place, 'chart.png')}\n"
    create_markdown_artifact(page, key="retrain", description=f"{outcome.challenger}: {outcome.decision}")
    return outcome
