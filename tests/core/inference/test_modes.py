"""Damage found, given, put together, and filled without a change to anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import DetectingRestorer, InvertingRestorer, encoded, fill, mark, picture, scratched
from folder_runs import ALL_FROM_DISK, run
from PIL import Image

from oldphoto_core.inference import blending
from oldphoto_core.pipeline import stages
from oldphoto_core.restoration import Photo, RestoreOptions, ShardCallbacks, restore_photos
from oldphoto_core.scans import Scan, read_scan
from oldphoto_core.storage import Bucket

LOOKS: dict[str, dict[str, int]] = {
    "a.png": {},
    "b.png": {"channels": 1, "bits": 16},
    "c.tif": {"bits": 16},
    "d.tif": {"channels": 1},
    "e.jpg": {},
    "f.jpg": {"channels": 1},
    "g.webp": {},
}


def put(folder: Path, key: str, top: int = 12, bottom: int = 16, **look: int) -> None:
    """A scratched photo of the source."""
    path = folder / "old" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(scratched(picture(**look), top, bottom), path.suffix))


def scan(path: Path) -> Scan:
    return read_scan(path.read_bytes())


def mask(folder: Path, key: str, target: str = "new") -> np.ndarray:
    return scan(folder / target / f"masks/{key}.png").pixels[..., 0] == 255


def record(folder: Path, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"new/records/{key}.json").read_text())
    return found


@pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])
def test_outside_the_mask_every_pixel_is_the_masters_bit_for_bit(tmp_path: Path, way: dict[str, float]) -> None:
    for key, look in LOOKS.items():
        put(tmp_path, key, **look)
    rows = run(tmp_path, DetectingRestorer(), mode="scratches", **way)
    for key in LOOKS:
        assert rows[key].status == "restored", rows[key].detail
        master, filled = scan(tmp_path / "old" / key), scan(tmp_path / "new" / rows[key].output)
        covered = mask(tmp_path, key)
        assert filled.pixels.dtype == master.pixels.dtype
        assert 0.05 < covered.mean() < 0.25
        assert np.array_equal(filled.pixels[~covered], master.pixels[~covered])
        grey = np.iinfo(master.pixels.dtype).max // 2
        assert (filled.pixels[12:16] == grey).mean() > 0.9


def test_jpegs_and_webps_become_png_and_others_stay_what_they_are(tmp_path: Path) -> None:
    for key, look in LOOKS.items():
        put(tmp_path, key, **look)
    run(tmp_path, DetectingRestorer(), mode="scratches")
    formats = {path.name: scan(path).format for path in (tmp_path / "new/photos").iterdir()}
    assert formats == {
        "a.png": "png",
        "b.png": "png",
        "c.tif": "tiff",
        "d.tif": "tiff",
        "e.jpg.png": "png",
        "f.jpg.png": "png",
        "g.webp.png": "png",
    }


def test_a_jpeg_under_the_name_of_a_tiff_is_not_written_as_jpeg_again(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a.tif").write_bytes(encoded(scratched(picture()), ".jpg"))
    run(tmp_path, DetectingRestorer(), mode="scratches")
    master, filled, covered = scan(tmp_path / "old/a.tif"), scan(tmp_path / "new/photos/a.tif"), mask(tmp_path, "a.tif")
    assert (master.format, filled.format) == ("jpeg", "tiff")
    assert np.array_equal(filled.pixels[~covered], master.pixels[~covered])


@pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])
def test_a_jpeg_2000_is_filled_into_a_tiff(tmp_path: Path, way: dict[str, float]) -> None:
    put(tmp_path, "a.jp2", bits=16)
    run(tmp_path, DetectingRestorer(), mode="scratches", **way)
    master, filled = scan(tmp_path / "old/a.jp2"), scan(tmp_path / "new/photos/a.jp2.tif")
    covered = mask(tmp_path, "a.jp2")
    assert (master.format, filled.format, filled.bits) == ("jpeg2000", "tiff", 16)
    assert covered.any()
    assert np.array_equal(filled.pixels[~covered], master.pixels[~covered])
    assert record(tmp_path, "a.jp2")["warnings"] == []


@pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])
def test_the_record_of_cmyk_says_that_it_was_converted(tmp_path: Path, way: dict[str, float]) -> None:
    (tmp_path / "old").mkdir()
    Image.fromarray(scratched(picture())).convert("CMYK").save(tmp_path / "old/a.tif")
    run(tmp_path, DetectingRestorer(), mode="scratches", **way)
    master, filled, covered = scan(tmp_path / "old/a.tif"), scan(tmp_path / "new/photos/a.tif"), mask(tmp_path, "a.tif")
    assert np.array_equal(filled.pixels[~covered], master.pixels[~covered])
    assert record(tmp_path, "a.tif")["warnings"] == [
        "the master is CMYK: its colours were converted into sRGB before anything else"
    ]


def test_from_disk_in_slabs_come_the_bytes_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "margin_of", lambda height, width: 5)
    for key in ("c.tif", "e.jpg"):
        put(tmp_path, key, height=100, width=120, **LOOKS[key])
    mark(tmp_path / "marks", ["c.tif.png"], 100, 120, rows=slice(40, 41))
    run(tmp_path, DetectingRestorer(), tmp_path / "marks", "memory", mode="scratches")
    monkeypatch.setattr(blending, "_SLAB", 5000)
    run(tmp_path, DetectingRestorer(), tmp_path / "marks", "disk", mode="scratches", **ALL_FROM_DISK)
    for name in ("photos/c.tif", "photos/e.jpg.png", "masks/c.tif.png", "masks/e.jpg.png"):
        assert (tmp_path / "disk" / name).read_bytes() == (tmp_path / "memory" / name).read_bytes()
    assert mask(tmp_path, "c.tif", "disk").any(axis=1).nonzero()[0].tolist() == [*range(7, 21), *range(35, 46)]


def test_what_is_written_as_mask_is_what_the_network_was_told(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    restorer = DetectingRestorer()
    rows = run(tmp_path, restorer, mode="scratches")
    (told,) = restorer.masks
    assert told is not None
    assert told.any(axis=1).nonzero()[0].tolist() == [*range(11, 17)]
    assert np.array_equal(mask(tmp_path, "a.png"), told)
    assert rows["a.png"].mask_coverage == pytest.approx(6 / 40)
    assert rows["a.png"].changed_share == pytest.approx(6 / 40)


def test_the_soft_edge_lies_between_master_and_filling(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    run(tmp_path, DetectingRestorer(), mode="scratches")
    old, new = (scan(tmp_path / path).pixels.astype(float) for path in ("old/a.png", "new/photos/a.png"))
    for row in (11, 16):
        assert np.abs(new[row] - (old[row] * 127 + 127.0 * 128) / 255).max() <= 0.51


@pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])
def test_a_photo_without_damage_gets_a_derivative_of_its_own_pixels(tmp_path: Path, way: dict[str, float]) -> None:
    put(tmp_path, "a.tif", 0, 0, bits=16)
    restorer = DetectingRestorer()
    rows = run(tmp_path, restorer, mode="scratches", **way)
    assert (rows["a.tif"].status, rows["a.tif"].mask_coverage, rows["a.tif"].changed_share) == ("restored", 0.0, 0.0)
    assert np.array_equal(scan(tmp_path / "new/photos/a.tif").pixels, scan(tmp_path / "old/a.tif").pixels)
    assert not mask(tmp_path, "a.tif").any()
    assert (restorer.looked, restorer.masks) == (1, [])


def test_transparency_is_kept_as_it_is(tmp_path: Path) -> None:
    pixels = scratched(picture())
    alpha = np.tile(np.arange(60, dtype=np.uint8), (40, 1))
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a.png").write_bytes(encoded(np.dstack([pixels, alpha]), ".png"))
    run(tmp_path, DetectingRestorer(), mode="scratches")
    filled = scan(tmp_path / "new/photos/a.png")
    assert filled.alpha is not None
    assert np.array_equal(np.squeeze(filled.alpha), alpha)


@pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])
def test_in_mode_full_the_network_is_told_what_was_found_and_changes_all_it_wants(
    tmp_path: Path, way: dict[str, float]
) -> None:
    put(tmp_path, "a.png")
    restorer = DetectingRestorer()
    rows = run(tmp_path, restorer, **way)
    (told,) = restorer.masks
    assert told is not None
    assert told.any(axis=1).nonzero()[0].tolist() == [12, 13, 14, 15]
    assert rows["a.png"].mask_coverage == pytest.approx(0.1)
    assert rows["a.png"].changed_share > 0.9


def test_a_model_without_detector_judges_nothing(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    restorer = DetectingRestorer(detector_digest="")
    rows = run(tmp_path, restorer)
    assert np.isnan([rows["a.png"].mask_coverage, rows["a.png"].detect_seconds]).all()
    assert (restorer.looked, restorer.masks) == (0, [None])
    assert record(tmp_path, "a.png")["mask"] is None


@pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])
def test_given_masks_are_added_to_what_is_found(tmp_path: Path, way: dict[str, float]) -> None:
    put(tmp_path, "a.png")
    mark(tmp_path / "marks", ["a.png"], rows=slice(2, 3))
    restorer = DetectingRestorer()
    run(tmp_path, restorer, tmp_path / "marks", **way)
    assert mask(tmp_path, "a.png").any(axis=1).nonzero()[0].tolist() == [2, 12, 13, 14, 15]
    assert np.array_equal(mask(tmp_path, "a.png"), restorer.masks[0])


@pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])
def test_given_masks_alone_count_when_nothing_is_to_be_detected(tmp_path: Path, way: dict[str, float]) -> None:
    put(tmp_path, "a.png")
    put(tmp_path, "b.png")
    mark(tmp_path / "marks", ["a.png"], rows=slice(2, 3))
    restorer = DetectingRestorer()
    rows = run(tmp_path, restorer, tmp_path / "marks", mode="scratches", detect=False, **way)
    assert restorer.looked == 0
    assert mask(tmp_path, "a.png").any(axis=1).nonzero()[0].tolist() == [1, 2, 3]
    assert (rows["b.png"].mask_coverage, rows["b.png"].changed_share) == (0.0, 0.0)
    assert record(tmp_path, "b.png")["mask"]["coverage"] == 0.0
    assert record(tmp_path, "b.png")["mask"]["key"] is None


@pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])
def test_a_photo_that_is_mostly_damaged_is_left_for_a_human(tmp_path: Path, way: dict[str, float]) -> None:
    put(tmp_path, "found.png", 0, 21)
    put(tmp_path, "given.png")
    put(tmp_path, "both.png", 0, 12)
    put(tmp_path, "just.png", 0, 20)
    mark(tmp_path / "marks", ["given.png"], rows=slice(0, 21))
    mark(tmp_path / "marks", ["both.png"], rows=slice(20, 32))
    rows = run(tmp_path, DetectingRestorer(), tmp_path / "marks", **way)
    reasons = {key: row.reason for key, row in rows.items()}
    assert reasons == {
        "both.png": "too damaged",
        "found.png": "too damaged",
        "given.png": "too damaged",
        "just.png": "",
    }
    assert rows["both.png"].mask_coverage == pytest.approx(0.6)
    for part in ("60.0% of both.png is damaged", "the 50.0% that --max-damage allows", "by hand"):
        assert part in rows["both.png"].detail
    assert [path.name for path in (tmp_path / "new/photos").iterdir()] == ["just.png"]


def test_how_much_may_be_damaged_is_for_the_user_to_say(tmp_path: Path) -> None:
    put(tmp_path, "a.png", 0, 40)
    put(tmp_path, "b.png", 0, 4)
    assert run(tmp_path, DetectingRestorer(), max_damage=1.0)["a.png"].status == "restored"
    assert run(tmp_path, DetectingRestorer(), max_damage=0.05)["b.png"].reason == "too damaged"


def test_what_is_too_damaged_may_be_copied_and_its_record_says_why(tmp_path: Path) -> None:
    put(tmp_path, "a.png", 0, 30)
    put(tmp_path, "b.png")
    mark(tmp_path / "marks", ["b.png"], 20, 30)
    rows = run(tmp_path, DetectingRestorer(), tmp_path / "marks", on_failure="copy")
    assert (rows["a.png"].reason, rows["b.png"].reason) == ("too damaged", "mask mismatch")
    for key in ("a.png", "b.png"):
        assert (tmp_path / "new/photos" / key).read_bytes() == (tmp_path / "old" / key).read_bytes()
        assert record(tmp_path, key)["status"] == "copied"
    assert record(tmp_path, "a.png")["mask"]["coverage"] == pytest.approx(0.75)
    assert record(tmp_path, "b.png")["mask"]["coverage"] is None


@pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])
def test_a_mask_of_another_size_is_said_in_words(tmp_path: Path, way: dict[str, float]) -> None:
    put(tmp_path, "a.png")
    put(tmp_path, "b.png")
    mark(tmp_path / "marks", ["a.png"], 40, 61)
    rows = run(tmp_path, DetectingRestorer(), tmp_path / "marks", mode="scratches", **way)
    assert (rows["a.png"].reason, rows["b.png"].status) == ("mask mismatch", "restored")
    assert "61 x 40 pixels, its photo 60 x 40" in rows["a.png"].detail


@pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])
def test_a_photo_that_breaks_the_detector_fails_alone(tmp_path: Path, way: dict[str, float]) -> None:
    put(tmp_path, "a.png")
    put(tmp_path, "odd.png", width=61)
    rows = run(tmp_path, DetectingRestorer(blind_at=61), **way)
    assert (rows["a.png"].status, rows["odd.png"].status) == ("restored", "failed")
    assert "RuntimeError: the detector met a picture it cannot take" in rows["odd.png"].detail
    assert [path.name for path in (tmp_path / "new/photos").iterdir()] == ["a.png"]


def test_record_and_ledger_say_what_was_done_and_from_what(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    mark(tmp_path / "marks", ["a.jpg.png"], rows=slice(30, 32))
    row = run(tmp_path, DetectingRestorer(), tmp_path / "marks", mode="scratches", max_damage=0.4)["a.jpg"]
    said = record(tmp_path, "a.jpg")
    version = next(iter(Bucket(tmp_path / "marks").list())).version
    assert said["mask"] == {
        "key": "a.jpg.png",
        "version": version,
        "detector": "d" * 64,
        "widened_by": 1,
        "coverage": row.mask_coverage,
        "doubtful": ["complex scratches", "large holes"],
    }
    assert said["options"] == {
        "mode": "scratches",
        "format": "keep",
        "colour": "auto",
        "tint": "keep",
        "max_growth": 1.5,
        "detect": True,
        "max_damage": 0.4,
        "digest": row.options,
    }
    assert said["derivative"]["key"] == row.output == "photos/a.jpg.png"
    assert 0 < said["changed_share"] == row.changed_share <= row.mask_coverage
    assert set(said["stage_seconds"]) == {"fetch", "decode", "detect", "restore"}
    assert 0 < row.detect_seconds <= row.seconds


@pytest.mark.parametrize(("way", "heard"), [({}, []), (ALL_FROM_DISK, [1, 2, 3, 1])], ids=["in memory", "from disk"])
def test_progress_is_told_of_photos_on_disk(tmp_path: Path, way: dict[str, float], heard: list[int]) -> None:
    put(tmp_path, "a.png")
    photos = [Photo(o.key, o.version, o.size) for o in Bucket(tmp_path / "old").list()]
    places, told = (Bucket(tmp_path / "old"), Bucket(tmp_path / "new")), []
    restore_photos(
        DetectingRestorer(),
        *places,
        photos,
        RestoreOptions(**way),
        ShardCallbacks(on_part=lambda key, done, total: told.append(done)),
    )
    assert told == heard


def test_what_a_network_hands_out_of_its_own_is_not_written_into(tmp_path: Path) -> None:
    class Repeating(DetectingRestorer):
        """Gives the same array every time."""

        kept = np.full((40, 60, 3), 9, np.uint8)

        def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
            self.kept.flags.writeable = False
            return self.kept

    put(tmp_path, "a.png")
    run(tmp_path, Repeating(), mode="scratches")
    assert (Repeating.kept == 9).all()
    assert (scan(tmp_path / "new/photos/a.png").pixels[12:16] == 9).all()


def test_large_files_of_few_pixels_are_taken_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "LARGE_FILE", 10)
    put(tmp_path, "a.png")
    assert run(tmp_path, DetectingRestorer(), mode="scratches")["a.png"].mask_coverage == pytest.approx(6 / 40)


def test_masks_of_any_picture_format_count(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png", "b.png"])
    mark(tmp_path / "marks", ["a.tif", "b.webp"], rows=slice(0, 10))
    assert cv2.imread(str(tmp_path / "marks/b.webp")) is not None
    rows = run(tmp_path, InvertingRestorer(), tmp_path / "marks", mode="scratches")
    assert {row.mask_coverage for row in rows.values()} == {11 / 40}
