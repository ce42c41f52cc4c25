"""What the paper's table measures of each row: crops with their truth, real photos, latents, operations, time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oldphoto_core.checkpoints import load_model, read_card
from oldphoto_core.checkpoints.lpips_weights import installed
from oldphoto_core.errors import ConfigError
from oldphoto_core.evaluation.backbones import Backbones, frechet_distances, lpips_by
from oldphoto_core.evaluation.compare import Crop, Method, Photo, compare, crops, evaluation_keys, held_out
from oldphoto_core.evaluation.paper.kept import Kept
from oldphoto_core.evaluation.paper.layout import to_chart, to_latex, to_markdown
from oldphoto_core.evaluation.paper.plan import PaperConfig
from oldphoto_core.evaluation.paper.rows import Row
from oldphoto_core.evaluation.real import SIDE, gaps, naturalness, naturalness_of, real_photos
from oldphoto_core.evaluation.run import CLEAN, as_method
from oldphoto_core.evaluation.tables import summarise
from oldphoto_core.inference.restorer import Restorer
from oldphoto_core.nets.presets import VAE, count_flops
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.tables import write_csv

NOT_ON_REAL = frozenset({"dip"})
"""Rows without a NIQE: a photo of a megapixel would take them an hour."""
COUNTED_SIDE = 256
"""Side of the picture whose operations are counted, in pixels."""


def place_of_row(out: Bucket, row: Row) -> Bucket:
    """Where a row's training, model and pictures lie."""
    return out.join("rows", row.name)


def model_of(out: Bucket, row: Row) -> str:
    """URL of the model of a trained row."""
    place = place_of_row(out, row)
    return (place.join(row.name, "model") if row.kind == "baseline" else place.join("model")).url


def restore_row(
    clean: Bucket,
    old: Bucket,
    out: Bucket,
    row: Row,
    config: PaperConfig,
    each: Callable[[], None] = lambda: None,
    device: str = "auto",
) -> None:
    """Makes and keeps what a row's method makes of every photo of the table; what is kept already is not made again."""
    on_crops, on_real = _methods(out, row, device)
    evaluation = config.evaluation()
    for crop in crops(clean, evaluation_keys(clean, evaluation), evaluation):
        on_crops(crop.degraded, crop.mask)
        each()
    if row.name not in NOT_ON_REAL:
        for _, photo in real_photos(old, config.evaluation(), SIDE):
            on_real(photo, np.zeros(photo.shape[:2], bool))
            each()


def photos_of(clean: Bucket, old: Bucket, row: Row, config: PaperConfig) -> int:
    """How many photos `restore_row` restores; SourceMissing if none of one kind is held out."""
    real = held_out(old, config.holdout)
    return len(evaluation_keys(clean, config.evaluation())) + (0 if row.name in NOT_ON_REAL else len(real))


def _methods(out: Bucket, row: Row, device: str = "auto") -> tuple[Kept, Kept]:
    """Of crops, and of real photos."""
    method = row.method or _Loaded(model_of(out, row), device)
    place = place_of_row(out, row)
    return Kept(method, place.join("crops")), Kept(method, place.join("real"), is_timed=False)


class _Loaded:
    """A model as a method, loaded when it is first used: what is kept needs none."""

    def __init__(self, model: str, device: str) -> None:
        self._model, self._device = model, device
        self._method: Method | None = None

    def __call__(self, image: Photo, mask: NDArray[np.bool_]) -> Photo:
        self._method = self._method or as_method(Restorer.load(self._model, device=self._device))
        return self._method(image, mask)


def write_table(clean: Bucket, old: Bucket, out: Bucket, rows: Sequence[Row], config: PaperConfig) -> str:
    """Measures all rows and writes OUT/table.md, .csv, .tex, .png, .json and results.csv; returns the Markdown."""
    methods = {row.title: _methods(out, row) for row in rows}
    table, results = _with_truth(clean, {title: crops for title, (crops, _) in methods.items()}, config)
    table["ms_per_megapixel"] = [methods[title][0].milliseconds_per_megapixel for title in table["method"]]
    on_real = {row.title: methods[row.title][1] for row in rows if row.name not in NOT_ON_REAL}
    niqe, note = _niqe(clean, old, on_real, config)
    gap = _gaps(clean, old, out, rows, config)
    facts = {row.title: _of_model(out, row) for row in rows}
    for column, values in (("gap", gap), ("niqe", niqe)):
        table[column] = [values.get(title, float("nan")) for title in table["method"]]
    for number, column in enumerate(("cpu_minutes", "gigaflop_per_megapixel")):
        table[column] = [facts[title][number] for title in table["method"]]
    text = to_markdown(table, config, note)
    write_csv(out, "results.csv", results)
    write_csv(out, "table.csv", table)
    out.write("table.md", text.encode())
    out.write("table.tex", to_latex(table, config).encode())
    out.write("table.png", to_chart(table, config))
    out.write(
        "table.json", json.dumps({"settings": asdict(config), "rows": [row.name for row in rows]}, indent=2).encode()
    )
    return text


def _with_truth(clean: Bucket, methods: Mapping[str, Kept], config: PaperConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Means over the crops, with LPIPS and the Frechet distance where their weights are installed; and a row each."""
    backbones = Backbones(frechet_vgg16=installed())
    clouds, lpips = frechet_distances(backbones), lpips_by(backbones)

    def each(crop: Crop) -> None:
        for cloud in clouds.values():
            for name, photo in {CLEAN: crop.clean, **crop.restored}.items():
                cloud.add(name, photo)

    results = compare(clean, dict(methods), config.evaluation(), each, {"lpips": lpips} if lpips else {})
    table = summarise(results)
    for column in ("lpips", "frechet_vgg16"):
        if column not in table:
            table[column] = float("nan")
    for column, cloud in clouds.items():
        table[column] = [cloud.distance(name, CLEAN) for name in table["method"]]
    return table, results


def _niqe(clean: Bucket, old: Bucket, methods: Mapping[str, Kept], config: PaperConfig) -> tuple[dict[str, float], str]:
    """Mean NIQE of each method on real photos; nothing and the reason where it cannot be fitted."""
    try:
        fitted = naturalness_of(clean, config.evaluation())
    except ConfigError as error:
        return {}, f"NIQE was not measured: {error}."
    found = naturalness(old, methods, fitted, config.evaluation())
    return {str(name): float(value) for name, value in found.groupby("method")["niqe"].mean().items()}, ""


def _gaps(clean: Bucket, old: Bucket, out: Bucket, rows: Sequence[Row], config: PaperConfig) -> dict[str, float]:
    ours = {row.title: load_model(model_of(out, row)).networks for row in rows if row.kind == "ours"}
    encoders = {title: cast(VAE, networks.vae_old) for title, networks in ours.items()}
    return gaps(encoders, clean, old, config.evaluation()) if encoders else {}


def _of_model(out: Bucket, row: Row) -> tuple[float, float]:
    """CPU minutes of the training, and billions of operations a megapixel; nan for a row without a model."""
    if not row.is_trained:
        return (float("nan"), float("nan"))
    model = model_of(out, row)
    minutes = sum(float(stage.get("cpu_seconds", 0.0)) for stage in read_card(model).training.values()) / 60
    counted = count_flops(load_model(model).networks, COUNTED_SIDE, COUNTED_SIDE, masked=row.kind == "ours")
    return minutes, counted / COUNTED_SIDE**2 / 1e3
