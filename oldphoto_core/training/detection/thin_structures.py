"""Hard negatives: thin things that belong to the picture, drawn before it is made old. They are no damage.

Wires and railings are as thin and as straight as scratches, writing as high in contrast; what tells them apart is that
they repeat, hang, end at things, and have aged with the rest. A detector that has never seen them marks every mast.
"""

from __future__ import annotations

import string

import cv2
import numpy as np
from numpy.typing import NDArray

Photo = NDArray[np.uint8]

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)
SAMPLES = 8
"""Fractions of a pixel in which OpenCV places lines: 2 ** 3."""


def draw_thin_structures(photo: Photo, rng: np.random.Generator) -> Photo:
    """A copy of `photo_HWC` with one or two kinds of thin things in it, softened as a lens softens them."""
    drawn = photo.copy()
    kinds = (_wires, _railings, _writing, _twigs)
    for kind in rng.permutation(len(kinds))[: rng.integers(1, 3)]:
        kinds[kind](drawn, rng)
    sigma = rng.uniform(0.3, 0.8)
    softened = cv2.GaussianBlur(drawn, (5, 5), sigma)
    touched = (drawn != photo).any(axis=2, keepdims=True).astype(np.uint8)
    reach = cv2.dilate(touched, np.ones((3, 3), np.uint8))[..., None]
    return np.where(reach, softened, photo).astype(np.uint8, copy=False)


def _tone(photo: Photo, rng: np.random.Generator) -> tuple[float, ...]:
    """Darker or brighter than the middle of the picture, as seen against sky or shade."""
    level = rng.uniform(0, 70) if rng.random() < 0.7 else rng.uniform(170, 250)
    tint = photo.reshape(-1, 3).mean(axis=0) / max(1.0, float(photo.mean()))
    return tuple(np.clip(level * tint, 0, 255).tolist())


def _line(photo: Photo, points: NDArray[np.float64], tone: tuple[float, ...], thickness: int) -> None:
    whole = np.rint(points * SAMPLES).astype(np.int32)
    cv2.polylines(photo, [whole], False, tone, thickness, cv2.LINE_AA, shift=3)


def _wires(photo: Photo, rng: np.random.Generator) -> None:
    """Parallel cables from side to side that hang by their weight."""
    height, width = photo.shape[:2]
    top, slope, sag = rng.uniform(0, 0.7) * height, rng.normal(0, 0.25), rng.uniform(0, 0.12) * height
    distance, tone = rng.uniform(0.02, 0.08) * height, _tone(photo, rng)
    thickness = int(rng.integers(1, 3))
    along = np.linspace(0, 1, 24)
    for number in range(int(rng.integers(1, 5))):
        y = top + number * distance + slope * along * width * 0.3 + sag * 4 * along * (1 - along)
        _line(photo, np.stack([along * width, y], axis=1), tone, thickness)


def _railings(photo: Photo, rng: np.random.Generator) -> None:
    """Bars at even distances between two rails."""
    height, width = photo.shape[:2]
    left, right = np.sort(rng.uniform(-0.1, 1.1, 2)) * width
    top, bottom = np.sort(rng.uniform(0.1, 1.1, 2)) * height
    tone, thickness = _tone(photo, rng), int(rng.integers(1, 4))
    for x in np.arange(left, right, rng.uniform(0.02, 0.08) * width):
        _line(photo, np.array([[x, top], [x, bottom]]), tone, thickness)
    for y in (top, bottom):
        _line(photo, np.array([[left, y], [right, y]]), tone, thickness)


def _writing(photo: Photo, rng: np.random.Generator) -> None:
    """A line of letters, as on shop signs and in captions."""
    height, width = photo.shape[:2]
    text = "".join(rng.choice(list(string.ascii_letters + string.digits + "   .,"), size=int(rng.integers(4, 18))))
    origin = (int(rng.uniform(-0.1, 0.6) * width), int(rng.uniform(0.1, 1.0) * height))
    font = FONTS[int(rng.integers(len(FONTS)))]
    cv2.putText(
        photo, text, origin, font, rng.uniform(0.3, 1.1), _tone(photo, rng), int(rng.integers(1, 3)), cv2.LINE_AA
    )


def _twigs(photo: Photo, rng: np.random.Generator) -> None:
    """Branches that fork, as in bare trees, and strands of hair: many, and all from one place."""
    height, width = photo.shape[:2]
    root, tone = rng.uniform(0, 1, 2) * (width, height), _tone(photo, rng)
    towards, spread = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.8)
    for _ in range(int(rng.integers(6, 25))):
        turns = np.cumsum(rng.normal(0, 0.12, 12)) + towards + rng.normal(0, spread)
        length = rng.uniform(0.1, 0.5) * max(height, width) / 12
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * length
        _line(photo, root + np.cumsum(steps, axis=0), tone, 1)
