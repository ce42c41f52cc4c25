"""Letters: signs in the picture, captions printed or written on it."""

from __future__ import annotations

import string

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.degradation.archive.canvas import Canvas
from oldphoto_core.training.detection.thin_structures.sketch import Sketch

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
GLYPHS = 64
"""Height in pixels at which letters are drawn before they are placed."""


def signs(sketch: Sketch, rng: np.random.Generator) -> None:
    """Letters on a shop front, a ship or a cart, some on a board, seen a little from the side."""
    size, corner = rng.uniform(0.015, 0.09), np.asarray(sketch.point(rng)) * (0.7, 1.0)
    turn, lean = rng.normal(0, 0.06), rng.normal(0, 0.1)
    text = _text(rng, int(rng.integers(3, 14)), is_capital=rng.random() < 0.7)
    pattern = _written(text, rng)
    across = np.array([np.cos(turn), np.sin(turn)]) * size * pattern.shape[1] / pattern.shape[0]
    down = np.array([-np.sin(turn) + lean, np.cos(turn)]) * size
    level = "bright" if rng.random() < 0.5 else "dark"
    if rng.random() < 0.5:
        board = sketch.layer("dark" if level == "bright" else "bright", uneven=5.0)
        first = corner - across * 0.05 - down * 0.15
        corners = [first, first + across * 1.1, first + across * 1.1 + down * 1.3, first + down * 1.3]
        board.patch([np.stack(corners).astype(np.float32)])
    _stamped(sketch.layer("bright" if level == "bright" else "dark"), pattern, corner, across, down)


def captions(sketch: Sketch, rng: np.random.Generator) -> None:
    """A line of type on the print, at its foot or head, as publishers of postcards put it there."""
    size, turn = rng.uniform(0.012, 0.035), rng.normal(0, 0.004)
    canvas = sketch.layer("bright" if rng.random() < 0.6 else "dark", on_print=True, opacity=rng.uniform(0.8, 1.0))
    y = sketch.high - size * rng.uniform(1.3, 2.5) if rng.random() < 0.8 else size * rng.uniform(0.3, 1.0)
    pattern = _written(_text(rng, int(rng.integers(8, 40)), is_capital=rng.random() < 0.3), rng)
    across = np.array([np.cos(turn), np.sin(turn)]) * size * pattern.shape[1] / pattern.shape[0]
    corner = np.array([rng.uniform(0.02, 0.4) * sketch.wide, y])
    _stamped(canvas, pattern, corner, across, np.array([-np.sin(turn), np.cos(turn)]) * size)


def handwriting(sketch: Sketch, rng: np.random.Generator) -> None:
    """Joined script of a pen: in ink on the print, or scratched into the negative, which prints white."""
    canvas = sketch.layer("bright" if rng.random() < 0.45 else "dark", on_print=True, opacity=rng.uniform(0.7, 1.0))
    size, slant, pen = rng.uniform(0.007, 0.022), rng.uniform(0.0, 0.7), rng.uniform(0.0010, 0.0028)
    turn = rng.normal(0, 0.05) if rng.random() < 0.8 else rng.normal(0, 0.6)
    corner, length = np.asarray(sketch.point(rng)) * (0.6, 1.0), rng.uniform(0.15, 0.7)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    for row in range(int(rng.choice([1, 1, 2, 3]))):
        x, end = 0.0, length * rng.uniform(0.5, 1.0)
        while x < end:
            word = _word(int(rng.integers(2, 9)), slant, rng) * size
            place = corner + along * x + across * row * size * 4.2
            path = place + word[:, :1] * along - word[:, 1:] * across
            _pen(canvas, path.astype(np.float32), pen)
            x += float(word[:, 0].max()) + size * 1.6


def _word(letters: int, slant: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A joined word as a path, N2, one for the height of a small letter, y upward: loops, arches and some ascenders."""
    parts, x = [], 0.0
    for _ in range(letters):
        t = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        high = float(rng.choice([1.0, 1.0, 1.0, 1.0, 2.4, -1.3]))
        loop, wide = rng.uniform(0.15, 0.75), rng.uniform(0.7, 1.3)
        rise = 0.5 * (1 - np.cos(t)) * high * rng.uniform(0.85, 1.15)
        parts.append(np.stack([x + wide * t / (2 * np.pi) + loop * np.sin(t) * 0.6, rise], axis=1))
        x += wide
    word = np.concatenate(parts)
    return np.stack([word[:, 0] + slant * word[:, 1], word[:, 1]], axis=1)


def _pen(canvas: Canvas, path: NDArray[np.float32], width: float) -> None:
    """Strokes that go down are broader than those that go up."""
    for first in range(0, len(path) - 1, 3):
        part = path[first : first + 4]
        canvas.line(part, width * (1.25 if part[-1, 1] > part[0, 1] else 0.7))


def _text(rng: np.random.Generator, length: int, *, is_capital: bool) -> str:
    letters = string.ascii_uppercase if is_capital else string.ascii_lowercase
    text = "".join(rng.choice(list(letters + "    .&" + string.digits[:4]), size=length)).strip(" ")
    return text.capitalize() if not is_capital and text else text or "No 1"


def _written(text: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The text, HW uint8, 255 in the strokes."""
    font, bold = int(FONTS[int(rng.integers(len(FONTS)))]), int(rng.integers(2, 7))
    scale = cv2.getFontScaleFromHeight(font, GLYPHS * 6 // 10, bold)
    (width, height), under = cv2.getTextSize(text, font, scale, bold)
    pattern = np.zeros((height + under + 2 * bold, width + 2 * bold), np.uint8)
    return cv2.putText(pattern, text, (bold, height + bold), font, scale, 255, bold, cv2.LINE_AA).astype(np.uint8)


def _stamped(
    canvas: Canvas, pattern: NDArray[np.uint8], corner: NDArray[np.float64], across: NDArray[np.float64],
    down: NDArray[np.float64],
) -> None:  # fmt: skip
    canvas.stamp(pattern, *(part.astype(np.float32) for part in (corner, across, down)))
