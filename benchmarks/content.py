"""How much of what belongs to a picture a detector marks, and what its masks cost in quality and time.

    python benchmarks/content.py CLEAN [--places-in FOLDER ...] [--model starter] [--thresholds T ...] [--crops 320]
                                       [--restored 80] [--megapixels 4] [--holdout 40] [--json FILE]

Rows of the table, for the model's own threshold and each of --thresholds:

    drawn        thin structures drawn into crops of held-out clean photos (`draw_thin_structures`): the share of the
                 drawn pixels that is marked, and of the crops those with more than 3 %
    places       what belongs to real old photos, listed in data/content_places.csv; --places-in names the folders that
                 hold those photos, which are not part of the project
    clean        held-out clean photos as they are: the share of all pixels that is marked
    loss         structure PSNR of crops restored with the recipe's true masks, less that with the detector's own
    time         search for damage and restoration of one photo of --megapixels, in CPU seconds of one thread

How much damage is found on the same photos, `detection.py` prints.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from content_places import photos_with_places, places
from detection import held_out
from measuring import enlarged, pixels_of
from numpy.typing import NDArray
from rich.progress import track

from oldphoto_core import Restorer
from oldphoto_core.degradation import ArchiveRecipe, degrade, item_rng
from oldphoto_core.devices import keep_freed_memory
from oldphoto_core.metrics import structure_psnr
from oldphoto_core.training.detection.thin_structures import draw_thin_structures
from oldphoto_core.training.photos.batches import PhotoSet
from oldphoto_core.training.photos.cutting import window

SEED, CROP = 7, 256
MOST = 0.03
"""Share of a crop's or place's pixels up to which it counts as left alone."""
Photo, Mask = NDArray[np.uint8], NDArray[np.bool_]
Masks = Callable[[Photo], dict[str, Mask]]
"""A photo HWC -> what is marked in it, HW, by name of the decision."""


@dataclass(slots=True)
class Row:
    """What one decision marks of one kind of content."""

    decision: str
    content: str
    number: int = 0
    """Crops, places or photos."""
    pixels: int = 0
    marked: int = 0
    touched: int = 0
    """Of the number those with more than `MOST` of their pixels marked."""

    def add(self, content: Mask, found: Mask) -> None:
        """One crop, place or photo: which pixels are content, and which are marked."""
        marked = int((content & found).sum())
        self.number += 1
        self.pixels += int(content.sum())
        self.marked += marked
        self.touched += int(marked > MOST * content.sum())

    def line(self) -> str:
        """Of the Markdown table."""
        share = self.marked / max(1, self.pixels)
        return f"| {self.decision} | {self.content} | {self.number} | {share:.3%} | {self.touched} |"


def thresholds(restorer: Restorer, levels: Sequence[float]) -> Masks:
    """Decides every pixel by itself, at the model's threshold and at others; the photo is searched once."""
    finder: Any = restorer._finder
    named = {"threshold " + format(level, ".3f"): level for level in (finder.threshold, *levels)}

    def masks(photo: Photo) -> dict[str, Mask]:
        probabilities = finder.probabilities(photo)
        return {name: probabilities >= level for name, level in named.items()}

    return masks


def drawn(photos: PhotoSet, count: int) -> Iterator[tuple[Photo, Mask]]:
    """`count` crops with thin structures in them, and the pixels of those; no crop lacks them."""
    number = 0
    while count:
        key = photos.keys[number % len(photos)]
        rng = item_rng(SEED, f"{key} {number}")
        photo = photos.photo(key)
        crop = np.ascontiguousarray(photo[window(photo.shape, CROP, rng)])
        made, mask = draw_thin_structures(crop, rng)
        number += 1
        if mask.any():
            count -= 1
            yield made, mask


def counted(content: str, masks: Masks, items: Iterable[tuple[Photo, list[Mask]]], total: int) -> list[Row]:
    """A row per decision of all items: a photo, and the content of each crop or place of it."""
    rows: dict[str, Row] = {}
    for photo, contents in track(items, content, total=total):
        for name, found in masks(photo).items():
            for mask in contents:
                rows.setdefault(name, Row(name, content)).add(mask, found)
    return list(rows.values())


