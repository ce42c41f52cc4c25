"""An evaluation from start to end: models and baselines on held-out photos, tables and a contact sheet in a bucket."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from oldphoto_core.evaluation.compare import (
    Crop,
    EvaluationConfig,
    Method,
    baseline_methods,
    compare,
    evaluation_keys,
    record,
    summarise,
    to_markdown,
)
from oldphoto_core.restoration.restorer import Restorer
from oldphoto_core.storage import Bucket

SHEET_ROWS = 6


def evaluate_models(
    clean: Bucket,
    out: Bucket,
    models: Sequence[str],
    config: EvaluationConfig,
    on_crop: Callable[[], None] = lambda: None,
) -> str:
    """Writes results.csv (a row per photo and method), summary.md and .json, contact_sheet.png; returns summary.md."""
    methods = baseline_methods()
    for model in models:
        restorer = Restorer.load(model)
        methods[f"ours, {model}"] = _method(restorer)
        if config.scratched and restorer.detector_digest:
            methods[f"ours, {model}, by its own detector"] = _by_detector(restorer)
    total = len(evaluation_keys(clean, config))
    chosen = set(np.linspace(0, total - 1, min(SHEET_ROWS, total)).astype(int).tolist())
    sheet: list[Crop] = []
    seen = 0

    def each(crop: Crop) -> None:
        nonlocal seen
        if seen in chosen:
            sheet.append(crop)
        seen += 1
        on_crop()

    results = compare(clean, methods, config, each)
    table = summarise(results)
    text = to_markdown(table, config)
    out.write("results.csv", results.to_csv(index=False).encode())
    out.write("summary.md", text.encode())
    summary: dict[str, Any] = {"config": record(config), "clean": clean.url, "methods": _rows(table)}
    out.write("summary.json", json.dumps(summary, indent=2).encode())
    out.write("contact_sheet.png", _sheet(sheet))
    return text


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """JSON knows no nan: what was not measured is null."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def _method(restorer: Restorer) -> Method:
    return lambda image, mask: restorer.restore(image, mask if mask.any() else None)


def _by_detector(restorer: Restorer) -> Method:
    """Whoever has no mask: what the detector finds is filled."""

    def restored(image: NDArray[np.uint8], _mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        found = restorer.find(image)
        return restorer.restore(image, found if found.any() else None)

    return restored


def _sheet(crops: Sequence[Crop]) -> bytes:
    """A row per crop: degraded, OpenCV light, the last method, clean."""
    rows = []
    for crop in crops:
        names = list(crop.restored)
        cells = [crop.degraded, crop.restored[names[1]], crop.restored[names[-1]], crop.clean]
        rows.append(np.concatenate([_boxed(cell) for cell in cells], axis=1))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(padded)).save(buffer, "PNG")
    return buffer.getvalue()


def _boxed(cell: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(cell, ((2, 2), (2, 2), (0, 0)), constant_values=255)
