"""Which photos are beyond the method: told by the mask's geometry and by the detector's doubt, wherever people look."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from oldphoto_core.detection.doubtful import COMPLEX, HOLES, SHADING, doubtful_of
from oldphoto_core.evaluation.doubtful import doubtful_to_markdown
from oldphoto_core.inference.canvas import ArrayCanvas

SIZES = [(256, 256), (1500, 2100)]


def reasons(mask: NDArray[np.uint8], doubt: float = float("nan")) -> tuple[str, ...]:
    return doubtful_of(ArrayCanvas(mask[..., None]), doubt)


def empty(size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.zeros(size, np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_an_intact_photo_is_not_doubtful(size: tuple[int, int]) -> None:
    assert reasons(empty(size), doubt=0.9) == ()
    assert doubtful_of(None, 0.9) == ()


@pytest.mark.parametrize("size", SIZES)
def test_a_few_scratches_and_dust_are_no_limit(size: tuple[int, int]) -> None:
    mask, thin = empty(size), max(size) // 200
    for number in range(1, 4):
        cv2.line(mask, (0, size[0] * number // 5), (size[1], size[0] * (number + 1) // 5), 1, thin)
    mask[:: max(size) // 20, :: max(size) // 20] = 1
    assert reasons(mask) == ()


@pytest.mark.parametrize("size", SIZES)
def test_a_web_of_scratches_is_complex(size: tuple[int, int]) -> None:
    mask = empty(size)
    for number in range(1, 8):
        cv2.line(mask, (0, size[0] * number // 8), (size[1], size[0] * (8 - number) // 8), 1, 2)
        cv2.line(mask, (size[1] * number // 8, 0), (size[1] * number // 8, size[0]), 1, 2)
    assert reasons(mask) == (COMPLEX,)


@pytest.mark.parametrize("size", SIZES)
def test_a_hole_is_large_by_the_disc_that_fits_into_it(size: tuple[int, int]) -> None:
    mask, longer = empty(size), max(size)
    cv2.circle(mask, (size[1] // 2, size[0] // 2), longer // 20, 1, -1)
    assert reasons(mask) == (HOLES,)
    small = empty(size)
    cv2.circle(small, (size[1] // 2, size[0] // 2), longer // 60, 1, -1)
    assert reasons(small) == ()


def test_a_hole_at_the_border_counts_as_far_as_it_goes_on() -> None:
    mask = empty((256, 256))
    mask[:12, 40:200] = 1
    assert reasons(mask) == (HOLES,)


def test_an_unsure_detector_makes_a_photo_doubtful() -> None:
    mask = empty((256, 256))
    mask[5, 5:9] = 1
    assert reasons(mask, 0.3) == (SHADING,)
    assert reasons(mask, 0.1) == ()


def test_an_evaluation_says_what_doubtful_crops_gain_and_what_the_others_do() -> None:
    rows = [("a", "degraded input", 20.0, 9.0, ""), ("b", "degraded input", 20.0, 8.0, HOLES),
            ("a", "ours", 24.0, np.nan, ""), ("b", "ours", 21.0, 15.0, HOLES)]  # fmt: skip
    results = pd.DataFrame(rows, columns=["key", "method", "psnr", "psnr_filled", "doubtful"])
    text = doubtful_to_markdown(results, ["ours"])
    assert "1 of 2 crops are doubtful (large holes 1)." in text
    assert "| ours | +1.00 / +4.00 | 21.00 / 24.00 | 15.00 / - |" in text
    assert doubtful_to_markdown(results[results["key"] == "a"], ["ours"]) == "None of 1 crops is doubtful."
