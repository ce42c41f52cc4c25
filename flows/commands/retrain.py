"""`oldphoto retrain`: the champion trained further on what has arrived."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows.commands.terminal import known_device, say, show, show_text


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(retrain)


def retrain(
    incoming: Annotated[str, typer.Option(metavar="URL", help="Where old photos arrive.")],
    clean: Annotated[str, typer.Option(metavar="URL", help="Clean photos.")],
    registry: Annotated[
        str, typer.Option(metavar="URL", envvar="OLDPHOTO_REGISTRY", help="Registry that has the champion.")
    ],
    old: Annotated[str | None, typer.Option(metavar="URL", help="Old photos of before, kept elsewhere.")] = None,
    reviews: Annotated[
        str | None, typer.Option(metavar="URL", help="Target whose photos with corrected masks judge, too.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    minimum: Annotated[int, typer.Option(min=1, help="New photos below which nothing is trained.")] = 50,
    again: Annotated[bool, typer.Option("--again", help="Also if the same new photos were tried before.")] = False,
    new_share: Annotated[float, typer.Option(help="Share of the old photos drawn that are new ones.")] = 0.5,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of each stage.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Crops a step.")] = None,
    crop: Annotated[int | None, typer.Option(min=32, help="Side of a crop, in pixels.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of crops, degradation and noise in training.")] = None,
    tolerance_psnr: Annotated[float, typer.Option(help="Most that may be lost on pairs, in dB.")] = 0.1,
    tolerance_niqe: Annotated[float, typer.Option(help="Most that may be lost in naturalness.")] = 0.3,
    tolerance_gap: Annotated[float, typer.Option(help="Most by which the domain gap may widen.")] = 0.05,
    device: Annotated[str, typer.Option(callback=known_device, help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Train the champion further on what has arrived; promote the result only if it is better.

    Killed or stopped, the same command goes on. `oldphoto models rollback` undoes a promotion.
    """
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.retraining import Plan, RetrainConfig

    given: dict[str, Any] = {"steps": steps, "batch": batch, "crop": crop, "learning_rate": learning_rate, "seed": seed}
    settings: dict[str, Any] = {
        "again": again, "reviews": reviews, "new_share": new_share, "tolerance_psnr": tolerance_psnr,
        "tolerance_niqe": tolerance_niqe, "tolerance_gap": tolerance_gap,
        "changes": {name: value for name, value in given.items() if value is not None},
    }  # fmt: skip
    config = RetrainConfig(incoming=incoming, clean=clean, registry=registry, old=old, minimum=minimum, **settings)
    with prefect_session(say, meanwhile=lambda: _check(config, writes=not dry_run)):
        from flows.retrain import retrain as retrain_flow

        ended = retrain_flow(incoming, clean, registry, old, minimum, dry_run, device, settings)
    if isinstance(ended, Plan):
        show_text(f"{ended.in_words()}nothing was done: --dry-run")
    elif ended is not None:
        show_text(ended.report)
        show(f"{ended.challenger}: {ended.decision}; report, chart and pictures: {ended.place}")


def _check(config: Any, *, writes: bool) -> None:
    """Refuse wrong places and settings while the server starts."""
    from oldphoto_core.checkpoints import Registry
    from oldphoto_core.storage import Bucket

    registry = Registry(config.registry)
    registry.exact("champion")
    config.stages("compact", "champion", {})
    for source in (config.incoming, config.clean, config.old, config.reviews):
        if source is not None:
            next(iter(Bucket(source).list()), None)
    if writes:
        registry.bucket.check_writable()
