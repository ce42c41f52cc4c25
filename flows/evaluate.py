"""Models beside baselines on held-out photos, without and with white scratches."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import Field
from rich.console import Console
from rich.progress import Progress

from oldphoto_core.evaluation import EvaluationConfig
from oldphoto_core.evaluation.compare import evaluation_keys
from oldphoto_core.storage import Bucket
from tasks.evaluation import evaluate_models


@flow(name="evaluate", persist_result=False)
def evaluate(
    clean: Annotated[str, Field(description="Bucket of clean photos")],
    out: Annotated[str, Field(description="Bucket that receives tables and contact sheets")],
    models: Annotated[list[str], Field(description="Models by name, folder or URL")],
    recipe: Annotated[str, Field(description="Name of the degradation recipe")] = "published",
    seed: Annotated[int, Field(description="Seed of the degradation")] = 7,
    holdout: Annotated[int, Field(ge=0, description="Last photos of each name prefix; 0 = every photo")] = 40,
) -> str:
    """Writes OUT/plain/ and OUT/scratched/; returns both tables as Markdown."""
    tables = []
    for name, scratched in (("plain", False), ("scratched", True)):
        config = EvaluationConfig(recipe=recipe, seed=seed, holdout=holdout or None, scratched=scratched)
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"evaluating, {name}", total=len(evaluation_keys(Bucket(clean), config)))
            advance = partial(bar.advance, task)
            tables.append(evaluate_models(clean, f"{out.rstrip('/')}/{name}", models, config, advance))
    text = "\n".join(tables)
    create_markdown_artifact(text, key="evaluate", description=f"Evaluation of {', '.join(models)} on {clean}")
    return text
