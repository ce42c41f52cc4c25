"""The demo's places on disk, and the sheet that shows what came of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.reports.contact_sheet import SheetRow, contact_sheet
from oldphoto_core.reports.overlays import marked
from oldphoto_core.samples.collection import SAMPLES, make_collection, read_clean
from oldphoto_core.scans import read_mask, read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket

SHEET = "before-after.png"


@dataclass(frozen=True, slots=True)
class DemoPlaces:
    """Where everything of a demo lies."""

    root: Bucket
    count: int
    damaged: int

    @property
    def source(self) -> Bucket:
        """The old photos."""
        return self.root.join("source")

    @property
    def masks(self) -> Bucket:
        """What is damaged and must be filled."""
        return self.root.join("masks")

    @property
    def restored(self) -> Bucket:
        """What the restoration writes."""
        return self.root.join("restored")


@dataclass(frozen=True, slots=True)
class Sheet:
    """The contact sheet and what it measures: mean PSNR in dB against the clean photographs."""

    path: str
    psnr_old: float
    psnr_restored: float


def lay_out(folder: str) -> DemoPlaces:
    """Make the collection below `folder`."""
    places = DemoPlaces(Bucket(folder), len(SAMPLES), sum(bool(sample.damage) for sample in SAMPLES))
    places.root.check_writable()
    make_collection(places.source, places.masks)
    return places


def draw_sheet(places: DemoPlaces) -> Sheet:
    """Write the sheet, a row a photo: before it was aged, old, what is damaged in red, restored."""
    rows, old_scores, restored_scores = [], [], []
    for sample in SAMPLES:
        clean = read_clean(sample)
        old = _rgb(places.source, sample.key)
        restored = _rgb(places.restored, f"photos/{sample.key}")
        old_scores.append(cv2.PSNR(old, clean))
        restored_scores.append(cv2.PSNR(restored, clean))
        found = read_mask(places.restored.read(f"masks/{sample.key}.png"), old.shape[:2])
        kind = f"{sample.bits} bit {'grey' if sample.grey else 'colour'}"
        told = ", ".join((kind, *(name.replace("_", " ") for name in sample.damage)))
        rows.append(SheetRow(f"{sample.key}  ({told})", (clean, old, marked(old, found), restored)))
    places.root.write(SHEET, contact_sheet(("before it was aged", "old", "damaged", "restored"), rows))
    return Sheet(f"{places.root}/{SHEET}", float(np.mean(old_scores)), float(np.mean(restored_scores)))


def _rgb(bucket: Bucket, key: str) -> NDArray[np.uint8]:
    return to_rgb8(read_scan(bucket.read(key)).pixels)
