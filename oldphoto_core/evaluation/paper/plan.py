"""How many steps of each stage a budget of CPU time buys, measured once and kept with the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from oldphoto_core.errors import ConfigError, TrainingError
from oldphoto_core.evaluation.compare import EvaluationConfig
from oldphoto_core.evaluation.paper.rows import Row
from oldphoto_core.storage import Bucket
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.progress.pace import cpu_seconds_a_step, shortened
from oldphoto_core.training.run import configs_for

PLAN = "plan.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperConfig:
    """What a table is of. Two tables with the same values, photos and machine are the same."""

    budget: float
    """CPU seconds that the training of each row takes, about: all stages of a model together."""
    preset: str = "compact"
    """Shapes of the networks."""
    recipe: str = "archive"
    """How the clean photos of the table are degraded; every method is given the mask of the damage."""
    seed: int = 1
    """Of the trainings."""
    holdout: int = 40
    """Last photos of each file name prefix: the table is of them, and nothing is trained on them."""
    crop: int = 0
    """Side of a training crop in pixels; 0: each stage's own."""
    batch: int = 0
    """Crops a step; 0: each stage's own."""
    evaluated: int = 256
    """Side of the evaluated centre crops, in pixels."""

    def __post_init__(self) -> None:
        """Refuses budgets that buy nothing, and what trainings and evaluations refuse."""
        if not self.budget > 0:
            raise ConfigError(f"PaperConfig.budget is {self.budget:g} s; give more than 0")
        if self.holdout < 1:
            raise ConfigError(f"PaperConfig.holdout is {self.holdout}; give at least 1, for the table is of those")
        self.evaluation()

    def evaluation(self) -> EvaluationConfig:
        """What every row is measured on."""
        return EvaluationConfig(recipe=self.recipe, crop=self.evaluated, holdout=self.holdout, scratched=True)

    def stages(self, row: Row) -> list[StageConfig]:
        """The stages of a trained row with their usual steps; masks are given, so no detector is trained."""
        given = {"seed": self.seed, "holdout": self.holdout, "crop": self.crop, "batch": self.batch}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value or name in ("seed", "holdout")}
        if row.kind == "baseline":
            return configs_for(row.name, self.preset, **changes)
        configs = configs_for("all", self.preset, ablation=row.ablation, **changes)
        return [config for config in configs if config.stage != "scratches"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of every stage of the trained rows."""

    config: PaperConfig
    steps: Mapping[str, Mapping[str, int]]
    """Row -> stage -> steps."""

    def stages(self, row: Row) -> list[StageConfig]:
        """The stages of a row for the budget."""
        return [shortened(config, self.steps[row.name][config.stage]) for config in self.config.stages(row)]


Timed = Callable[[StageConfig], float]
"""A stage -> CPU seconds a step."""


def make_plan(
    config: PaperConfig, rows: Sequence[Row], clean: Bucket, old: Bucket, out: Bucket, device: str = "auto",
    timed: Timed | None = None,
) -> Plan:  # fmt: skip
    """The plan that OUT has, with rows that it has not yet; written there before anything is trained.

    The stages of a row share its budget as they share the time of a usual training. `timed` measures a stage; None:
    by some steps on the photos.

    Raises:
        TrainingError: OUT holds a table with other settings.
    """
    timed = timed or (lambda stage: cpu_seconds_a_step(stage, clean, old, device))
    settings = json.loads(json.dumps(asdict(config)))
    known = _known(out, settings)
    for row in rows:
        if row.is_trained and row.name not in known:
            known[row.name] = _steps(config, row, timed)
            record = {"settings": settings, "rows": known}
            out.write(PLAN, json.dumps(record, indent=2).encode())
    return Plan(
        config, {name: {stage: int(each["steps"]) for stage, each in row.items()} for name, row in known.items()}
    )


def _steps(config: PaperConfig, row: Row, timed: Timed) -> dict[str, Any]:
    stages = config.stages(row)
    costs = {stage.stage: 0.0 if _is_copied(stage) else timed(stage) for stage in stages}
    whole = sum(costs[stage.stage] * stage.steps for stage in stages)
    share = config.budget / max(whole, 1e-9)
    return {
        stage.stage: {"steps": max(1, round(stage.steps * share)), "cpu_seconds_a_step": round(costs[stage.stage], 4)}
        for stage in stages
    }


def _is_copied(stage: StageConfig) -> bool:
    return stage.shared_autoencoder and stage.stage == "vae_clean"


def _known(out: Bucket, settings: dict[str, Any]) -> dict[str, Any]:
    if out.info(PLAN) is None:
        return {}
    try:
        found = json.loads(out.read(PLAN))
        before, rows = dict(found["settings"]), dict(found["rows"])
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{out.url}/{PLAN} is no plan of a table ({error}); give another --out") from error
    differing = [
        f"{name} was {before.get(name)}, now {value}" for name, value in settings.items() if before.get(name) != value
    ]
    if differing:
        raise TrainingError(
            f"{out.url} holds a table with other settings ({', '.join(differing[:3])}); give those again, or another"
            " --out"
        )
    return rows
