"""Measures of colour and tone for photos without a clean original: chroma residual and blotch.

Both work on a small copy of the photo (`SIDE` pixels on its long side) in CIELAB, and compare it with a smooth curve
over lightness. So neither asks what the right tone is; they ask whether it is one tone for the whole photo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import Readable
from oldphoto_core.tone.grid import Grid, slabs

Floats = NDArray[np.float32]
Levels = NDArray[np.uint16]

SIDE = 512
"""Pixels of the long side at which photos are measured."""
BORDER = 0.03
"""Share of each side that is left out at the border: mounts, frames and the scanner's lid."""
CHROMA_BLUR = 3 / 512
"""Standard deviation, in long sides, of the Gaussian that takes grain and JPEG noise from colours."""
BLOTCH_BLUR = 1 / 32
"""The same of what counts as low frequencies of lightness."""
CHROMA_DEGREE, TONE_DEGREE = 4, 5
"""Of the polynomials over lightness."""
MONOCHROME = 2.5
"""Chroma residual below which a photo counts as monochrome here."""
CHROMA_BOUND = 0.1
"""A restored monochrome photo whose chroma residual is higher than its master's by more than this gets a warning."""
BLOTCH_BOUND = 0.8
"""A restored photo whose blotch is above this, in units of L*, gets a warning."""


@dataclass(frozen=True, slots=True)
class ToneMeasures:
    """How even a restored photo's colours and tones are."""

    chroma_before: float
    """Chroma residual of the master."""
    chroma_after: float
    """Chroma residual of the derivative."""
    blotch: float
    """Of the derivative against the master."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is over its bound, for people."""
        found = []
        if self.chroma_before < MONOCHROME and self.chroma_after > self.chroma_before + CHROMA_BOUND:
            found.append(
                f"chroma residual {self.chroma_after:.2f}, and {self.chroma_before:.2f} of the master: it was"
                " monochrome, and is less so now"
            )
        if self.blotch > BLOTCH_BOUND:
            found.append(f"blotch {self.blotch:.2f} is over {BLOTCH_BOUND}: even areas may have become cloudy")
        return tuple(found)


def measure(
    before: Readable, after: Readable, mask: Readable | None = None, shown: Callable[[Levels], Levels] | None = None
) -> ToneMeasures:
    """Both measures of a photo.

    Args:
        before: The master, 1 or 3 channels of uint8 or uint16, of any size.
        after: The derivative, of the same height and width.
        mask: Not 0 = damaged: does not count. None: nothing is.
        shown: Puts HWC uint16 of the photo's own space into sRGB; None: it is sRGB.
    """
    old, new = _picture(before, shown), _picture(after, shown)
    intact = np.ones(old.shape[:2], bool) if mask is None else _grid(mask, flag=True).sums[..., 0] == 0
    return ToneMeasures(chroma_residual(old, intact), chroma_residual(new, intact), blotch(old, new, intact))


def chroma_residual(picture: Floats, intact: NDArray[np.bool_]) -> float:
    """RMS distance of the colours of `picture_HW3` in Lab from one smooth curve over lightness, in units of Lab.

    Args:
        picture: What `lab` gives for a small copy.
        intact: HW, False where it is damaged.
    """
    blurred = _blurred(picture, intact, CHROMA_BLUR)
    apart = blurred[:, 1:] - _fitted(blurred[:, 0], blurred[:, 1:], CHROMA_DEGREE)
    return float(np.sqrt(np.square(apart).sum(axis=1).mean()))


def blotch(before: Floats, after: Floats, intact: NDArray[np.bool_]) -> float:
    """Standard deviation of what was added to the low frequencies of lightness and is no curve over lightness, in L*.

    `before` and `after` are HW3 in Lab, of one size; `intact` is HW, False where the photo is damaged.
    """
    old, new = (_blurred(picture[..., :1], intact, BLOTCH_BLUR) for picture in (before, after))
    return float((new - _fitted(old[:, 0], new, TONE_DEGREE)).std())


def lab(values: NDArray[Any]) -> Floats:
    """`values_HWC` of 1 or 3 channels, 0 to 1 in sRGB -> HW3 in CIELAB (D65), L* 0 to 100."""
    scaled = values.astype(np.float32)
    rgb = np.repeat(scaled, 3, axis=2) if scaled.shape[2] == 1 else scaled
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2LAB), np.float32)


def _picture(photo: Readable, shown: Callable[[Levels], Levels] | None) -> Floats:
    means = _grid(photo).means(int(np.iinfo(photo.dtype).max))
    return lab(means if shown is None else shown(np.rint(means * 65535).astype(np.uint16)) / 65535)


def _grid(picture: Readable, *, flag: bool = False) -> Grid:
    height, width, channels = picture.shape
    grid = Grid(height, width, channels, SIDE)
    for top, bottom in slabs(picture):
        rows = picture.read(top, bottom)
        grid.add(top, (rows != 0).astype(np.uint8) if flag else rows)
    return grid


def _blurred(picture: Floats, intact: NDArray[np.bool_], sides: float) -> Floats:
    """NC: pixels that are neither border nor damage, blurred over what is intact; all, where none would be left."""
    height, width, channels = picture.shape
    down, right = round(BORDER * height), round(BORDER * width)
    counts = np.zeros((height, width), bool)
    counts[down : height - down, right : width - right] = True
    counts &= intact
    if not counts.any():
        counts, intact = np.ones_like(counts), np.ones_like(counts)
    sigma = max(height, width) * sides
    weights = intact.astype(np.float32)
    share = cv2.GaussianBlur(weights, (0, 0), sigma)[counts]
    planes = [
        cv2.GaussianBlur(picture[..., plane] * weights, (0, 0), sigma)[counts] / share for plane in range(channels)
    ]
    return np.stack(planes, axis=1)


def _fitted(lightness: Floats, values: Floats, degree: int) -> Floats:
    """`values_NC` as the least-squares polynomial of `lightness_N` says."""
    powers = np.vander(lightness.astype(np.float64) / 50.0 - 1.0, degree + 1)
    coefficients = np.linalg.lstsq(powers, values.astype(np.float64), rcond=None)[0]
    return (powers @ coefficients).astype(np.float32)
