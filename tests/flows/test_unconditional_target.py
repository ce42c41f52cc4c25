"""Runs into targets that keep nobody out, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drives import exfat_drive
from runs import put

from oldphoto_core.storage import Bucket

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_run_into_a_drive_without_hard_links_ends_well_and_says_once_what_it_went_without(
    tmp_path: Path, oldphoto
) -> None:
    put(Bucket(tmp_path / "old"), ["a.jpg", "box/b.png"])
    with exfat_drive(tmp_path) as place:
        ended = oldphoto("restore", tmp_path / "old", place / "new", "--model", "invert")
        target = Bucket(place / "new")
        (run_id,) = target.folders("runs")
        summary = json.loads(target.read(f"runs/{run_id}/summary.json"))
    assert ended.code == 0, ended.err
    assert (ended.out + ended.err).count("note: nobody keeps a second run out of this target") == 1
    assert summary["restored"] == 2
    (warning,) = summary["warnings"]
    assert "without hard links" in warning
