"""Which operations of the recipe `archive` are tone: how far one map of colours and a coarse field undo each of them.

    python benchmarks/tone_operations.py CLEAN [--photos 60] [--size 256]

Each operation is applied alone, at a severity drawn as the recipe draws it. What it did is then undone by least
squares, as well as can be with the original granted: by one map for the whole photo (for each output channel a curve of
each input channel, 9 knots each), and by that map with a field of 6 x 6 gains per channel, enlarged bicubically. PSNR
is against the clean photo; the last columns tell the share of the squared error that is left.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation import ArchiveRecipe, item_rng
from oldphoto_core.degradation.archive import Operation
from oldphoto_core.evaluation.compare import centre
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket, is_image_key

SEED = 7
KNOTS = 9
GRID = 6
Values = NDArray[np.float32]


def curves(image: Values) -> Values:
    """N3 in [0, 1] -> N(3 * KNOTS): weights of the knots of a piecewise linear curve of each channel."""
    place = image[..., None] * (KNOTS - 1) - np.arange(KNOTS, dtype=np.float32)
    return np.maximum(0.0, 1.0 - np.abs(place)).reshape(len(image), -1)


def field(shape: tuple[int, int]) -> Values:
    """(HW)(GRID * GRID): what each node of a coarse field weighs at each pixel."""
    nodes = np.eye(GRID * GRID, dtype=np.float32).reshape(-1, GRID, GRID)
    enlarged = [cv2.resize(node, shape[::-1], interpolation=cv2.INTER_CUBIC) for node in nodes]
    return np.stack(enlarged, axis=-1).reshape(-1, GRID * GRID)


def error_left(features: Values, wanted: Values) -> float:
    """Squared error that the best linear combination of features leaves; they may depend on each other."""
    gram = features.T.astype(np.float64) @ features + 1e-4 * np.eye(features.shape[1])
    weights = np.linalg.solve(gram, features.T.astype(np.float64) @ wanted)
    return float(np.square(features @ weights.astype(np.float32) - wanted).mean())


def errors(operation: Operation, clean: NDArray[np.uint8], key: str) -> tuple[float, float, float]:
    """Mean squared error of an operation as it is, after one map, and after map and field; levels in [0, 1]."""
    rng = item_rng(SEED, operation.name, key)
    made = operation.occur(clean, rng, float(rng.beta(*ArchiveRecipe().severity)))[0].image
    given, wanted = (picture.reshape(-1, 3).astype(np.float32) / 255 for picture in (made, clean))
    as_it_is = float(np.square(given - wanted).mean())
    global_map, nodes = curves(given), field((clean.shape[0], clean.shape[1]))
    by_map = error_left(global_map, wanted)
    by_field = [
        error_left(np.concatenate([global_map, nodes * given[:, [channel]]], axis=1), wanted[:, [channel]])
        for channel in range(3)
    ]
    return as_it_is, by_map, float(np.mean(by_field))


def rows(photos: dict[str, NDArray[np.uint8]]) -> Iterator[str]:
    """A row per operation that has no mask of its own."""
    for operation in (*ArchiveRecipe().making.operations(), *ArchiveRecipe().ageing.operations(),
                      *ArchiveRecipe().scanning.operations()):  # fmt: skip
        found = np.array([errors(operation, photo, key) for key, photo in photos.items()])
        before, by_map, by_field = (-10 * np.log10(np.maximum(found, 1e-7))).mean(axis=0)
        left_map, left_field = found[:, 1].sum() / found[:, 0].sum(), found[:, 2].sum() / found[:, 0].sum()
        yield (
            f"| `{operation.name}` | {before:.1f} | {by_map:.1f} | {by_field:.1f} | {left_map:.0%} | {left_field:.0%} |"
            f" {'tone' if operation.is_tone else 'structure'} |"
        )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", metavar="CLEAN")
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    bucket = Bucket(options.clean)
    keys = [entry.key for entry in bucket.list() if is_image_key(entry.key)]
    keys = keys[:: max(1, len(keys) // options.photos)][: options.photos]
    photos = {key: centre(to_rgb8(read_scan(bucket.read(key)).pixels), options.size) for key in keys}
    print("| operation | alone (dB) | map (dB) | map and field (dB) | left by map | left by both | declared |")
    print("|---|---|---|---|---|---|---|")
    for row in rows(photos):
        print(row, flush=True)


if __name__ == "__main__":
    main()
