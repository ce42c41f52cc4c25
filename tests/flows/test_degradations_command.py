"""The command that draws the recipe `archive`."""

from __future__ import annotations

from pathlib import Path

import cv2
from outlines import outlines_folder
from photos import album

SHEETS = ["damage.png", "mixed.png", "tone_and_sharpness.png"]


def test_the_sheets_show_every_operation_and_whole_mixtures(oldphoto, tmp_path: Path) -> None:
    ended = oldphoto("degradations", tmp_path / "sheets", "--photos", album(tmp_path / "clean", 2), "--size", 40)
    assert ended.code == 0
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == SHEETS
    assert all(str(tmp_path / "sheets" / name) in ended.out for name in SHEETS)
    sheet = cv2.imread(str(tmp_path / "sheets" / "damage.png"))
    assert sheet is not None
    assert sheet.shape[1] > 5 * 40


def test_with_outlines_film_damage_has_a_row_of_its_own(oldphoto, tmp_path: Path) -> None:
    clean, heights = album(tmp_path / "clean", 1), []
    for given in ((), ("--outlines", outlines_folder(tmp_path / "outlines"))):
        assert oldphoto("degradations", tmp_path / "sheets", "--photos", clean, "--size", 32, *given).code == 0
        sheet = cv2.imread(str(tmp_path / "sheets" / "damage.png"))
        assert sheet is not None
        heights.append(sheet.shape[0])
    assert heights[1] - heights[0] >= 32


def test_without_photos_the_demos_are_drawn_on(oldphoto, tmp_path: Path) -> None:
    ended = oldphoto("degradations", tmp_path / "sheets", "--size", 32)
    assert ended.code == 0
    assert len(list((tmp_path / "sheets").iterdir())) == 3


def test_a_folder_without_photos_is_told(oldphoto, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = oldphoto("degradations", tmp_path / "sheets", "--photos", tmp_path / "empty")
    assert ended.code == 1
    assert "holds no photos" in ended.err
