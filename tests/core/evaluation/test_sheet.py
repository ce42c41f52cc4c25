"""Sheets: the paper's figure, with labels and enlarged crops, as PNG and PDF."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from photos import album, photo
from PIL import Image

from oldphoto_core.errors import ConfigError, ScanError, SourceMissing, UsageError
from oldphoto_core.evaluation.named import NamedMethods, named_methods
from oldphoto_core.evaluation.sheet import SheetConfig, check_format, chosen_squares, draw_sheet
from oldphoto_core.storage import Bucket


def nothing(image: np.ndarray) -> np.ndarray:
    return np.zeros(image.shape[:2], bool)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(str(album(tmp_path_factory.mktemp("sheet"), 5)))


def test_a_sheet_is_a_png_or_a_pdf_and_the_same_every_time(photos: Bucket) -> None:
    methods = named_methods(["opencv", "sequential"])
    config = SheetConfig(count=2)
    png, pdf = (draw_sheet(photos, methods, form, config) for form in ("png", "pdf"))
    assert Image.open(io.BytesIO(png)).format == "PNG"
    assert pdf.startswith(b"%PDF-")
    assert b"CreationDate" not in pdf
    assert draw_sheet(photos, methods, "png", config) == png


def test_it_has_the_columns_and_rows_that_were_asked_for(photos: Bucket) -> None:
    red = NamedMethods({"red": lambda image, mask: np.full_like(image, (255, 0, 0))}, nothing, "")
    sizes = []
    for crops in (0, 2):
        sheet = Image.open(io.BytesIO(draw_sheet(photos, red, "png", SheetConfig(count=2, chosen=crops))))
        pixels = np.asarray(sheet.convert("RGB"))
        # the right half is what the method made
        share = (pixels[:, sheet.width // 2 :] == (255, 0, 0)).all(axis=2).mean()
        assert share > 0.5
        sizes.append(sheet.size)
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] > 2 * sizes[0][1]


def test_crops_are_taken_where_methods_differ_most() -> None:
    image = photo(1, 120, 160)
    other = image.copy()
    other[70:100, 20:50] = 255 - other[70:100, 20:50]
    other[5:15, 120:130] += 20
    first, second = chosen_squares([image, other], 2)
    assert np.abs(np.subtract(first, (20, 70, 30))).max() <= 8
    assert abs(second[0] - 110) <= 10
    assert second[1] <= 5


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (40, 9)])
def test_a_crop_of_a_thin_photo_lies_inside_it(size: tuple[int, int]) -> None:
    pictures = list(np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8))
    for left, top, side in chosen_squares(pictures, 3):
        assert 0 <= left <= size[1] - side
        assert 0 <= top <= size[0] - side


def test_names_that_look_like_mathematics_or_act_on_a_terminal_are_drawn_as_they_are(tmp_path: Path) -> None:
    album(tmp_path, 1, prefix="$x^{$ \u202e")
    hostile = NamedMethods({"$\\frac{$ \x1b[31m": lambda image, mask: image}, nothing, "")
    assert draw_sheet(Bucket(tmp_path), hostile, "pdf", SheetConfig(count=1)).startswith(b"%PDF-")


def test_what_cannot_be_drawn_is_told(photos: Bucket, tmp_path: Path) -> None:
    same = NamedMethods({"same": lambda image, mask: image}, nothing, "")
    with pytest.raises(UsageError, match="lies outside album-"):
        draw_sheet(photos, same, "png", SheetConfig(crops=((90, 0, 40),)))
    with pytest.raises(ConfigError, match="0,0,0 is no square"):
        SheetConfig(crops=((0, 0, 0),))
    with pytest.raises(UsageError, match=r"end it with \.png or \.pdf"):
        check_format("sheet.jpg")
    with pytest.raises(SourceMissing, match="no photo to draw"):
        draw_sheet(Bucket(tmp_path), same, "png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    left_out = []
    with pytest.raises(UsageError, match="can be read"):
        draw_sheet(Bucket(tmp_path), same, "png", on_photo=lambda key, reason: left_out.append((key, bool(reason))))
    assert left_out == [("broken.png", True)]
    other = NamedMethods({"other": lambda image, mask: image[1:]}, nothing, "")
    with pytest.raises(ScanError, match="other made"):
        draw_sheet(photos, other, "png")
