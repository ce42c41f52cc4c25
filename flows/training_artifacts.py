"""What a validation looked like, as an artifact of the run: its numbers, what was made, and the curves so far."""

from __future__ import annotations

import base64

from prefect.artifacts import create_markdown_artifact

from oldphoto_core.storage import Bucket
from oldphoto_core.training.loop import CHART, Progress, samples_name

MEASURED = ("psnr", "ssim", "auc", "f1")


def with_artifacts(progress: Progress, stage: str, folder: Bucket) -> Progress:
    """A `Progress` that besides calling `progress` makes an artifact of every validation.

    `folder` is that of the stage. All artifacts of a stage have one key, so Prefect shows them as versions of one.
    """

    def publish_validation(step: int, steps: int, values: dict[str, float]) -> None:
        progress(step, steps, values)
        if any(name in values for name in MEASURED):
            create_markdown_artifact(
                _page(folder, stage, step, values),
                key=f"train-{stage.replace('_', '-')}",
                description=f"{stage}, step {step} of {steps}",
            )

    return publish_validation


def _page(folder: Bucket, stage: str, step: int, values: dict[str, float]) -> str:
    numbers = ", ".join(f"{name} {values[name]:.4g}" for name in ("loss", *MEASURED) if name in values)
    images = [as_image(folder, name) for name in (samples_name(step), CHART) if folder.info(name) is not None]
    return "\n\n".join([f"{stage}, step {step}: {numbers}", *images])


def as_image(folder: Bucket, name: str) -> str:
    """A PNG or JPEG as Markdown that holds all its bytes: a reader's browser cannot see the bucket."""
    kind = "png" if name.endswith(".png") else "jpeg"
    data = base64.b64encode(folder.read(name)).decode()
    return f"![{name}](data:image/{kind};base64,{data})\n\n{folder.url}/{name}"
