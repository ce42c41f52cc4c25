"""The recipe `archive` for the eye: contact sheets of every operation alone, and of whole mixtures with their masks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation import ArchiveRecipe, Recipe, degrade, item_rng, with_film_damage
from oldphoto_core.degradation.archive import Damage, Operation
from oldphoto_core.errors import SourceMissing
from oldphoto_core.reports.contact_sheet import SheetRow, contact_sheet
from oldphoto_core.reports.overlays import marked
from oldphoto_core.samples.collection import SAMPLES, read_clean
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.scans.formats import USUAL_EXTENSIONS
from oldphoto_core.storage import Bucket, is_image_key

Photo = NDArray[np.uint8]

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Columns of a sheet of operations."""
PHOTOS = 8
"""As many of the given photos are shown, the first by name."""


def draw_sheets(
    out: Bucket, photos: Bucket | None, *, outlines: Bucket | None = None, seed: int, size: int
) -> list[str]:
    """Writes damage.png, tone_and_sharpness.png and mixed.png; returns where they lie.

    Photos are shrunk so that their short side is `size` pixels, and their middle square is shown: each picture on the
    sheet is a whole photograph scanned at that size. Film damage is shown where `outlines` are given. Raises
    SourceMissing, SamplesMissing, and what photos and outlines raise.
    """
    out.check_writable()
    squares = [_square(photo, size) for photo in (_given(photos) if photos else map(read_clean, SAMPLES))]
    recipe = with_film_damage(ArchiveRecipe(), outlines) if outlines else ArchiveRecipe()
    operations = [each for each in recipe.operations() if each.probability > 0]
    kinds = tuple(type(operation) for operation in Damage().operations())
    damage = [operation for operation in operations if isinstance(operation, kinds)]
    others = [operation for operation in operations if not isinstance(operation, kinds)]
    sheets = {
        "damage.png": _alone(damage, squares, seed, size),
        "tone_and_sharpness.png": _alone(others, squares, seed, size),
        "mixed.png": _mixed(squares, recipe, seed, size),
    }
    for name, sheet in sheets.items():
        out.write(name, sheet)
    return [f"{out}/{name}" for name in sheets]


def _alone(operations: list[Operation], squares: list[Photo], seed: int, size: int) -> bytes:
    """A row per operation, on one photo after the other; the seed of a row is the same in all its columns."""
    rows = []
    for number, operation in enumerate(operations):
        photo = squares[number % len(squares)]
        made = [operation.occur(photo, item_rng(seed, operation.name), severity)[0].image for severity in SEVERITIES]
        rows.append(SheetRow(operation.name.replace("_", " "), made))
    return contact_sheet([f"severity {severity:g}" for severity in SEVERITIES], rows, cell=size)


def _mixed(squares: list[Photo], recipe: Recipe, seed: int, size: int) -> bytes:
    """A row per photo: clean, and two degraded versions, each with its toned photo before it and its mask in red."""
    rows = []
    for number, photo in enumerate(squares):
        shown, told = [photo], []
        for version in range(2):
            aged = degrade(photo, recipe, item_rng(seed, number, version))
            shown += [aged.toned, aged.image, marked(aged.image, aged.mask)]
            whole, structure = (min(100.0, cv2.PSNR(aged.image, truth)) for truth in (photo, aged.toned))
            told.append(f"{whole:.1f} dB of clean, {structure:.1f} of toned, {aged.mask.mean():.1%} to be filled")
        rows.append(SheetRow("   |   ".join(told), shown))
    return contact_sheet(("clean", *("toned", "degraded", "its mask") * 2), rows, cell=size)


def _given(photos: Bucket) -> list[Photo]:
    keys = sorted(entry.key for entry in photos.list() if is_image_key(entry.key))[:PHOTOS]
    if not keys:
        raise SourceMissing(f"{photos.url} holds no photos ({USUAL_EXTENSIONS}); give a folder or bucket that does")
    return [to_rgb8(read_scan(photos.read(key)).pixels) for key in keys]


def _square(photo: Photo, size: int) -> Photo:
    height, width = photo.shape[:2]
    scale = min(1.0, size / min(height, width))
    shrunk = cv2.resize(photo, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    sides = [min(size, side) for side in shrunk.shape[:2]]
    top, left = ((whole - side) // 2 for whole, side in zip(shrunk.shape[:2], sides, strict=True))
    return np.ascontiguousarray(shrunk[top : top + sides[0], left : left + sides[1]]).astype(np.uint8, copy=False)
