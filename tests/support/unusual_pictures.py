"""Pictures that are no single photograph, made by the tests themselves: nothing in them is damage."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from photos import photo

Picture = np.ndarray
PAPER = 238
"""Level of the paper that things are drawn and printed on."""


def _paper(seed: int, height: int, width: int) -> Picture:
    grain = np.random.default_rng(seed).normal(PAPER, 2.0, (height, width, 1))
    return np.repeat(grain.clip(0, 255).astype(np.uint8), 3, axis=2)


def _printed(page: Picture) -> Picture:
    """As a scanner sees ink: a little soft."""
    return cv2.GaussianBlur(page, (3, 3), 0.7)


def line_drawing(seed: int, height: int = 480, width: int = 600) -> Picture:
    """Houses, hatched shadows and curves in ink."""
    dice, page = np.random.default_rng(seed), _paper(seed, height, width)
    for _ in range(12):
        x, y = int(dice.integers(20, width - 120)), int(dice.integers(20, height - 120))
        w, h = (int(side) for side in dice.integers(40, 110, 2))
        cv2.rectangle(page, (x, y), (x + w, y + h), (30, 30, 30), 2, cv2.LINE_AA)
        cv2.line(page, (x, y), (x + w // 2, y - 25), (30, 30, 30), 2, cv2.LINE_AA)
        cv2.line(page, (x + w // 2, y - 25), (x + w, y), (30, 30, 30), 2, cv2.LINE_AA)
        for step in range(4, w, 6):
            cv2.line(page, (x + step, y + h), (x + step + 10, y + h - 20), (50, 50, 50), 1, cv2.LINE_AA)
        cv2.ellipse(page, (x, y + h), (w // 2, h // 3), 0, 0, 250, (30, 30, 30), 1, cv2.LINE_AA)
    return _printed(page)


def text_page(seed: int, height: int = 600, width: int = 480) -> Picture:
    """A printed page."""
    dice, page = np.random.default_rng(seed), _paper(seed, height, width)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz     "))
    for line in range(50, height - 40, 18):
        text = "".join(dice.choice(letters, 46))
        cv2.putText(page, text, (36, line), cv2.FONT_HERSHEY_COMPLEX, 0.45, (35, 35, 35), 1, cv2.LINE_AA)
    return _printed(page)


def halftone(seed: int, height: int = 480, width: int = 600) -> Picture:
    """A photo printed in dots of a screen of 5 pixels at 45 degrees."""
    tone = cv2.cvtColor(photo(seed, height, width), cv2.COLOR_RGB2GRAY).astype(np.float64) / 255.0
    rows, columns = np.mgrid[0:height, 0:width] * (2.0 * np.pi / (5.0 * np.sqrt(2.0)))
    screen = 0.5 + 0.25 * (np.cos(rows + columns) + np.cos(rows - columns))
    dots = np.where(tone > screen, PAPER, 40).astype(np.uint8)
    return _printed(np.repeat(dots[..., np.newaxis], 3, axis=2))


def contact_sheet(seed: int, height: int = 480, width: int = 600) -> Picture:
    """Strips of small photos on black."""
    page = np.full((height, width, 3), 16, np.uint8)
    for number, (y, x) in enumerate((y, x) for y in range(15, height - 90, 112) for x in range(12, width - 120, 118)):
        page[y : y + 80, x : x + 108] = photo(seed + number, 80, 108)
    return page


def stereo_card(seed: int, height: int = 360, width: int = 700) -> Picture:
    """The same view twice, on a card."""
    page = np.full((height, width, 3), (196, 178, 140), np.uint8)
    view = photo(seed, 270, 305)
    page[45:315, 40:335] = view[:, :295]
    page[45:315, 365:660] = view[:, 10:]
    return page


def negative(seed: int, height: int = 480, width: int = 600) -> Picture:
    """A photo with its tones turned round."""
    return 255 - photo(seed, height, width)


def white_page(seed: int, height: int = 480, width: int = 600) -> Picture:
    """Paper, and nothing on it."""
    return _paper(seed, height, width)


UNUSUAL: dict[str, Callable[[int], Picture]] = {
    made.__name__: made
    for made in (line_drawing, text_page, halftone, contact_sheet, stereo_card, negative, white_page)
}
"""By name."""
