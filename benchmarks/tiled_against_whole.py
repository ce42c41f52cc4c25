"""A photo restored in parts against the same photo restored whole: largest difference, PSNR, whether borders show.

    python benchmarks/tiled_against_whole.py [--megapixels 4] [--photo FILE] [--preset compact paper] [--tile 0.66]

`compact` (the starter weights) goes in tiles, `paper` (random weights of a fixed seed) layer by layer, both with the
memory that a tile of `--tile` megapixels takes. Results are compared as the network gives them, before they are rounded
to levels. Borders: the mean step across them over the mean step elsewhere, in the parts' result; the same of the whole
picture's result at the same places tells what the photo itself has there. The photo is a sample enlarged unless given.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from measuring import each, enlarged, pixels_of, random_model
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core import Restorer
from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.checkpoints import load_model
from oldphoto_core.inference.canvas import Subject
from oldphoto_core.inference.layers import LayerByLayer
from oldphoto_core.inference.planes import Size
from oldphoto_core.inference.tiling import Tiles
from oldphoto_core.nets import preset_named
from oldphoto_core.restoration import NetworkOptions

Floats = NDArray[np.float32]
HEADER = (
    "| preset | photo (MP) | scratches | parts | largest difference (of 1.0) | PSNR (dB)"
    " | step across borders over elsewhere | the same places, whole |",
    "|---" * 8 + "|",
)
BARS = "Bars: without scratches `compact` 1e-5 and `paper` 40 dB, with scratches 40 dB; borders 1.05."


@dataclass(frozen=True)
class Case:
    """One row."""

    preset: str
    pixels: NDArray[np.uint16]
    mask: NDArray[np.bool_] | None
    tile: float
    """Megapixels."""

    @property
    def memory(self) -> float:
        """Bytes for one tile."""
        return self.tile * 1e6 * preset_named(self.preset).bytes_per_pixel

    def restored(self, memory: float) -> Floats:
        """HWC in [0, 1] or a little beyond, as the network gives it."""
        model = load_model("starter") if self.preset == "compact" else random_model(self.preset)
        restorer = Restorer(model, NetworkOptions(device="cpu", memory=memory))
        result = ArrayCanvas(np.full(self.pixels.shape, np.nan, np.float32))
        mask = None if self.mask is None else ArrayCanvas(self.mask[..., None])
        rounding = "oldphoto_core.restoration.{}.levels"
        with patch(rounding.format("tiling"), unrounded), patch(rounding.format("runner"), unrounded):
            restorer.restore_canvas(ArrayCanvas(self.pixels), result, mask)
        return result.pixels

    def borders(self) -> tuple[str, list[int], list[int]]:
        """What the parts are, and the rows and columns at which new ones begin."""
        preset = preset_named(self.preset)
        subject = Subject(ArrayCanvas(self.pixels), None, preset.multiple, preset.minimum)
        if preset.beyond_memory == "tiles":
            tiles = Tiles(subject, preset.halo, self.memory / preset.bytes_per_pixel)
            rows, columns = ([span.inside_start for span in spans[1:]] for spans in (tiles.rows, tiles.columns))
            return f"{tiles.count} tiles of {tiles.pixels_each / 1e6:.2f} MP", rows, columns
        executor = LayerByLayer("cpu", self.memory, lambda *_: None)
        slabs = executor.slabs(Size(subject.height, subject.width, 3))
        return f"layers, the last in {len(slabs)} slabs", [top for top, _ in slabs[1:]], []


def unrounded(restored: Tensor, _like: object) -> Floats:
    """In place of `levels`: 3HW in [-1, 1] -> HWC in [0, 1]."""
    picture: Floats = ((restored.float() + 1) / 2).permute(1, 2, 0).contiguous().numpy()
    return picture


def border_ratio(picture: Floats, rows: list[int], columns: list[int]) -> float:
    """Mean absolute step across the borders over that across all other places."""
    across, elsewhere = [], []
    for axis, places in ((0, rows), (1, columns)):
        if places:
            steps = np.abs(np.diff(picture.astype(np.float64), axis=axis)).mean(axis=(1 - axis, 2))
            at = np.zeros(len(steps), bool)
            at[[place - 1 for place in places]] = True
            across.append(steps[at])
            elsewhere.append(steps[~at])
    return float(np.concatenate(across).mean() / np.concatenate(elsewhere).mean()) if across else float("nan")


def scratches(height: int, width: int) -> NDArray[np.bool_]:
    """Twelve lines through the picture, a thousandth of its long side wide and three pixels at least."""
    rng = np.random.default_rng(1)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(12):
        ends = [tuple(int(value) for value in rng.integers(0, (width, height))) for _ in range(2)]
        cv2.line(mask, *ends, color=1, thickness=max(3, max(height, width) // 1000))
    return mask.astype(bool)


def row(case: Case) -> str:
    """Restores twice and compares."""
    whole, parts = case.restored(1e12), case.restored(case.memory)
    assert np.isfinite(whole).all()
    assert np.isfinite(parts).all()
    name, rows, columns = case.borders()
    difference = np.abs(whole.astype(np.float64) - parts)
    psnr = f"{-10 * np.log10((difference**2).mean()):.1f}" if difference.any() else "equal"
    seams = [border_ratio(picture, rows, columns) for picture in (parts, whole)]
    damaged = "none" if case.mask is None else f"{case.mask.mean():.2%} of the pixels"
    return (
        f"| {case.preset} | {case.pixels.shape[0] * case.pixels.shape[1] / 1e6:.2f} | {damaged} | {name} |"
        f" {difference.max():.1e} | {psnr} | {seams[0]:.4f} | {seams[1]:.4f} |"
    )


def cases(options: argparse.Namespace) -> Iterator[tuple[str, Case]]:
    """Without and with scratches."""
    pixels = pixels_of(enlarged(options.megapixels, options.photo))
    for preset in options.preset:
        for mask in (None, scratches(*pixels.shape[:2])):
            name = f"{preset}, {'no scratches' if mask is None else 'scratches'}"
            yield name, Case(preset, pixels, mask, options.tile)


def main() -> None:
    """Prints one row a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=4.0)
    parser.add_argument("--photo", type=Path, help="a photo to enlarge instead of the sample")
    parser.add_argument("--preset", nargs="+", choices=("compact", "paper"), default=["compact", "paper"])
    parser.add_argument("--tile", type=float, default=0.66)
    jobs: list[tuple[str, Any]] = [(name, lambda case=case: row(case)) for name, case in cases(parser.parse_args())]
    print("\n".join(HEADER), flush=True)
    for printed in each(jobs):
        print(printed, flush=True)
    print(f"\n{BARS}")


if __name__ == "__main__":
    main()
