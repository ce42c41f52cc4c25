"""Links below a target, and folders that target and source share: masters are never written, nor files beside them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from drives import mounted_twice
from runs import contents, put, restore

from oldphoto_core.custody import audit, plan_rollback, roll_back
from oldphoto_core.errors import StorageError, UnsafeLink, UsageError
from oldphoto_core.reports.summary import Summary
from oldphoto_core.restoration import job_of
from oldphoto_core.runs.dry_run import check
from oldphoto_core.storage import Bucket, folders, read_ledger
from oldphoto_core.storage.temporary import sweep

KEYS = ["album/1.jpg", "album/2.png", "top.jpg"]


@pytest.fixture
def places(tmp_path: Path) -> tuple[Bucket, Bucket]:
    source, target = Bucket(tmp_path / "scans"), Bucket(tmp_path / "restored")
    put(source, KEYS)
    return source, target


def linked(target: Bucket, key: str, to: Path | str) -> None:
    """A link at this place of the target, in place of what lay there."""
    path = Path(target.url) / key
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(path, ignore_errors=True)
    path.symlink_to(to)


def outcomes(target: Bucket, summary: Summary) -> dict[str, str]:
    rows = read_ledger(target.join("runs", summary["run_id"])).to_dict("records")
    return {row["key"]: row["reason"] or row["status"] for row in rows}


ALBUM_REFUSED = {"album/1.jpg": "unsafe link", "album/2.png": "unsafe link", "top.jpg": "restored"}


@pytest.mark.parametrize("how", [{}, {"existing": "overwrite"}, {"format": "tiff"}, {"on_failure": "copy"}])
@pytest.mark.parametrize("folder", ["photos", "masks", "records"])
def test_masters_behind_a_link_below_the_target_are_left_alone(
    places: tuple[Bucket, Bucket], folder: str, how: dict[str, Any]
) -> None:
    source, target = places
    before = contents(source)
    linked(target, f"{folder}/album", f"{source.url}/album")
    summary = restore(source, target, **how)
    assert outcomes(target, summary) == ALBUM_REFUSED
    assert contents(source) == before


def test_outdated_records_do_not_lead_a_run_through_a_link(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    restore(source, target)
    put(source, KEYS, first=7)
    before = contents(source)
    linked(target, "photos/album", f"{source.url}/album")
    assert outcomes(target, restore(source, target)) == ALBUM_REFUSED
    assert contents(source) == before


def test_a_link_to_anywhere_is_refused_and_named(places: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    source, target = places
    (tmp_path / "elsewhere").mkdir()
    linked(target, "photos/album", tmp_path / "elsewhere")
    summary = restore(source, target)
    ledger = read_ledger(target.join("runs", summary["run_id"])).set_index("key")
    assert f"{target.url}/photos/album is a link" in ledger.loc["album/1.jpg", "detail"]
    assert os.listdir(tmp_path / "elsewhere") == []


def test_check_foresees_it(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    linked(target, "photos/album", f"{source.url}/album")
    job = job_of(source=source.url, target=target.url, model="invert", existing="overwrite")
    assert {file.key: file.reason or file.status for file in check(job).files} == ALBUM_REFUSED


@pytest.mark.parametrize("folder", ["photos", "masks", "records"])
def test_a_whole_folder_of_results_that_is_a_link_fails_every_photo(places: tuple[Bucket, Bucket], folder: str) -> None:
    source, target = places
    before = contents(source)
    linked(target, folder, f"{source.url}/album")
    summary = restore(source, target, existing="overwrite")
    assert set(outcomes(target, summary).values()) == {"unsafe link"}
    assert contents(source) == before


@pytest.mark.parametrize("folder", ["runs", "lease"])
def test_without_a_folder_for_runs_of_its_own_no_run_begins(places: tuple[Bucket, Bucket], folder: str) -> None:
    source, target = places
    before = contents(source)
    linked(target, folder, f"{source.url}/album")
    with pytest.raises(UnsafeLink, match=f"{folder} is a link"):
        restore(source, target)
    assert contents(source) == before


def test_the_target_itself_may_be_a_link(places: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    source, _ = places
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    target = Bucket(tmp_path / "link")
    assert restore(source, target)["restored"] == 3
    assert (tmp_path / "disk/photos/album/1.jpg").is_file()
    assert audit(target).is_clean


def test_a_link_in_the_place_of_a_derivative_is_replaced_and_not_followed(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    before = contents(source)
    linked(target, "photos/top.jpg", f"{source.url}/top.jpg")
    assert restore(source, target, existing="overwrite")["restored"] == 3
    assert contents(source) == before
    assert not (Path(target.url) / "photos/top.jpg").is_symlink()


def test_a_hard_link_to_a_master_is_replaced_and_the_master_stays(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    before = contents(source)
    (Path(target.url) / "photos").mkdir(parents=True)
    os.link(Path(source.url) / "top.jpg", Path(target.url) / "photos/top.jpg")
    assert restore(source, target, existing="overwrite")["restored"] == 3
    assert contents(source) == before


def test_a_link_of_the_source_into_the_target_makes_that_a_folder_of_masters(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    put(target.join("photos", "album"), ["9.jpg"])
    shutil.rmtree(Path(source.url) / "album")
    (Path(source.url) / "album").symlink_to(Path(target.url) / "photos/album")
    before = contents(source)
    summary = restore(source, target, existing="overwrite")
    assert outcomes(target, summary) == {"album/9.jpg": "unsafe link", "top.jpg": "restored"}
    assert contents(source) == before


def test_a_file_that_a_link_of_the_source_leads_to_is_not_written_over(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    put(target.join("photos"), ["top.jpg"], first=5)
    (Path(source.url) / "linked.jpg").symlink_to(Path(target.url) / "photos/top.jpg")
    before = contents(source)
    summary = restore(source, target, existing="overwrite")
    assert outcomes(target, summary)["top.jpg"] == "unsafe link"
    assert contents(source) == before


def test_a_folder_mounted_at_two_places_is_known_for_one(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    before = contents(source)
    with mounted_twice(Path(source.url) / "album", Path(target.url) / "photos/album"):
        summary = restore(source, target, existing="overwrite")
    assert outcomes(target, summary) == ALBUM_REFUSED
    assert contents(source) == before


def test_a_target_inside_a_second_mount_of_the_source_is_refused(places: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    source, _ = places
    with mounted_twice(Path(source.url), tmp_path / "again"), pytest.raises(UsageError, match="lies inside source"):
        restore(source, Bucket(tmp_path / "again/new"))


def test_a_rollback_removes_nothing_behind_a_link(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    source.write("album/3.jpg", b"no image")
    summary = restore(source, target, on_failure="copy")  # the copy of 3.jpg has the bytes of its master
    before = contents(source)
    linked(target, "photos/album", f"{source.url}/album")
    plan = roll_back(plan_rollback(target, summary["run_id"]), leave_altered=True)
    assert contents(source) == before
    assert "photos/album/3.jpg" in {file.key for file in plan.of("kept")}
    assert target.info("photos/top.jpg") is None
    assert json.loads(target.read(f"runs/{summary['run_id']}/rollback.json"))["finished"]


def test_a_rollback_removes_nothing_from_a_folder_that_is_the_sources_too(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    source.write("album/3.jpg", b"no image")
    summary = restore(source, target, on_failure="copy")
    before = contents(source)
    with mounted_twice(Path(source.url) / "album", Path(target.url) / "photos/album"):
        plan = roll_back(plan_rollback(target, summary["run_id"]), leave_altered=True)
    assert contents(source) == before
    assert "photos/album/3.jpg" in {file.key for file in plan.of("kept")}
    assert target.info("photos/top.jpg") is None


def test_unfinished_writes_behind_a_link_are_left_alone(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    old = Path(source.url) / "album/.oldphoto-tmp-0123456789abcdef"
    old.write_bytes(b"of somebody")
    os.utime(old, (0, 0))
    ours = Path(target.url) / "photos/.oldphoto-tmp-0123456789abcdef"
    linked(target, "photos/album", f"{source.url}/album")
    ours.write_bytes(b"ours")
    os.utime(ours, (0, 0))
    assert [write.key for write in sweep(target, ("photos",))] == ["photos/.oldphoto-tmp-0123456789abcdef"]
    assert old.exists()


def test_an_audit_names_links_to_folders(places: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    source, target = places
    restore(source, target)
    shutil.move(Path(target.url) / "photos/album", tmp_path / "disk")
    (Path(target.url) / "photos/album").symlink_to(tmp_path / "disk")
    (finding,) = audit(target).findings
    assert (finding.key, finding.kind) == ("photos/album", "extra")
    assert "link" in finding.detail


@pytest.mark.parametrize("handles", [True, False])
def test_writing_and_deleting_follow_no_link_below_what_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, handles: bool
) -> None:
    monkeypatch.setattr(folders, "HAS_HANDLES", handles)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x").write_bytes(b"a master")
    (tmp_path / "target").mkdir()
    (tmp_path / "target/a").symlink_to(tmp_path / "outside")
    for bucket, key in ((Bucket(tmp_path / "target"), "a/x"), (Bucket(tmp_path / "target").join("a"), "x")):
        for attempt in (lambda b, k: b.write(k, b"1"), lambda b, k: b.create(k, b"1"), lambda b, k: b.delete(k)):
            with pytest.raises(StorageError, match="is a link"):
                attempt(bucket, key)
    assert [path.read_bytes() for path in (tmp_path / "outside").iterdir()] == [b"a master"]
    Bucket(tmp_path / "target").write("b/x", b"1")
    assert (tmp_path / "target/b/x").read_bytes() == b"1"


def test_a_folder_that_becomes_a_link_at_the_last_moment_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "target/a").mkdir(parents=True)
    found = folders.Folder.stat

    def swap_after(self: folders.Folder, name: str) -> os.stat_result:
        answer = found(self, name)
        if name == "a":
            (tmp_path / "target/a").rmdir()
            (tmp_path / "target/a").symlink_to(tmp_path / "outside")
        return answer

    monkeypatch.setattr(folders.Folder, "stat", swap_after)
    with pytest.raises(StorageError):
        Bucket(tmp_path / "target").write("a/x", b"1")
    assert os.listdir(tmp_path / "outside") == []


def test_a_copy_publishes_nothing_from_outside_the_source(places: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    source, target = places
    (tmp_path / "private").mkdir()
    (tmp_path / "private/key").write_bytes(b"-----BEGIN PRIVATE KEY-----")
    (Path(source.url) / "key.jpg").symlink_to(tmp_path / "private/key")
    (Path(source.url) / "folder").symlink_to(tmp_path / "private")
    (tmp_path / "private/also.jpg").write_bytes(b"-----BEGIN PRIVATE KEY-----")
    (Path(source.url) / "album/bad.jpg").write_bytes(b"no image")
    (Path(source.url) / "bad.jpg").symlink_to("album/bad.jpg")
    summary = restore(source, target, on_failure="copy")
    copied = {info.key for info in target.list("photos")} - {f"photos/{key}" for key in KEYS}
    assert copied == {"photos/album/bad.jpg", "photos/bad.jpg"}
    ledger = read_ledger(target.join("runs", summary["run_id"])).set_index("key")
    assert ledger.loc["key.jpg", "reason"] == "unreadable"
    assert "not copied" in ledger.loc["key.jpg", "detail"]
    restore(source, target, on_failure="copy", copy_linked=True)
    assert target.read("photos/key.jpg").startswith(b"-----BEGIN")
