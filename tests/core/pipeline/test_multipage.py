"""Masters of several pages, restored page by page into derivatives of as many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from fakes import DetectingRestorer, InvertingRestorer, picture, scratched
from faulty_files import tiff
from folder_runs import ALL_FROM_DISK, run
from looks import looked
from PIL import Image
from runs import contents, restore
from scan_files import encoded, mixed_pages, paged, photo

from oldphoto_core.custody import audit, plan_rollback, roll_back
from oldphoto_core.reports.record import record_schema
from oldphoto_core.runs import missing_rows
from oldphoto_core.scans import Scan, read_pages, read_scan
from oldphoto_core.scans.metadata.ifd import longs, read_ifd, shorts
from oldphoto_core.scans.tiff.pages import pages_of
from oldphoto_core.storage import Bucket, read_ledger

WAYS: list[dict[str, Any]] = [{}, ALL_FROM_DISK]


def put(folder: Path, data: bytes, key: str = "book.tif") -> None:
    (folder / "old").mkdir(exist_ok=True)
    (folder / "old" / key).write_bytes(data)


def record(folder: Path, key: str = "book.tif") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"new/records/{key}.json").read_text())
    jsonschema.validate(found, record_schema())
    return found


def page(folder: Path, number: int, place: str = "photos/book.tif") -> Scan:
    return read_scan(folder / "new" / place, page=number)


@pytest.mark.parametrize("way", WAYS)
def test_every_page_is_restored_and_keeps_what_is_its_own(tmp_path: Path, way: dict[str, Any]) -> None:
    put(tmp_path, mixed_pages())
    row = run(tmp_path, DetectingRestorer(detector_digest=""), **way)["book.tif"]
    assert (row.status, row.detail, row.output) == ("restored", "", "photos/book.tif")
    for number in (1, 2, 3):
        master, derivative = read_scan(mixed_pages(), page=number), page(tmp_path, number)
        assert np.array_equal(derivative.pixels, np.iinfo(master.pixels.dtype).max - master.pixels)
        for name in ("orientation", "resolution", "icc_profile"):
            assert getattr(derivative, name) == getattr(master, name)
        assert b"compositeWithTrainedAlgorithmicMedia" in derivative.metadata["xmp"]
    assert row.megapixels == pytest.approx((2 * 96 * 64 + 50 * 40) / 1e6)


@pytest.mark.parametrize("way", WAYS)
def test_pages_that_are_not_named_go_along_byte_for_byte(tmp_path: Path, way: dict[str, Any]) -> None:
    cmyk = Image.fromarray(photo(3, 8)).convert("CMYK")
    pages = [(Image.fromarray(photo(1, 8)[..., 0]), {}), (cmyk, {"compression": "tiff_lzw"})] * 2
    put(tmp_path, paged(*pages))
    row = run(tmp_path, InvertingRestorer(), pages="3,9", **way)["book.tif"]
    assert (row.status, row.changed_share) == ("restored", 1.0)
    assert row.megapixels == pytest.approx(96 * 64 / 1e6)
    with Image.open(tmp_path / "new/photos/book.tif") as image:
        for number, (old, _) in enumerate(pages):
            image.seek(number)
            inverted = 255 - np.asarray(old) if number == 2 else np.asarray(old)
            assert image.mode == old.mode
            assert np.array_equal(np.asarray(image), inverted)
    assert "xmp" not in page(tmp_path, 1).metadata
    found = record(tmp_path)
    assert [one["status"] for one in found["pages"]] == ["copied", "copied", "restored", "copied"]
    assert [one["derivative"]["kind"] for one in found["pages"]] == ["grey", "CMYK", "grey", "CMYK"]
    assert found["options"]["pages"] == "3,9"


def test_pages_of_the_other_byte_order_go_along_level_for_level(tmp_path: Path) -> None:
    wide = Image.frombytes("I;16B", (96, 64), photo(1, 16)[..., 0].astype(">u2").tobytes())
    put(tmp_path, paged((wide, {}), (wide, {}), (wide, {})))
    assert run(tmp_path, InvertingRestorer(), pages="2")["book.tif"].status == "restored"
    for number in (1, 2, 3):
        expected = 65535 - photo(1, 16) if number == 2 else photo(1, 16)
        assert np.array_equal(page(tmp_path, number).pixels, expected)
        assert ("xmp" in page(tmp_path, number).metadata) == (number == 2)


@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_masks_has_a_page_for_each(tmp_path: Path, way: dict[str, Any]) -> None:
    pages = [scratched(picture(seed=seed), 4 * seed, 4 * seed + 4) for seed in range(4)]
    put(tmp_path, paged(*((Image.fromarray(pixels), {}) for pixels in pages)))
    row = run(tmp_path, DetectingRestorer(), pages="1,3-4", mode="scratches", **way)["book.tif"]
    for number, pixels in enumerate(pages, start=1):
        mask = page(tmp_path, number, "masks/book.tif.tif").pixels[..., 0] == 255
        widened = slice(max(0, 4 * number - 5), 4 * number + 1)
        assert set(np.flatnonzero(mask.any(axis=1))) == (
            set() if number == 2 else {*range(widened.start, widened.stop)}
        )
        assert np.array_equal(page(tmp_path, number).pixels[~mask], pixels[~mask])
    covered = [one["mask_coverage"] for one in record(tmp_path)["pages"]]
    assert covered == [pytest.approx(5 / 40), None, pytest.approx(6 / 40), pytest.approx(6 / 40)]
    assert row.mask_coverage == pytest.approx(17 / 120)
    assert not (tmp_path / "new/masks/book.tif.png").exists()


@pytest.mark.parametrize("way", WAYS)
def test_masks_are_given_page_by_page(tmp_path: Path, way: dict[str, Any]) -> None:
    put(tmp_path, mixed_pages())
    masks = tmp_path / "masks"
    masks.mkdir()
    blank = [np.zeros((64, 96), np.uint8), np.zeros((40, 50), np.uint8), np.zeros((64, 96), np.uint8)]
    blank[1][10:20] = 255
    (masks / "book.tif.tif").write_bytes(paged(*((Image.fromarray(mask), {}) for mask in blank)))
    restorer = DetectingRestorer()
    run(tmp_path, restorer, masks, detect=False, **way)
    assert [mask is not None and bool(mask.any()) for mask in restorer.masks] == [False, True, False]
    assert (page(tmp_path, 2).pixels[10:20] == 65535 // 2).all()
    (masks / "book.tif.tif").write_bytes(paged(*((Image.fromarray(mask), {}) for mask in blank[:2])))
    row = run(tmp_path, restorer, masks, target="other", **way)["book.tif"]
    assert (row.reason, row.detail) == (
        "mask mismatch",
        "page 1: the mask has 2 pages, its photo 3: make a TIFF of one for each page",
    )


def test_masks_of_pages_may_be_corrected_where_the_product_wrote_them(tmp_path: Path) -> None:
    put(tmp_path, mixed_pages())
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    restore(source, target, model="detect", max_damage=1)
    before = target.read("masks/book.tif.tif")
    again = restore(source, target, model="detect", max_damage=1, masks=target.join("masks").url)
    assert again["masks"] == {"used": 1, "without a photo": 0}
    assert again["restored"] == 1
    assert target.read("masks/book.tif.tif") == before
    assert record(tmp_path)["mask_file"] is None


def test_the_record_tells_of_every_page_and_sums_up(tmp_path: Path) -> None:
    cmyk = Image.fromarray(photo(3, 8)).convert("CMYK")
    put(tmp_path, paged((Image.fromarray(photo(3, 8)), {}), (cmyk, {}), (Image.fromarray(photo(3, 8)[:32]), {})))
    row = run(tmp_path, InvertingRestorer())["book.tif"]
    found = record(tmp_path)
    assert [(one["page"], one["status"], one["source"]["kind"]) for one in found["pages"]] == [
        (1, "restored", "RGB"),
        (2, "restored", "CMYK"),
        (3, "restored", "RGB"),
    ]
    assert [one["derivative"]["height"] for one in found["pages"]] == [64, 64, 32]
    assert found["source"]["height"] == 64
    assert [text for text in found["warnings"] if text.startswith("page 2: the master is CMYK")]
    assert found["changed_share"] == row.changed_share == pytest.approx(1.0)
    assert found["difference"]["levels"] == 255


def test_of_pages_of_several_depths_no_difference_in_levels_is_told(tmp_path: Path) -> None:
    put(tmp_path, mixed_pages())
    run(tmp_path, InvertingRestorer())
    found = record(tmp_path)
    assert found["difference"] is None
    assert found["changed_share"] == 1.0


def test_one_page_that_cannot_be_restored_fails_the_whole_file(tmp_path: Path) -> None:
    put(tmp_path, mixed_pages())
    put(tmp_path, paged(*[(Image.fromarray(photo(1, 8)[..., 0]), {})] * 2), "good.tif")
    rows = run(tmp_path, InvertingRestorer(breaks_at=50))
    assert rows["book.tif"].reason == "unexpected error"
    assert rows["book.tif"].detail == "page 2: RuntimeError: the network met a picture it cannot take"
    assert rows["good.tif"].status == "restored"
    assert set(contents(Bucket(tmp_path / "new/photos"))) == {"good.tif"}
    assert run(tmp_path, InvertingRestorer(breaks_at=50), target="some", pages="1,3")["book.tif"].status == "restored"


def test_a_page_over_the_bound_of_the_network_is_named(tmp_path: Path) -> None:
    small, large = Image.fromarray(picture()), Image.fromarray(picture(height=60, width=90))
    put(tmp_path, paged((small, {}), (small, {}), (large, {})))
    row = run(tmp_path, InvertingRestorer(max_megapixels=0.003))["book.tif"]
    assert (row.reason, row.detail.partition(" has")[0]) == ("too large", "page 3 of book.tif")
    assert run(tmp_path, InvertingRestorer(max_megapixels=0.003), pages="1-2")["book.tif"].status == "restored"


def test_a_page_that_is_mostly_damaged_is_named(tmp_path: Path) -> None:
    pages = [picture(), scratched(picture(), 0, 30)]
    put(tmp_path, paged(*((Image.fromarray(pixels), {}) for pixels in pages)))
    row = run(tmp_path, DetectingRestorer())["book.tif"]
    assert row.reason == "too damaged"
    assert row.detail.startswith("page 2: 75.0% of book.tif is damaged")


@pytest.mark.parametrize("subifd", [False, True])
def test_a_pyramid_comes_back_as_one(tmp_path: Path, subifd: bool) -> None:
    large = np.tile(photo(3, 8), (6, 5, 1))
    tiles = {"tile": True, "tile_width": 128, "tile_height": 128, "pyramid": True, "subifd": subifd}
    put(tmp_path, encoded(large, "tiff", **tiles))
    assert run(tmp_path, InvertingRestorer())["book.tif"].status == "restored"
    again = read_scan(tmp_path / "new/photos/book.tif")
    assert np.array_equal(again.pixels, 255 - large)
    assert again.encoding.pyramid == ("subifds" if subifd else "pages")
    assert "pages" not in record(tmp_path)


def test_a_format_that_holds_one_page_is_refused_and_so_are_pages_that_are_not_there(tmp_path: Path) -> None:
    put(tmp_path, mixed_pages())
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    for options, says in (
        ({"format": "png"}, "a TIFF of 3 pages, and png holds one: choose --format keep or tiff"),
        ({"pages": "4-"}, "a TIFF of 3 pages, and --pages 4- names none of them"),
    ):
        foreseen = looked(source, target, **options).files[0]
        summary = restore(source, target, **options)
        row = read_ledger(target.join("runs", summary["run_id"])).iloc[0]
        for one in (foreseen, row):
            assert (one.status, one.reason, one.detail) == ("failed", "unsupported", says)


def test_what_a_check_says_of_pages_is_what_becomes_of_them(tmp_path: Path) -> None:
    put(tmp_path, mixed_pages())
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    outlook = looked(source, target, pages="2-3").files[0]
    summary = restore(source, target, pages="2-3")
    assert (outlook.status, outlook.pages, outlook.width, outlook.height) == ("restored", 3, 50, 40)
    assert outlook.megapixels == pytest.approx(summary["megapixels"], abs=5e-4)


def test_other_pages_are_other_work_and_the_same_ones_are_not(tmp_path: Path) -> None:
    put(tmp_path, mixed_pages())
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    restored = [restore(source, target, pages=pages)["restored"] for pages in ("", "", "1-2", "2,1", "1")]
    assert restored == [1, 0, 1, 0, 1]


def test_one_page_is_restored_whatever_pages_are_named(tmp_path: Path) -> None:
    put(tmp_path, encoded(photo(3, 8), "jpeg"), "one.jpg")
    assert run(tmp_path, InvertingRestorer(), pages="7")["one.jpg"].status == "restored"


def test_books_are_audited_and_rolled_back(tmp_path: Path) -> None:
    put(tmp_path, mixed_pages())
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    run_id = restore(source, target, model="detect", max_damage=1)["run_id"]
    report = audit(target)
    assert (report.is_clean, report.derivatives, report.masks) == (True, 1, 1)
    row = missing_rows._row_of_record(target, "book.tif", run_id)
    assert row is not None
    assert row.megapixels == pytest.approx((2 * 96 * 64 + 50 * 40) / 1e6)
    roll_back(plan_rollback(target, run_id))
    assert not any(key.startswith(("photos", "masks", "records")) for key in contents(target))


def test_a_file_cut_at_its_last_page_is_not_restored(tmp_path: Path) -> None:
    data = mixed_pages()
    put(tmp_path, data[: len(data) - 40])
    row = run(tmp_path, InvertingRestorer(), pages="1")["book.tif"]
    assert row.reason == "truncated"
    assert not (tmp_path / "new/photos").exists()


def test_memory_holds_one_page_at_a_time(tmp_path: Path) -> None:
    pages = [(Image.fromarray(picture(seed=seed)), {}) for seed in range(6)]
    put(tmp_path, paged(*pages))
    put(tmp_path, paged(*pages[::-1]), "other.tif")
    rows = run(tmp_path, InvertingRestorer(max_megapixels=0.0024), in_flight_megapixels=0.0024, threads=2)
    assert {row.status for row in rows.values()} == {"restored"}
    assert [len(read_pages(tmp_path / f"new/photos/{key}")) for key in rows] == [6, 6]


@pytest.mark.parametrize("options", [{}, {"mode": "scratches"}])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_infrared_and_other_masks_among_the_pages_are_carried_through_with_their_mark(
    tmp_path: Path, order: str, way: dict[str, Any], options: dict[str, Any]
) -> None:
    mark, infrared = {254: longs(4)}, photo(1, 16)
    put(tmp_path, tiff((photo(3, 16), {}), (infrared, mark), (photo(3, 8), {}), (photo(1, 8), mark), order=order))
    row = run(tmp_path, InvertingRestorer(), **options, **way)["book.tif"]
    assert (row.status, row.detail) == ("restored", "")
    found = record(tmp_path)
    assert [one["status"] for one in found["pages"]] == ["restored", "copied", "restored", "copied"]
    assert "page 2: it is marked as a mask of another page" in " ".join(found["warnings"])
    data = (tmp_path / "new/photos/book.tif").read_bytes()
    marks = [read_ifd(data, None, one.offset).get(254) for one in pages_of(data)]
    assert [mark.integers() if mark else () for mark in marks] == [(), (4,), (), (4,)]
    assert np.array_equal(page(tmp_path, 2).pixels, infrared)
    assert np.array_equal(page(tmp_path, 4).pixels, photo(1, 8))
    assert [header.is_mask for header in read_pages(data)] == [False, True, False, True]


def test_pages_that_are_masks_alone_are_not_restored_though_they_are_named(tmp_path: Path) -> None:
    put(tmp_path, tiff((photo(3, 8), {}), (photo(1, 8), {254: longs(4)})))
    row = run(tmp_path, InvertingRestorer(), pages="2")["book.tif"]
    assert (row.status, row.reason) == ("failed", "unsupported")
    assert "names masks alone" in row.detail


def test_what_is_wrong_with_a_master_and_touches_no_pixel_is_said_in_its_record(tmp_path: Path) -> None:
    put(tmp_path, tiff((photo(3, 8), {274: shorts(0)}), following=0xFFFFFFFF))
    assert run(tmp_path, InvertingRestorer())["book.tif"].status == "restored"
    assert record(tmp_path)["warnings"] == [
        "its last directory names one at byte 4294967295, where there is none",
        "its orientation is 0, which does not exist: taken as 1",
    ]