def of_places(folders: Sequence[Path]) -> Iterator[tuple[Photo, list[Mask]]]:
    """The photos of the list that are there, and a mask for each of their places."""
    for photo, found in photos_with_places(folders):
        contents = [np.zeros(photo.shape[:2], bool) for _ in found]
        for mask, place in zip(contents, found, strict=True):
            mask[place.within(photo)] = True
        yield photo, contents


def losses(restorer: Restorer, masks: Masks, photos: PhotoSet, count: int) -> dict[str, float]:
    """Structure PSNR in dB, mean over crops, that own masks lose against the recipe's true ones."""
    lost: dict[str, list[float]] = {}
    for key in track(photos.keys[:count], "restored"):
        photo = photos.photo(key)
        made = degrade(np.ascontiguousarray(photo[window(photo.shape, CROP, item_rng(SEED, key))]),
                       ArchiveRecipe(damaged=1.0), item_rng(SEED, key))  # fmt: skip
        best = _quality(restorer, made.image, made.mask, made.toned)
        for name, found in masks(made.image).items():
            lost.setdefault(name, []).append(best - _quality(restorer, made.image, found, made.toned))
    return {name: float(np.mean(values)) for name, values in lost.items()}


def _quality(restorer: Restorer, image: Photo, mask: Mask, toned: Photo) -> float:
    restored = restorer.restore(image, mask if mask.any() else None)
    made, wanted = (torch.from_numpy(one).permute(2, 0, 1)[None] / 255 for one in (restored, toned))
    return float(structure_psnr(made, wanted))


def seconds(restorer: Restorer, megapixels: float) -> tuple[float, float]:
    """Search for damage and restoration of one photo, the lesser of two runs, in CPU seconds of one thread."""
    keep_freed_memory()
    torch.set_num_threads(1)
    photo = (pixels_of(enlarged(megapixels)) // 257).astype(np.uint8)
    searched, restored = [], []
    for _ in range(2):
        begun = time.process_time()
        mask = restorer.find(photo)
        between = time.process_time()
        restorer.restore(photo, mask)
        searched.append(between - begun)
        restored.append(time.process_time() - between)
    return min(searched), min(restored)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="How much of what belongs to a picture a detector marks.")
    parser.add_argument("clean")
    parser.add_argument("--places-in", type=Path, nargs="+", default=[])
    parser.add_argument("--model", default="starter")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[])
    parser.add_argument("--crops", type=int, default=320)
    parser.add_argument("--restored", type=int, default=80)
    parser.add_argument("--megapixels", type=float, default=4.0)
    parser.add_argument("--holdout", type=int, default=40)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    restorer = Restorer.load(options.model, device="cpu")
    if not restorer.detector_digest:
        parser.error(f"model {options.model} has no detector")
    masks, clean = thresholds(restorer, options.thresholds), held_out(options.clean, options.holdout)
    as_they_are = ((photo, [np.ones(photo.shape[:2], bool)]) for photo in map(clean.photo, clean.keys))
    rows = counted("drawn", masks, ((photo, [mask]) for photo, mask in drawn(clean, options.crops)), options.crops)
    if options.places_in:
        rows += counted("places", masks, of_places(options.places_in), len({place.file for place in places()}))
    rows += counted("clean as they are", masks, as_they_are, len(clean))
    print(
        f"\nmodel {options.model}\n\n| decision | content | number | marked | over {MOST:.0%} |\n|---|---|---|---|---|"
    )
    print("\n".join(row.line() for row in rows))
    lost = losses(restorer, masks, clean, options.restored) if options.restored else {}
    for name, value in lost.items():
        print(f"\nstructure PSNR lost by own masks, {name}: {value:.2f} dB (bar 0.25)")
    spent = seconds(restorer, options.megapixels) if options.megapixels else None
    if spent:
        print(f"\nCPU seconds at {options.megapixels:g} MP: search {spent[0]:.2f}, restoration {spent[1]:.2f}, share"
              f" {spent[0] / spent[1]:.0%} (bar 20%)")  # fmt: skip
    if options.json:
        record = {"rows": [asdict(row) for row in rows], "lost": lost, "seconds": spent}
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
