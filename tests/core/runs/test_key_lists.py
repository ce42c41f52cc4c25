"""Runs over some keys alone, whatever those keys are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from fakes import encoded, picture, register
from places import python_path

from oldphoto_core.errors import ConfigError, UsageError
from oldphoto_core.reports.summary import Summary
from oldphoto_core.restoration import RestoreJob, close_run, job_of, open_run, restore_shard
from oldphoto_core.runs.dry_run import check
from oldphoto_core.runs.job import check_places
from oldphoto_core.runs.ledger_rows import rows_by_key
from oldphoto_core.storage import Bucket, look_up, read_key_list, read_ledger, write_key_list
from oldphoto_core.storage.key_list import as_file

HOSTILE = [
    "../secret.png",
    "/etc/hosts.png",
    "a//b.png",
    "a/./b.png",
    "bell\a.png",
    "tab\t.png",
    "",
    "x" * 1100 + ".png",
]


@pytest.fixture
def source(bucket_url: str) -> Bucket:
    source = Bucket(f"{bucket_url}/old")
    for seed, key in enumerate(("a.png", "b.png", "album/c.png", "%2e%2e/d.png")):
        source.write(key, encoded(picture(seed=seed), ".png"))
    return source


@pytest.fixture
def target() -> Bucket:
    return Bucket(f"memory://{uuid.uuid4().hex}")


def restore(source: Bucket, target: Bucket, keys: str | tuple[str, ...], limit: int | None = None) -> Summary:
    register()
    run = open_run(job_of(source=source.url, target=target.url, model="invert", keys=keys, limit=limit))
    for number in range(len(run.shards)):
        restore_shard(run, number)
    summary = close_run(run)
    assert summary["found"] == summary["restored"] + summary["skipped"] + summary["failed"]
    return summary


def test_only_the_keys_that_were_named_are_restored(source: Bucket, target: Bucket) -> None:
    summary = restore(source, target, ("album/c.png", "a.png", "a.png"))
    assert (summary["found"], summary["restored"]) == (2, 2)
    assert [item.key for item in target.list("photos")] == ["photos/a.png", "photos/album/c.png"]


def test_what_one_run_restored_the_next_leaves_alone(source: Bucket, target: Bucket) -> None:
    restore(source, target, ("a.png",))
    assert restore(source, target, ("a.png", "b.png"))["skipped_reasons"] == {"already restored": 1}


def test_a_key_that_vanished_is_a_failed_row_and_the_rest_is_done(source: Bucket, target: Bucket) -> None:
    summary = restore(source, target, ("a.png", "gone.png", "notes.txt"))
    assert (summary["restored"], summary["failed_reasons"]) == (1, {"missing": 1})
    assert summary["skipped_reasons"] == {"not an image": 1}
    ledger = rows_by_key(read_ledger(target.join("runs", summary["run_id"])))
    assert "gone.png is not there" in ledger["gone.png"].detail


def test_a_source_that_was_emptied_since_is_accounted_for(source: Bucket, target: Bucket) -> None:
    for item in list(source.list()):
        source.delete(item.key)
    assert restore(source, target, ("a.png", "b.png"))["failed_reasons"] == {"missing": 2}


@pytest.mark.parametrize("key", HOSTILE, ids=repr)
def test_a_hostile_key_is_refused_and_touches_nothing(source: Bucket, target: Bucket, key: str) -> None:
    Bucket(source.url.rpartition("/")[0]).write("secret.png", encoded(picture(), ".png"))
    summary = restore(source, target, ("a.png", key))
    assert (summary["restored"], summary["failed_reasons"]) == (1, {"unsafe key": 1})
    assert [item.key for item in target.list("photos")] == ["photos/a.png"]


def test_percent_signs_are_part_of_a_key(source: Bucket, target: Bucket) -> None:
    restore(source, target, ("%2e%2e/d.png",))
    assert [item.key for item in target.list("photos")] == ["photos/%2e%2e/d.png"]


def test_looking_before_doing_is_about_the_named_keys_too(source: Bucket, target: Bucket) -> None:
    register()
    keys = ("a.png", "gone.png", "../b.png")
    report = check(job_of(source=source.url, target=target.url, model="invert", keys=keys))
    found = {each.key: (each.status, each.reason) for each in report.files}
    assert found == {
        "a.png": ("restored", ""),
        "gone.png": ("failed", "missing"),
        "../b.png": ("failed", "unsafe key"),
    }


def test_a_limit_counts_the_named_images(source: Bucket, target: Bucket) -> None:
    assert restore(source, target, ("b.png", "a.png", "A.txt"), limit=1)["found"] == 2
    assert [item.key for item in target.list("photos")] == ["photos/a.png"]


def test_masks_of_photos_that_are_not_asked_for_are_not_called_stray(source: Bucket, target: Bucket) -> None:
    register()
    masks = Bucket(f"memory://{uuid.uuid4().hex}")
    for key in ("a.png", "b.png"):
        masks.write(f"{key}.png", encoded(picture(channels=1)[..., 0] * 0, ".png"))
    run = open_run(job_of(source=source.url, target=target.url, masks=masks.url, model="invert", keys=("a.png",)))
    assert run.facts["masks"] == {"used": 1, "without a photo": 0}


def test_a_list_is_read_as_it_was_written(bucket_url: str) -> None:
    place = f"{bucket_url}/lists/today.txt"
    keys = ["a b.png", " leading.png", "Zürich\u2028line.png", "%2e%2e.png"]
    write_key_list(place, keys)
    assert read_key_list(place) == keys


def test_a_list_from_windows_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys.txt").write_bytes(b"\xef\xbb\xbfa.png\r\n\r\nb.png\r\n")
    monkeypatch.chdir(tmp_path)
    assert read_key_list("keys.txt") == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "no list of keys"), (b"\n\r\n", "is empty"), (b"a\xff", "not UTF-8 at byte 1")]
)
def test_a_list_that_cannot_be_one_is_wrong_usage(tmp_path: Path, content: bytes | None, problem: str) -> None:
    place = tmp_path / "keys.txt"
    if content is not None:
        place.write_bytes(content)
    job = RestoreJob(source=str(tmp_path), target=f"memory://{uuid.uuid4().hex}", keys=str(place))
    with pytest.raises(UsageError, match=problem):
        check_places(job)


@pytest.mark.parametrize("keys", ["", ()])
def test_naming_no_key_is_not_the_same_as_naming_none(keys: str | tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="keys is empty"):
        RestoreJob(source="old", target="new", keys=keys)


def test_looking_up_sorts_and_counts_each_key_once(source: Bucket) -> None:
    frame = look_up(source, ["b.png", "a.png", "b.png", "gone.png"])
    assert frame["key"].tolist() == ["a.png", "b.png", "gone.png"]
    assert [bool(version) for version in frame["version"]] == [True, True, False]


def test_a_list_from_a_pipe_is_read_once_and_may_be_read_again(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"a.png\nb.png\n"))
    writer.start()
    with as_file(str(pipe)) as place:
        assert read_key_list(place) == read_key_list(place) == ["a.png", "b.png"]
    writer.join()
    assert not os.path.exists(place)


@pytest.mark.parametrize("place", ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_a_list_from_the_standard_input_is_read(place: str, tmp_path: Path) -> None:
    asked = "import sys; from oldphoto_core.storage import read_key_list; print(read_key_list(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": python_path()}
    child = subprocess.run(
        [sys.executable, "-c", asked, place], input=b"a.png\r\nb.png", env=environment, capture_output=True, check=True
    )
    assert child.stdout.decode().strip() == "['a.png', 'b.png']"


def test_a_run_reads_a_stream_of_keys_itself(source: Bucket, target: Bucket, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"a.png\n"))
    writer.start()
    assert restore(source, target, str(pipe))["restored"] == 1
    writer.join()


def test_an_empty_stream_of_keys_is_wrong_usage(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b""))
    writer.start()
    with pytest.raises(UsageError, match="is empty"), as_file(str(pipe)):
        pass
    writer.join()
