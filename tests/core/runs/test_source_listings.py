"""Sources with entries that cannot be listed: each is accounted for, and the run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import python_path
from runs import put, restore

from oldphoto_core.errors import StorageError
from oldphoto_core.inventory import examine
from oldphoto_core.restoration import job_of
from oldphoto_core.runs.dry_run import check
from oldphoto_core.storage import Bucket, read_ledger
from oldphoto_core.storage.local import listing as local_listing

NOBODY = 65534
LISTED = """
import os, sys
from oldphoto_core.storage import Bucket
list(Bucket("no such folder").list())  # what is imported later may not be there for another user
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
for info in Bucket(sys.argv[1]).list():
    print(info.key, info.version.partition("-")[0] if not info.is_unlisted else info.version, sep="|")
"""


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source with folders that cannot be listed, neither by root nor by anybody."""
    source = tmp_path / "scans"
    put(Bucket(source), ["a/1.jpg", "z.jpg"])
    for name in ("lost+found", ".Trash-1000", "b/secret", "$RECYCLE.BIN"):
        (source / name).mkdir(parents=True)
    scandir = os.scandir

    def refusing(folder: str | int) -> object:
        if isinstance(folder, str) and os.path.basename(folder) in (
            "lost+found",
            ".Trash-1000",
            "secret",
            "$RECYCLE.BIN",
        ):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(local_listing.os, "scandir", refusing)
    return source


def outcomes(source: Path, target: Path) -> dict[str, str]:
    bucket = Bucket(target)
    summary = restore(Bucket(source), bucket)
    rows = read_ledger(bucket.join("runs", summary["run_id"])).to_dict("records")
    assert summary["found"] == summary["restored"] + summary["skipped"] + summary["failed"] == len(rows)
    return {row["key"]: row["reason"] or row["status"] for row in rows}


EXPECTED = {"a/1.jpg": "restored", "b/secret": "storage error", "lost+found": "storage error", "z.jpg": "restored"}


def test_a_folder_that_cannot_be_listed_is_a_failed_row(closed: Path, tmp_path: Path) -> None:
    assert outcomes(closed, tmp_path / "new") == EXPECTED
    assert outcomes(closed, tmp_path / "new") == EXPECTED | dict.fromkeys(("a/1.jpg", "z.jpg"), "already restored")


def test_check_foresees_it(closed: Path, tmp_path: Path) -> None:
    looked = check(job_of(source=str(closed), target=str(tmp_path / "new"), model="invert"))
    assert {file.key: file.reason or file.status for file in looked.files} == EXPECTED
    (why,) = [file.detail for file in looked.files if file.key == "lost+found"]
    assert "permission denied" in why


def test_an_inventory_has_a_failed_row_for_it(closed: Path) -> None:
    rows = [examine(Bucket(closed), info) for info in Bucket(closed).list()]
    assert {row.key for row in rows if row.status == "failed"} == {"b/secret", "lost+found"}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users find their way to, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_user_lists_all_that_it_may(open_folder: Path) -> None:
    source = open_folder / "scans"
    put(Bucket(source), ["a.jpg"])
    for name in ("lost+found", ".Trash-1000", "closed/album"):
        (source / name).mkdir(parents=True)
    (source / "closed/album/1.jpg").write_bytes(b"x")
    for name in ("lost+found", ".Trash-1000", "closed"):
        (source / name).chmod(0o700)
    (source / "album").symlink_to("closed/album")
    (source / "photo.jpg").symlink_to("closed/album/1.jpg")
    source.chmod(0o755)
    listed = subprocess.run(
        [sys.executable, "-c", LISTED, source, str(NOBODY)],
        env={**os.environ, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout.splitlines()
    found = dict(line.split("|") for line in listed)
    assert found.keys() == {"a.jpg", "album", "closed", "lost+found", "photo.jpg"}
    assert all("permission denied" in found[key] for key in ("album", "closed", "lost+found", "photo.jpg"))


def test_links_that_lead_nowhere_or_to_themselves_fail_alone(tmp_path: Path) -> None:
    source = tmp_path / "scans"
    put(Bucket(source), ["a.jpg"])
    (source / "itself.jpg").symlink_to("itself.jpg")
    (source / "itself").symlink_to("itself")
    (source / "ping").symlink_to("pong")
    (source / "pong").symlink_to("ping")
    (source / "gone.jpg").symlink_to(tmp_path / "unmounted/gone.jpg")
    (source / "album").symlink_to(tmp_path / "unmounted/album")
    (source / "here").symlink_to(".")
    (source / "notes.txt").symlink_to(tmp_path / "unmounted/notes.txt")
    assert outcomes(source, tmp_path / "new") == {
        "a.jpg": "restored", "itself.jpg": "storage error", "itself": "storage error", "ping": "storage error",
        "pong": "storage error", "gone.jpg": "missing", "album": "storage error", "notes.txt": "not an image",
    }  # fmt: skip


def test_a_folder_that_vanishes_during_the_listing_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(Bucket(tmp_path), ["a.jpg", "b/1.jpg", "c.jpg"])
    scandir = os.scandir

    def vanishing(folder: str | int) -> object:
        if isinstance(folder, str) and os.path.basename(folder) == "b":
            raise FileNotFoundError(2, "No such file or directory")
        return scandir(folder)

    monkeypatch.setattr(local_listing.os, "scandir", vanishing)
    assert [info.key for info in Bucket(tmp_path).list()] == ["a.jpg", "c.jpg"]


def test_a_source_that_cannot_be_listed_at_all_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(folder: str) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(local_listing.os, "scandir", refusing)
    with pytest.raises(StorageError, match="cannot be listed: permission denied"):
        list(Bucket(tmp_path).list())


@pytest.fixture
def abyss(tmp_path: Path) -> Iterator[Path]:
    """A folder for folders so deep that Python does not remove them."""
    yield tmp_path
    subprocess.run(["rm", "-rf", tmp_path], check=True)


def test_folders_within_folders_are_listed_as_deep_as_paths_go(abyss: Path) -> None:
    deep, handle = 1500, os.open(abyss, os.O_RDONLY)
    for _ in range(deep):
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(os.open("1.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    os.close(handle)
    assert [info.key for info in Bucket(abyss).list()] == [f"{'d/' * deep}1.jpg"]


def test_folders_deeper_than_a_path_may_be_are_one_failed_row(abyss: Path) -> None:
    put(Bucket(abyss), ["a.jpg"])
    handle = os.open(abyss, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=handle)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    first, second = Bucket(abyss).list()
    assert (first.key, first.is_unlisted) == ("a.jpg", False)
    assert (second.is_unlisted, "too long" in second.version) == (True, True)


def test_a_named_pipe_that_a_list_of_keys_names_is_not_waited_for(tmp_path: Path) -> None:
    source = tmp_path / "scans"
    put(Bucket(source), ["a.jpg"])
    os.mkfifo(source / "pipe.jpg")
    (source / "zero.jpg").symlink_to("/dev/zero")
    summary = restore(Bucket(source), Bucket(tmp_path / "new"), keys=("a.jpg", "pipe.jpg", "zero.jpg"))
    assert (summary["restored"], summary["failed_reasons"]) == (1, {"storage error": 2})
