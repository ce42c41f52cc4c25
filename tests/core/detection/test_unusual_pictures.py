"""Pictures that are no single photograph, searched by the shipped detector: nothing in them is to be painted over."""

from __future__ import annotations

import pytest
from unusual_pictures import UNUSUAL

from oldphoto_core import Restorer
from oldphoto_core.detection.options import DetectionOptions

MOST = 0.01
"""Share of a picture that may be marked."""


@pytest.fixture(scope="module")
def starter() -> Restorer:
    return Restorer.load("starter", device="cpu")


@pytest.mark.parametrize("kind", UNUSUAL)
def test_less_than_one_per_cent_of_a_picture_that_is_no_photo_is_marked(starter: Restorer, kind: str) -> None:
    picture = UNUSUAL[kind](1)
    normal, low = (starter.find(picture, DetectionOptions(sensitivity=one)) for one in ("normal", "low"))
    assert normal.mean() < MOST
    assert low.sum() <= normal.sum()
