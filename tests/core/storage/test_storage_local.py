"""Buckets that are folders: atomic writes, links, names of all kinds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from full_disk import full_disk
from waiting import wait_until

from oldphoto_core.errors import SourceMissing, UnsafeKey, WriteFailed
from oldphoto_core.storage import Bucket

WRITER = """
import sys
from oldphoto_core.storage import Bucket
bucket, number = Bucket(sys.argv[1]), 0
while True:
    number += 1
    bucket.write(f"photo-{number % 5}.bin", bytes([number % 251]) * 3_000_000)
"""


def test_a_killed_writer_leaves_only_whole_files(tmp_path: Path) -> None:
    seen = 0
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
        # in the middle of a write that replaces a file, which is when its temporary one is there
        wait_until(lambda: list(tmp_path.glob("photo-*")) and list(tmp_path.glob(".*")), "a write", every=0.001)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
        for info in Bucket(str(tmp_path)).list():
            data = Bucket(str(tmp_path)).read(info.key)
            assert data == data[:1] * 3_000_000
            seen += 1
    assert seen >= 3


def test_a_write_that_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    bucket = Bucket(str(tmp_path))
    bucket.write("photo.jpg", b"first")
    with full_disk(100_000), pytest.raises(WriteFailed, match=r"photo\.jpg: file too large"):
        bucket.write("photo.jpg", b"x" * 200_000)
    assert bucket.read("photo.jpg") == b"first"
    assert os.listdir(tmp_path) == ["photo.jpg"]


def test_a_file_in_the_place_of_a_folder_is_a_failed_write(tmp_path: Path) -> None:
    (tmp_path / "photos").write_bytes(b"a file")
    with pytest.raises(WriteFailed):
        Bucket(str(tmp_path)).write("photos/a.jpg", b"x")
    with pytest.raises(WriteFailed):
        Bucket(str(tmp_path / "photos")).check_writable()


def test_a_file_for_a_source_is_explained(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(SourceMissing, match="is a file, not a folder"):
        list(Bucket(str(tmp_path / "photo.jpg")).list())


def test_names_that_no_store_takes_are_listed_and_refused(tmp_path: Path) -> None:
    (tmp_path / "new\nline.jpg").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(str(tmp_path)) + b"/latin-\xe9.jpg")).write_bytes(b"x")
    bucket = Bucket(str(tmp_path))
    keys = [info.key for info in bucket.list()]
    assert len(keys) == 2
    for key in keys:
        with pytest.raises(UnsafeKey):
            bucket.read(key)


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "photo.jpg").write_bytes(b"x")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "source" / "loop").symlink_to(tmp_path / "source")
    assert [info.key for info in Bucket(str(tmp_path / "source")).list()] == ["linked/photo.jpg"]


def test_a_broken_link_is_listed_because_it_must_be_accounted_for(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    bucket = Bucket(str(tmp_path))
    (info,) = bucket.list()
    assert info.key == "gone.jpg"
    with pytest.raises(SourceMissing):
        bucket.read("gone.jpg", version=info.version)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert list(Bucket(str(tmp_path)).list()) == []


def test_containment_sees_through_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert Bucket(str(tmp_path / "real")).contains(Bucket(str(tmp_path / "link" / "out")))


def test_a_relative_folder_stays_itself_when_the_process_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bucket = Bucket("photos")
    monkeypatch.chdir("/")
    assert bucket.url == str(tmp_path / "photos")


def test_file_urls_are_the_folders_they_name(tmp_path: Path) -> None:
    folder = tmp_path / "with space 50%"
    assert Bucket(folder.as_uri()) == Bucket(str(folder)) == Bucket(folder)
