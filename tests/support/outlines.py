"""Small libraries of outlines of damage that tests draw themselves, in place of film scans that somebody annotated."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

CLASSES = ("Dust", "Dirt", "Short hair", "Scratch")
SCAN = 1000
"""Side of the scans, in pixels."""


def outlines_folder(folder: Path, count: int = 60, *, seed: int = 1) -> Path:
    """Two scans with `count` irregular outlines each, one file compressed and one plain."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number, name in enumerate(("scan-1.json.gz", "scan-2.json")):
        text = json.dumps([_polygon(item, rng) for item in range(number, count + number)]).encode()
        (folder / name).write_bytes(gzip.compress(text, mtime=0) if name.endswith("gz") else text)
    return folder


def _polygon(item: int, rng: np.random.Generator) -> dict[str, object]:
    kind = CLASSES[item % len(CLASSES)]
    angles = np.arange(8) * (np.pi / 4)
    radii = rng.uniform(3, 12) * rng.uniform(0.6, 1.4, 8)
    stretch = rng.uniform(0.2, 0.4) if kind in ("Short hair", "Scratch") else 1.0
    around = np.stack([radii * np.cos(angles), radii * np.sin(angles) * stretch], axis=1)
    points = np.rint(rng.uniform(20, SCAN - 20, 2) + around).astype(int)
    return {"class": kind, "points": np.clip(points, 0, SCAN).tolist()}
