"""Models beside baselines on held-out photos, without and with damage, and on real old photos."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from flows.progress import CountProgress
from flows.training_artifacts import as_image
from oldphoto_core.evaluation import Backbones, EvaluationConfig
from oldphoto_core.evaluation.compare import held_out
from oldphoto_core.storage import Bucket
from tasks.evaluation import evaluate_models, evaluate_on_real

DEFAULTS = EvaluationConfig()


@flow(name="evaluate", persist_result=False, retries=0, log_prints=False)
def evaluate(
    clean: Annotated[str, Field(description="Bucket of clean photos")],
    out: Annotated[str, Field(description="Bucket that receives tables and contact sheets")],
    models: Annotated[list[str], Field(description="Models by name, folder or URL")],
    recipe: Annotated[str, Field(description="Name of the degradation recipe")] = DEFAULTS.recipe,
    seed: Annotated[int, Field(description="Seed of the degradation")] = DEFAULTS.seed,
    holdout: Annotated[
        int, Field(ge=0, description="Last photos of each name prefix; 0 = every photo")
    ] = DEFAULTS.holdout or 0,
    old: Annotated[str | None, Field(description="Bucket of real old photos, which have no original")] = None,
    backbones: Annotated[Backbones | None, Field(description="Files of the networks behind LPIPS and FID")] = None,
    rivals: Annotated[list[str] | None, Field(description="Rivals without a model, by name")] = None,
) -> str:
    """Writes OUT/plain/, OUT/scratched/ and, with `old`, OUT/real/; returns the tables as Markdown."""
    tables = []
    others = rivals or []
    configs = {
        name: EvaluationConfig(recipe=recipe, seed=seed, holdout=holdout or None, scratched=scratched)
        for name, scratched in (("plain", False), ("scratched", True))
    }
    for name, config in configs.items():
        with CountProgress(f"evaluating, {name}", len(held_out(Bucket(clean), config.holdout))) as done:
            place = f"{out.rstrip('/')}/{name}"
            tables.append(evaluate_models(clean, place, models, config, done.advance, backbones, others))
    if old:
        config = configs["plain"]
        with CountProgress("evaluating, real", len(held_out(Bucket(old), config.holdout))) as done:
            place = f"{out.rstrip('/')}/real"
            tables.append(evaluate_on_real(clean, old, place, models, config, done.advance, others))
    text = "\n".join(tables)
    charts = [as_image(Bucket(out).join(name), "summary.png") for name in configs]
    sheets = [f"{out.rstrip('/')}/{name}/contact_sheet.png" for name in configs]
    page = "\n\n".join([text, *charts, f"Contact sheets: {', '.join(sheets)}"])
    create_markdown_artifact(page, key="evaluate", description=f"Evaluation of {', '.join(models)} on {clean}")
    return text
