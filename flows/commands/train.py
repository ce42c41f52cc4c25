"""`oldphoto train`, `oldphoto synthesize` and `oldphoto evaluate`: everything that makes and judges models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.commands.terminal import DaskOption, known_device, names_of, say, show, show_text
from oldphoto_core.inference.network_options import DEFAULT_NETWORK

if TYPE_CHECKING:
    from oldphoto_core.degradation import Recipe
    from oldphoto_core.storage import Bucket
    from oldphoto_core.training import StageConfig

OutlinesOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Outlines of real damage that film_damage draws; off without.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(synthesize)
    app.command()(train)
    app.command()(evaluate)


def synthesize(
    clean: Annotated[str, typer.Argument(help="Folder or URL of clean photos.")],
    target: Annotated[str, typer.Argument(help="Folder or URL for the shards.")],
    count: Annotated[int, typer.Option(min=0, help="Pairs in all; 0 = one for each photo.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pairs.")] = 1,
    recipe: Annotated[str, typer.Option(help="How photos are degraded.")] = "published",
    outlines: OutlinesOption = None,
    crop: Annotated[int, typer.Option(min=16, help="Side of the crop of each photo, in pixels.")] = 256,
    dask: DaskOption = None,
) -> None:
    """Make pairs of clean and degraded photos, over all cores. A rerun makes only what is missing."""
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.degradation import recipe_named, with_film_damage
    from oldphoto_core.storage import Bucket

    if outlines is not None:
        with_film_damage(recipe_named(recipe), Bucket(outlines))

    with prefect_session(say):
        from flows.synthesize import synthesize as synthesize_flow

        result = synthesize_flow(clean, target, count, seed, recipe, crop, outlines=outlines, dask=dask)
    for key, reason in result["failed"].items():
        say(f"left out: {key}: {reason}")
    show(
        f"{result['pairs']} pairs in {result['shards']} shards; {result['made']} of them made now"
        f" in {result['seconds']:.1f} s ({result['photos_per_second']:.1f} photos/s)"
    )
    show(f"shards: {target}")


def train(
    stage: Annotated[
        Literal[
            "all", "vae_old", "vae_clean", "mapping", "joint", "scratches", "tone", "pix2pix", "cyclegan", "attention"
        ],
        typer.Argument(
            help="One stage, or all in order; scratches is the detector, tone maps tones, the last three are baselines."
        ),
    ],
    clean: Annotated[str, typer.Option(metavar="URL", help="Clean photos.")],
    old: Annotated[str, typer.Option(metavar="URL", help="Real old photos.")],
    out: Annotated[str, typer.Option(metavar="URL", help="Receives checkpoints, logs, charts and the model.")],
    preset: Annotated[Literal["compact", "dense", "paper"], typer.Option(help="Shapes of the networks.")] = "compact",
    recipe: Annotated[str | None, typer.Option(help="How photos are degraded; the preset's own unless named.")] = None,
    outlines: OutlinesOption = None,
    pairs: Annotated[
        str | None, typer.Option(metavar="URL", help="Train on these shards of `oldphoto synthesize`.")
    ] = None,
    start_from: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Begin with the weights of this model: fine-tuning.")
    ] = None,
    reviews: Annotated[
        str | None, typer.Option(metavar="URL", help="Target whose corrected masks the detector learns from, too.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of each stage.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Crops a step.")] = None,
    crop: Annotated[int | None, typer.Option(min=32, help="Side of a crop, in pixels.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, crops, degradation and noise.")] = None,
    holdout: Annotated[int | None, typer.Option(min=0, help="Photos of each name prefix kept for validation.")] = None,
    partial_nonlocal: Annotated[bool, typer.Option(help="The mapping's partial nonlocal block.")] = True,
    detail: Annotated[bool, typer.Option(help="The path past the latent, which joint trains (compact).")] = True,
    joint: Annotated[bool, typer.Option(help="Train encoder, mapping and decoder together at the end.")] = True,
    ablation: Annotated[str, typer.Option(metavar="NAME", help="Leave one part of the method out.")] = "",
    precision: Annotated[
        Literal["float32", "bfloat16", "auto"] | None, typer.Option(help="Arithmetic of the convolutions.")
    ] = None,
    accumulate: Annotated[int | None, typer.Option(min=1, help="Turns in which a batch is computed.")] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the networks (torch.compile).")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Processes of this machine, one a CUDA device.")] = 1,
    device: Annotated[str, typer.Option(callback=known_device, help="auto, cpu, cuda or cuda:N.")] = "auto",
    name: Annotated[str, typer.Option(help="Name of the model, for its card.")] = "trained",
) -> None:
    """Train the networks. Killed or stopped, the same command goes on from the last checkpoint."""
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.degradation import recipe_named

    given: dict[str, Any] = {"steps": steps, "batch": batch, "crop": crop, "seed": seed, "holdout": holdout}
    given |= {"start_model": start_from, "learning_rate": learning_rate, "precision": precision}
    given |= {"accumulation": accumulate, "compiled": compiled or None, "pairs": pairs, "outlines": outlines}
    given |= {"reviews": reviews}
    changes = {field: value for field, value in given.items() if value is not None}
    if recipe is not None:
        changes["recipe"] = recipe_named(recipe)
    if not partial_nonlocal:
        changes["partial_nonlocal"] = False
    if not detail:
        changes["detail"] = False
    _check_training(stage, preset, joint, ablation, changes, clean, old, out)
    from oldphoto_core.storage import Bucket
    from oldphoto_core.training.assembling import has_triplet
    from oldphoto_core.training.config import BASELINES

    with prefect_session(say):
        from flows.train import train as train_flow

        results = train_flow(stage, clean, old, out, preset, device, name, changes, processes, joint, ablation)
    for key, reason in {key: why for result in results for key, why in result.get("unreadable", {}).items()}.items():
        say(f"left out: {key}: {reason}")
    if results and "pairs" in results[0]:
        show(
            f"pairs: {results[0]['pairs']} of {pairs}, made by the recipe {results[0]['config']['recipe']['recipe']};"
            f" {results[0]['pairs_left_out']} more are of held-out photos"
        )
    for result in results:
        show(
            f"{result['config']['stage']}: {result['steps']} steps in {result['seconds']:.0f} s,"
            f" {result['steps_per_second']:.2f} steps/s, {result['photos_per_second']:.1f} photos/s,"
            f" {result['cpu_share']:.0%} of the CPU, {result.get('waiting_share', 0.0):.0%} of the time waiting for"
            f" data; chart: {out}/{result['config']['stage']}/chart.png"
        )
    if stage in BASELINES:
        show(f"model: {out}/{stage}/model (compare with --models ...,{out}/{stage}/model)")
    elif has_triplet(Bucket(out)):
        show(f"model: {out}/model (restore with --model {out}/model)")


def _check_training(stage: str, preset: str, joint: bool, ablation: str, changes: dict[str, Any], *places: str) -> None:
    """Refuse wrong settings and places before a server is started."""
    from oldphoto_core.errors import SourceMissing
    from oldphoto_core.storage import Bucket
    from oldphoto_core.training.photos.reviewed import corrected_photos
    from oldphoto_core.training.provenance import with_outlines
    from oldphoto_core.training.run import configs_for

    configs = [
        with_outlines(config) for config in configs_for(stage, preset, joint=joint, ablation=ablation, **changes)
    ]
    if "reviews" in changes:
        say(f"corrected masks of {len(corrected_photos(Bucket(changes['reviews'])))} photos in {changes['reviews']}")
    if "pairs" in changes:
        _check_pairs(Bucket(changes["pairs"]), configs, changes.get("recipe"))
    *sources, out = (Bucket(place) for place in places)
    for source in sources:
        if not source.exists():
            raise SourceMissing(f"{source.url} does not exist or is empty; give a folder or URL of photos")
    out.check_writable()


def _check_pairs(bucket: Bucket, configs: list[StageConfig], recipe: Recipe | None) -> None:
    """The pairs must be whole and fit every stage; that they were made by another recipe than was asked for is told."""
    from oldphoto_core.degradation import open_pairs, recipe_from_record
    from oldphoto_core.training.photos.pair_set import with_pairs

    folder = open_pairs(bucket)
    for config in configs:
        with_pairs(config, folder)
    made_by = recipe_from_record(folder.recipe)
    if recipe not in (None, made_by):
        say(f"--recipe is passed over: the pairs in {bucket.url} were made by {made_by.name}, which is recorded")


def evaluate(
    clean: Annotated[str, typer.Option(metavar="URL", help="Clean photos.")],
    out: Annotated[str, typer.Option(metavar="URL", help="Receives tables and contact sheets.")],
    models: Annotated[
        str, typer.Option(metavar="A,B,...", help="Models by name, folder or URL.")
    ] = DEFAULT_NETWORK.model,
    rivals: Annotated[str, typer.Option(metavar="A,B,...", help="Rivals without a model: sequential, dip.")] = "",
    recipe: Annotated[str, typer.Option(help="How photos are degraded.")] = "published",
    seed: Annotated[int, typer.Option(help="Of the degradation.")] = 7,
    holdout: Annotated[int, typer.Option(min=0, help="Last photos of each name prefix; 0 = every photo.")] = 40,
    old: Annotated[str | None, typer.Option(metavar="URL", help="Real old photos: how natural they become.")] = None,
    lpips: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="BACKBONE HEADS", help="Files for LPIPS: alexnet-*.pth, alex.pth."),
    ] = None,
    fid: Annotated[Path | None, typer.Option(metavar="FILE", help="TorchScript of Inception, for FID.")] = None,
    frechet_vgg16: Annotated[
        bool, typer.Option("--frechet-vgg16", help="Measure the Frechet distance over VGG16's features, too.")
    ] = False,
    sha256: Annotated[str, typer.Option(metavar="A,B,...", help="Digests that these files must have.")] = "",
) -> None:
    """PSNR and SSIM of models beside OpenCV, on clean photos degraded; prints the tables."""
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.degradation import recipe_named
    from oldphoto_core.evaluation import Backbones
    from oldphoto_core.evaluation.rivals import rival_methods
    from oldphoto_core.storage import Bucket

    recipe_named(recipe)
    others = names_of(rivals)
    rival_methods(others)
    backbone, heads = lpips or (None, None)
    backbones = Backbones(
        lpips_backbone=backbone, lpips_heads=heads, fid_network=fid, sha256=tuple(names_of(sha256)),
        frechet_vgg16=frechet_vgg16,
    )  # fmt: skip
    backbones.verified()
    Bucket(out).check_writable()
    with prefect_session(say):
        from flows.evaluate import evaluate as evaluate_flow

        text = evaluate_flow(clean, out, names_of(models), recipe, seed, holdout, old, backbones, others)
    show_text(text)
    show(f"tables and contact sheets: {out}/plain, {out}/scratched" + (f", {out}/real" if old else ""))
