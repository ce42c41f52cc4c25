"""An evaluation from start to end: models and baselines on held-out photos; tables, charts, contact sheets."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.checkpoints import ModelCard, load_model
from oldphoto_core.detection.doubtful import doubtful_of
from oldphoto_core.evaluation.backbones import Backbones, frechet_distances, lpips_by, packaged
from oldphoto_core.evaluation.compare import (
    Crop,
    EvaluationConfig,
    Method,
    baseline_methods,
    compare,
    crops,
    record,
)
from oldphoto_core.evaluation.doubtful import COLUMN, doubtful_to_markdown
from oldphoto_core.evaluation.real import gaps, naturalness, naturalness_of, real_to_markdown, summarise_real
from oldphoto_core.evaluation.rivals import rival_methods
from oldphoto_core.evaluation.tables import summarise, to_markdown, to_png
from oldphoto_core.inference.restorer import Restorer
from oldphoto_core.nets.architectures import baseline_of
from oldphoto_core.nets.presets import VAE
from oldphoto_core.reports.contact_sheet import SheetRow, contact_sheet
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.tables import write_csv
from oldphoto_core.training.ablations import ABLATIONS

SHOWN = 2
"""Crops of each kind on a contact sheet: of the smallest, the middle and the largest gain."""
CLEAN = "clean"


@dataclass(frozen=True, slots=True)
class Contenders:
    """Models side by side, loaded once."""

    restorers: dict[str, Restorer] = field(default_factory=dict)
    rivals: dict[str, Method] = field(default_factory=dict)
    """Methods without a model, by their rows."""

    @classmethod
    def load(cls, models: Sequence[str], rivals: Sequence[str] = ()) -> Contenders:
        """Models by name, folder or URL; rivals by their names in `RIVALS`."""
        return cls({model: Restorer.load(model) for model in models}, rival_methods(rivals))

    def methods(self, *, scratched: bool) -> dict[str, Method]:
        """The baselines, the rivals and the models; with damage also the models that find it by themselves."""
        methods = baseline_methods() | self.rivals
        for model, restorer in self.restorers.items():
            row = f"{_kind(restorer.card)}, {model}"
            methods[row] = as_method(restorer)
            if scratched and restorer.detector_digest:
                methods[f"{row}, by its own detector"] = _by_detector(restorer)
        return methods


def evaluate_models(
    clean: Bucket,
    out: Bucket,
    models: Sequence[str],
    config: EvaluationConfig,
    on_crop: Callable[[], None] = lambda: None,
    backbones: Backbones | None = None,
    rivals: Sequence[str] = (),
) -> str:
    """Writes results.csv (a row per photo and method), summary.md, .csv, .json and .png, contact_sheet.png; returns
    summary.md."""
    backbones = backbones or Backbones()
    digests = backbones.verified() | packaged(backbones)
    methods = Contenders.load(models, rivals).methods(scratched=config.scratched)
    lpips = lpips_by(backbones)
    clouds = frechet_distances(backbones)

    reasons: dict[str, str] = {}

    def each(crop: Crop) -> None:
        reasons[crop.key] = "; ".join(doubtful_of(ArrayCanvas(crop.mask[..., None])))
        for cloud in clouds.values():
            for name, photo in {CLEAN: crop.clean, **crop.restored}.items():
                cloud.add(name, photo)
        on_crop()

    results = compare(clean, methods, config, each, {"lpips": lpips} if lpips else {})
    table = summarise(results)
    for column, cloud in clouds.items():
        table[column] = [cloud.distance(name, CLEAN) for name in table["method"]]
    results[COLUMN] = results["key"].map(reasons)
    text = to_markdown(table, config)
    if config.scratched:
        text += f"\n{doubtful_to_markdown(results, [row for row in methods if row not in baseline_methods()])}\n"
    write_csv(out, "results.csv", results)
    write_csv(out, "summary.csv", table)
    out.write("summary.md", text.encode())
    out.write("summary.png", to_png(table, config))
    summary: dict[str, Any] = {
        "config": record(config), "clean": clean.url, "backbones": digests, "methods": _rows(table)
    }  # fmt: skip
    out.write("summary.json", json.dumps(summary, indent=2).encode())
    out.write("contact_sheet.png", _sheet(clean, results, methods, config))
    return text


def evaluate_on_real(
    clean: Bucket,
    old: Bucket,
    out: Bucket,
    models: Sequence[str],
    config: EvaluationConfig,
    on_photo: Callable[[], None] = lambda: None,
    rivals: Sequence[str] = (),
) -> str:
    """Writes real.csv and real.md, what can be said of photos that have no original; returns real.md."""
    contenders = Contenders.load(models, rivals)
    methods = contenders.methods(scratched=False)
    methods = {"as they are": methods.pop("degraded input"), **methods}
    results = naturalness(old, methods, naturalness_of(clean, config), config, on_photo)
    networks = {model: load_model(model).networks for model in contenders.restorers}
    encoders = {model: cast(VAE, net.vae_old) for model, net in networks.items() if hasattr(net, "vae_old")}
    text = real_to_markdown(summarise_real(results), gaps(encoders, clean, old, config), config)
    write_csv(out, "real.csv", results)
    out.write("real.md", text.encode())
    return text


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """JSON knows no nan: what was not measured is null."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def _kind(card: ModelCard) -> str:
    """What a row is called before the model's name."""
    if baseline := baseline_of(card.preset):
        return baseline
    named = {str(stage.get("config", {}).get("ablation", "")) for stage in card.training.values()} & ABLATIONS.keys()
    if named:
        return ABLATIONS[min(named)].row
    return "ours" if card.partial_nonlocal else ABLATIONS["no-partial-nonlocal"].row


def as_method(restorer: Restorer) -> Method:
    """A model that is given the mask."""
    return lambda image, mask: restorer.restore(image, mask if mask.any() else None)


def _by_detector(restorer: Restorer) -> Method:
    """Whoever has no mask: what the detector finds is filled."""

    def restored(image: NDArray[np.uint8], _mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        found = restorer.find(image)
        return restorer.restore(image, found if found.any() else None)

    return restored


def _sheet(clean: Bucket, results: pd.DataFrame, methods: dict[str, Method], config: EvaluationConfig) -> bytes:
    """Crops of the smallest, the middle and the largest gain of the last method, each made once more."""
    names = list(methods)
    by_photo = results.pivot(index="key", columns="method", values="psnr")
    gain = (by_photo[names[-1]] - by_photo[names[0]]).sort_values()
    middle = max(0, len(gain) // 2 - SHOWN // 2)
    chosen = {"smallest gain": gain.index[:SHOWN], "median": gain.index[middle : middle + SHOWN],
              "largest gain": gain.index[-SHOWN:]}  # fmt: skip
    rows = [
        SheetRow(
            f"{kind}: {crop.key}, {gain[crop.key]:+.2f} dB",
            [method(crop.degraded, crop.mask) for method in (methods[names[0]], methods[names[1]], methods[names[-1]])]
            + [crop.clean],
        )
        for kind, keys in chosen.items()
        for crop in crops(clean, list(keys), config)
    ]
    return contact_sheet([names[0], names[1], names[-1], CLEAN], rows, cell=config.crop)
