"""Models beside baselines on held-out photos, without and with damage, and on real old photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import Field
from rich.console import Console
from rich.progress import Progress

from flows.training_artifacts import as_image
from oldphoto_core.evaluation import Backbones, EvaluationConfig
from oldphoto_core.evaluation.compare import held_out
from oldphoto_core.storage import Bucket
from tasks.evaluation import evaluate_models, evaluate_on_real


@flow(name="evaluate", persist_result=False)
def evaluate(
    clean: Annotated[str, Field(description="Bucket of clean photos")],
    out: Annotated[str, Field(description="Bucket that receives tables and contact sheets")],
    models: Annotated[list[str], Field(description="Models by name, folder or URL")],
    recipe: Annotated[str, Field(description="Name of the degradation recipe")] = "published",
    seed: Annotated[int, Field(description="Seed of the degradation")] = 7,
    holdout: Annotated[int, Field(ge=0, description="Last photos of each name prefix; 0 = every photo")] = 40,
    old: Annotated[str | None, Field(description="Bucket of real old photos, which have no original")] = None,
    backbones: Annotated[Backbones | None, Field(description="Files of the networks behind LPIPS and FID")] = None,
) -> str:
    """Writes OUT/plain/, OUT/scratched/ and, with `old`, OUT/real/; returns the tables as Markdown."""
    tables = []
    configs = {
        name: EvaluationConfig(recipe=recipe, seed=seed, holdout=holdout or None, scratched=scratched)
        for name, scratched in (("plain", False), ("scratched", True))
    }
    for name, config in configs.items():
        with _progress(f"evaluating, {name}", clean, config) as advance:
            tables.append(evaluate_models(clean, f"{out.rstrip('/')}/{name}", models, config, advance, backbones))
    if old:
        with _progress("evaluating, real", old, configs["plain"]) as advance:
            tables.append(evaluate_on_real(clean, old, f"{out.rstrip('/')}/real", models, configs["plain"], advance))
    text = "\n".join(tables)
    charts = [as_image(Bucket(out).join(name), "summary.png") for name in configs]
    sheets = [f"{out.rstrip('/')}/{name}/contact_sheet.png" for name in configs]
    page = "\n\n".join([text, *charts, f"Contact sheets: {', '.join(sheets)}"])
    create_markdown_artifact(page, key="evaluate", description=f"Evaluation of {', '.join(models)} on {clean}")
    return text


@contextmanager
def _progress(name: str, photos: str, config: EvaluationConfig) -> Iterator[Callable[[], None]]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=len(held_out(Bucket(photos), config.holdout)))
        yield partial(bar.advance, task)
