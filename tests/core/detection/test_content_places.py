"""The list of places that belong to the picture, by which detectors are judged."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from photos import photo
from places import ROOT

SCRIPT = ROOT / "benchmarks/content_places.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT), run_name="content_places")


def test_every_place_lies_within_its_photo(script: dict[str, Any]) -> None:
    found = script["places"]()
    assert len(found) >= 40
    assert all(0 <= place.left < place.right <= place.width for place in found)
    assert all(0 <= place.top < place.bottom <= place.height for place in found)
    assert all(place.what for place in found)


def test_photos_that_no_folder_holds_are_left_out(script: dict[str, Any], tmp_path: Path) -> None:
    first = script["places"]()[0]
    pixels = photo(1, first.height, first.width)
    assert cv2.imwrite(str(tmp_path / first.file), pixels[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])
    ((found, places),) = script["photos_with_places"]([tmp_path])
    assert np.array_equal(found, pixels)
    assert {place.file for place in places} == {first.file}


def test_a_place_is_found_in_a_copy_of_another_size(script: dict[str, Any]) -> None:
    place = script["Place"]("a.webp", 10, 20, 30, 60, 100, 80, "fence")
    assert place.within(np.zeros((160, 200, 3), np.uint8)) == (slice(40, 120), slice(20, 60))
