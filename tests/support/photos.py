"""Small photographs that tests make themselves: smooth shapes and edges, the same every time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def photo(number: int, height: int = 96, width: int = 112) -> NDArray[np.uint8]:
    """HWC uint8 RGB: a gradient with discs and bars, different for each number."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    canvas = np.stack([(rows * a + columns * b) % 256 for a, b in rng.uniform(0.3, 1.5, (3, 2))], axis=2)
    canvas = cv2.GaussianBlur(canvas.astype(np.uint8), (9, 9), 3)
    for _ in range(6):
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(canvas, centre, int(rng.integers(4, height // 4)), colour, -1, cv2.LINE_AA)
    return canvas


def album(folder: Path, count: int, *, first: int = 0, prefix: str = "album-") -> Path:
    """A folder of `count` PNG photos."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        cv2.imwrite(str(folder / f"{prefix}{number:03d}.png"), photo(number)[..., ::-1])
    return folder
