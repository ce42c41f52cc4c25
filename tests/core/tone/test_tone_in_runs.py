"""Colour and tone of photos that go through a run: every format, in memory and from disk, page by page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from folder_runs import ALL_FROM_DISK
from icc_files import ADOBE_RGB
from PIL import Image
from runs import restore
from scan_files import encoded, paged
from tinted import is_neutral, neutral, painted, restorer, scratch, sepia

from oldphoto_core.reports.record import record_schema
from oldphoto_core.reports.summary import summarise
from oldphoto_core.restoration import Photo, RestoreOptions, ShardCallbacks, restore_photos
from oldphoto_core.runs import missing_rows
from oldphoto_core.runs.mask_index import MaskIndex
from oldphoto_core.scans import read_scan
from oldphoto_core.storage import Bucket, LedgerRow

WAYS = pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])


def run(folder: Path, files: dict[str, bytes], *, masked: bool = False, **options: Any) -> dict[str, LedgerRow]:
    """Restores the files with a network that reddens and clouds; `masked`: a scratch is damaged in each."""
    for place in ("old", "masks", "new"):
        (folder / place).mkdir(exist_ok=True)
    for key, data in files.items():
        (folder / "old" / key).write_bytes(data)
        if masked:
            (folder / f"masks/{key}.png").write_bytes(encoded(scratch()[..., None].astype(np.uint8) * 255, "png"))
    source, target, masks = (Bucket(folder / place) for place in ("old", "new", "masks"))
    index = MaskIndex(masks.list())
    photos = [Photo(one.key, one.version, one.size, index.candidates(one.key)) for one in source.list()]
    rows: dict[str, LedgerRow] = {}
    restore_photos(
        restorer(), source, target, photos, RestoreOptions(**options),
        ShardCallbacks(on_row=lambda row: rows.update({row.key: row})), masks=masks if masked else None, run_id="run",
    )  # fmt: skip
    return rows


def record(folder: Path, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"new/records/{key}.json").read_text())
    jsonschema.validate(found, record_schema(), jsonschema.Draft202012Validator)
    return found


def derivative(folder: Path, row: LedgerRow, page: int | None = None) -> np.ndarray:
    assert row.status == "restored", row.detail
    return read_scan(folder / "new" / row.output, page=page).pixels


def files(pixels: np.ndarray) -> dict[str, bytes]:
    wide = pixels * np.uint16(257)
    return {
        "a.png": encoded(pixels, "png"),
        "b.tif": encoded(pixels, "tiff"),
        "c.jpg": encoded(pixels, "jpeg", Q=90),
        "d.png": encoded(wide, "png"),
        "e.tif": encoded(wide, "tiff"),
    }


@WAYS
@pytest.mark.parametrize("mode", ["full", "scratches"])
def test_neutral_photos_are_neutral_in_every_format(tmp_path: Path, way: dict[str, Any], mode: str) -> None:
    rows = run(tmp_path, files(neutral()), masked=True, mode=mode, **way)
    assert all(is_neutral(derivative(tmp_path, row)) for row in rows.values())
    assert {row.colour for row in rows.values()} == {"monochrome"}
    assert record(tmp_path, "e.tif")["colour"]["neutral"] is True


@WAYS
@pytest.mark.parametrize("wide", [False, True])
def test_neutral_photos_are_neutral_in_the_levels_of_their_own_profile(
    tmp_path: Path, way: dict[str, Any], wide: bool
) -> None:
    pixels = neutral() * np.uint16(257) if wide else neutral()
    path = tmp_path / "profile.icc"
    path.write_bytes(ADOBE_RGB)
    rows = run(tmp_path, {"a.tif": encoded(pixels, "tiff", profile=str(path))}, masked=True, **way)
    assert is_neutral(derivative(tmp_path, rows["a.tif"]))


@WAYS
def test_every_page_is_judged_by_itself(tmp_path: Path, way: dict[str, Any]) -> None:
    pages = paged((Image.fromarray(neutral()), {}), (Image.fromarray(painted(sepia())), {}))
    row = run(tmp_path, {"a.tif": pages}, **way)["a.tif"]
    assert is_neutral(derivative(tmp_path, row, 1))
    assert not is_neutral(derivative(tmp_path, row, 2))
    assert row.colour == "mixed"
    assert [page["colour"]["restored_as"] for page in record(tmp_path, "a.tif")["pages"]] == ["monochrome", "colour"]


@WAYS
def test_disk_and_memory_give_the_same_pixels(tmp_path: Path, way: dict[str, Any]) -> None:
    row = run(tmp_path, {"a.png": encoded(sepia(), "png")}, masked=True, **way)["a.png"]
    assert np.array_equal(derivative(tmp_path, row), restorer().restore(sepia(), scratch()))


def test_record_and_ledger_say_what_was_decided_and_how_even_it_came_out(tmp_path: Path) -> None:
    row = run(tmp_path, {"a.png": encoded(sepia(), "png")}, tint="neutral", colour="monochrome")["a.png"]
    found = record(tmp_path, "a.png")
    decided = {name: found["colour"][name] for name in ("restored_as", "asked", "tint", "neutral")}
    assert decided == {"restored_as": "monochrome", "asked": "monochrome", "tint": "neutral", "neutral": False}
    assert (found["options"]["colour"], found["options"]["tint"]) == ("monochrome", "neutral")
    assert found["tone"]["blotch"] == pytest.approx(row.blotch, abs=1e-4)
    assert found["colour"]["residual"] == pytest.approx(row.colour_residual, abs=1e-4)


def test_a_row_that_is_made_up_from_a_record_says_the_same_of_colours(tmp_path: Path) -> None:
    row = run(tmp_path, {"a.png": encoded(sepia(), "png")})["a.png"]
    (made_up,) = missing_rows.rows_of_records(Bucket(tmp_path / "new"), ["a.png"], "run")
    for name in ("colour", "colour_residual", "chroma_residual", "blotch", "tone_warning"):
        assert getattr(made_up, name) == getattr(row, name)


def test_colours_that_a_monochrome_photo_loses_are_a_warning(tmp_path: Path) -> None:
    run(tmp_path, {"a.png": encoded(painted(sepia()), "png")}, colour="monochrome")
    assert "--colour colour keeps them" in record(tmp_path, "a.png")["warnings"][0]


def test_a_page_or_photo_that_was_not_restored_has_no_colours(tmp_path: Path) -> None:
    row = run(tmp_path, {"a.png": encoded(neutral(), "png")}, mode="scratches", detect=False)["a.png"]
    assert (record(tmp_path, "a.png")["colour"], row.colour) == (None, "")


def test_a_summary_names_photos_whose_tones_are_over_a_bound() -> None:
    rows = [
        LedgerRow(key=f"{n}.png", version="", status="restored", colour="monochrome", tone_warning="blotch" * (n % 2))
        for n in range(4)
    ]
    facts: Any = {"started": "2026-11-28T10:00:00+00:00"}
    summary = summarise(facts, rows, datetime.now(UTC))
    assert summary["monochrome"] == 4
    assert summary["tone_warnings"] == {"count": 2, "photos": {"1.png": "blotch", "3.png": "blotch"}}


def test_a_report_says_how_photos_were_restored(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a.png").write_bytes(encoded(neutral(), "png"))
    summary = restore(Bucket(tmp_path / "old"), Bucket(tmp_path / "new"))
    report = tmp_path / "new/runs" / summary["run_id"] / "report"
    assert "0 restored as monochrome." in (report / "index.html").read_text()
