"""The report's files: what is written when, what of, and what becomes of it when a run is killed or made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import decoded, encoded, fill, picture, register, scratched
from runs import put, restore

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.errors import UsageError
from oldphoto_core.reports.page.build import CHUNK, write_report
from oldphoto_core.reports.page.thumbnails import thumbnail_stem, write_thumbnails
from oldphoto_core.restoration import job_of
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews, entry_key
from oldphoto_core.runs.run import open_run, restore_shard
from oldphoto_core.runs.run_report import make_report
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, merge_ledger

register()


def photos_of(run: Bucket) -> dict[str, dict[str, Any]]:
    """What the data files say, by key."""
    scripts = [info.key for info in run.list("report") if "/photos-" in info.key]
    found = [json.loads(run.read(key).decode().partition(" = ")[2].rstrip(";\n")) for key in scripts]
    return {photo["key"]: photo for photos in found for photo in photos}


def thumbnail(run: Bucket, key: str, kind: str) -> np.ndarray:
    return decoded(run.read(f"report/{thumbnail_stem(key)}-{kind}"))


def test_a_run_leaves_a_report_with_every_input_and_its_pictures(bucket_url: str) -> None:
    source, target = Bucket(bucket_url).join("source"), Bucket(bucket_url).join("target")
    put(source, ["a/1.png", "2.jpg"])
    source.write("notes.txt", b"two photos")
    source.write("broken.png", b"\x89PNG\r\n\x1a\n broken")
    run = target.join("runs", restore(source, target)["run_id"])
    photos = photos_of(run)
    assert {key: photo["status"] for key, photo in photos.items()} == {
        "a/1.png": "restored",
        "2.jpg": "restored",
        "notes.txt": "skipped",
        "broken.png": "failed",
    }
    assert photos["a/1.png"]["output"] == "../../../photos/a/1.png"
    assert "thumb" not in photos["broken.png"]
    before, after = (thumbnail(run, "a/1.png", f"{kind}.jpg").astype(int) for kind in ("before", "after"))
    assert np.abs(before + after - 255).mean() < 3
    assert thumbnail(run, "a/1.png", "small.jpg").shape == (40, 120, 3)


def test_without_report_there_is_none(tmp_path: Path) -> None:
    fill(tmp_path / "source", ["1.png"])
    target = Bucket(tmp_path / "target")
    summary = restore(Bucket(tmp_path / "source"), target, report=False)
    assert not [info.key for info in target.list(f"runs/{summary['run_id']}") if "report/" in info.key]


def test_a_photo_that_is_too_damaged_is_shown_with_its_damage(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/1.png").write_bytes(encoded(scratched(picture(), 4, 36), ".png"))
    target = Bucket(tmp_path / "target")
    run = target.join("runs", restore(Bucket(tmp_path / "source"), target, model="detect")["run_id"])
    photo = photos_of(run)["1.png"]
    assert photo["reason"] == "too damaged"
    assert sorted(photo["has"]) == ["b", "m", "s"]
    overlay = thumbnail(run, "1.png", "mask.png")
    assert (overlay[4:36, :, 3] == 255).all()
    assert not overlay[:4, :, 3].any()


def test_photos_restored_before_show_the_pictures_of_the_run_that_made_them(tmp_path: Path) -> None:
    fill(tmp_path / "source", ["1.png"])
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    first = restore(source, target)["run_id"]
    second = target.join("runs", restore(source, target)["run_id"])
    photo = photos_of(second)["1.png"]
    assert photo["status"] == "skipped"
    shown = Path(second.url) / "report" / f"{photo['thumb']}-after.jpg"
    assert shown.resolve() == tmp_path / f"target/runs/{first}/report/{thumbnail_stem('1.png')}-after.jpg"
    assert shown.exists()


def test_a_report_shows_decisions_about_the_derivatives_that_it_is_about(tmp_path: Path) -> None:
    keys = [f"{number}.png" for number in range(4)]
    fill(tmp_path / "source", keys)
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    first = restore(source, target)["run_id"]
    reviews = Reviews(target)
    for key, verdict in zip(keys, ("accept", "redo", "reject"), strict=False):
        seen = target.sha256(f"photos/{key}")
        reviews.add(Decision(key=key, verdict=verdict, reviewer="Ada", seen=seen))
    second = restore(source, target, reviews=True)["run_id"]
    photos = photos_of(target.join("runs", second))
    assert [photos[key].get("review") for key in keys] == ["accepted", "open", "rejected", None]
    assert photos["1.png"]["reviewed"].startswith("sent back by Ada on 2")
    assert photos["1.png"]["reviewed"].endswith("(an earlier derivative)")
    assert all(set(photos[key]["has"]) >= set("bas") for key in keys)  # also of what was left alone
    make_report(target, first)
    assert photos_of(target.join("runs", first))["1.png"]["review"] == "sent back"


def test_a_decision_that_cannot_be_read_is_counted_in_the_report(tmp_path: Path) -> None:
    fill(tmp_path / "source", ["1.png"])
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    run_id = restore(source, target)["run_id"]
    target.write(entry_key("1.png", 1), b"{")
    page = target.read(make_report(target, run_id)).decode()
    assert "Decisions about 1 photos cannot be read: oldphoto audit names them." in page


def test_photos_that_go_from_disk_to_disk_have_thumbnails_too(tmp_path: Path) -> None:
    fill(tmp_path / "source", ["1.tif"], height=200, width=300, bits=16)
    target = Bucket(tmp_path / "target")
    job = {"model": "detect", "in_flight_megapixels": 0.01}
    run = target.join("runs", restore(Bucket(tmp_path / "source"), target, **job)["run_id"])
    before, after = (thumbnail(run, "1.tif", f"{kind}.jpg").astype(int) for kind in ("before", "after"))
    assert before.shape == (200, 300, 3)
    assert np.abs(before + after - 255).mean() < 3


def test_strips_make_the_same_thumbnail_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = picture(4300, 3100)
    mask = np.zeros((4300, 3100, 1), np.uint8)
    mask[2000, :] = 1
    report = Bucket("memory://thumbnails-in-strips")
    for name, strip in (("whole", 2**30), ("strips", 2**17)):
        monkeypatch.setattr("oldphoto_core.reports.page.thumbnails.STRIP_BYTES", strip)
        write_thumbnails(report, name, ArrayCanvas(photo), None, ArrayCanvas(mask))
    whole, strips = (
        decoded(report.read(f"{thumbnail_stem(name)}-before.jpg")).astype(int) for name in ("whole", "strips")
    )
    assert whole.shape == (1024, 738, 3)
    assert np.abs(whole - strips).mean() < 1
    # a scratch of one pixel in four thousand is still in sight
    assert decoded(report.read(f"{thumbnail_stem('strips')}-mask.png"))[..., 3].any(axis=1).sum() in (1, 2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_thumbnails_are_upright(orientation: int) -> None:
    import io

    from PIL import Image, ImageOps

    corner = np.zeros((64, 96, 3), np.uint8)
    corner[:20, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    tagged = io.BytesIO()
    Image.fromarray(corner).save(tagged, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tagged))).astype(int)
    report = Bucket(f"memory://upright-{orientation}")
    write_thumbnails(report, "k", ArrayCanvas(corner), None, None, orientation=orientation)
    shown = decoded(report.read(f"{thumbnail_stem('k')}-before.jpg")).astype(int)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() < 5


def test_a_report_made_again_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    fill(tmp_path / "source", ["1.png"])
    target = Bucket(tmp_path / "target")
    run_id = restore(Bucket(tmp_path / "source"), target)["run_id"]
    run = target.join("runs", run_id)
    thumbs = {info.key: info.version for info in run.list("report/thumbs")}
    first = run.read("report/index.html")
    builds = {key.split("/")[1] for key in (info.key for info in run.list("report")) if "build-" in key}
    assert make_report(target, run_id) == f"runs/{run_id}/report/index.html"
    again = {key.split("/")[1] for key in (info.key for info in run.list("report")) if "build-" in key}
    assert len(builds) == len(again) == 1
    assert builds != again
    assert again.pop().encode() in run.read("report/index.html") != first
    assert {info.key: info.version for info in run.list("report/thumbs")} == thumbs


def test_a_killed_run_gets_its_report_afterwards(tmp_path: Path) -> None:
    fill(tmp_path / "source", ["1.png", "2.png"])
    target = Bucket(tmp_path / "target")
    run = open_run(job_of(source=str(tmp_path / "source"), target=target.url, model="invert"))
    restore_shard(run, 0)
    # it ends here: nobody closes its books
    make_report(target, run.run_id)
    assert {photo["status"] for photo in photos_of(run.bucket).values()} == {"restored"}
    assert b"ended before its time" in run.bucket.read("report/index.html")


def test_a_run_that_never_was_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no finished run 2020"):
        make_report(Bucket(tmp_path), "2020")


def test_data_come_in_files_of_some_hundred_photos(tmp_path: Path) -> None:
    fill(tmp_path / "source", ["1.png"])
    target = Bucket(tmp_path / "target")
    summary = restore(Bucket(tmp_path / "source"), target)
    run = target.join("runs", summary["run_id"])
    with LedgerWriter(run, "more") as ledger:
        for number in range(2 * CHUNK):
            ledger.add(LedgerRow(key=f"more/{number:04d}.png", version="1", status="failed", reason="truncated"))
    merge_ledger(run)
    write_report(target, summary)
    assert len([info for info in run.list("report") if "/photos-" in info.key]) == 3
    assert len(photos_of(run)) == 2 * CHUNK + 1
