"""`oldphoto restore --check`, as it is typed: no server is started for it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from runs import put

from oldphoto_core.storage import Bucket


@pytest.fixture
def source(tmp_path: Path) -> Path:
    put(Bucket(tmp_path / "old"), ["a.jpg", "b.png"])
    (tmp_path / "old/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (tmp_path / "old/notes.txt").write_text("found in the attic")
    return tmp_path / "old"


def test_each_file_is_a_row_and_what_would_fail_comes_first(source: Path, tmp_path: Path, oldphoto) -> None:
    ended = oldphoto("restore", source, tmp_path / "new", "--model", "invert", "--check")
    assert ended.code == 3, ended.err
    rows = [line.split() for line in ended.out.splitlines()]
    assert rows[0] == ["would", "be", "file", "pixels", "size", "why"]
    assert rows[1][:2] == ["failed", "broken.jpg"]
    assert ["restored", "a.jpg", "60", "x", "40"] in [row[:5] for row in rows]
    assert ["skipped", "notes.txt"] in [row[:2] for row in rows]
    assert "4 files found: 2 would be restored, 1 skipped, 1 would fail" in ended.out
    assert "estimated time: " in ended.out
    assert ended.out.endswith("nothing was written\n")
    assert not (tmp_path / "new").exists()


def test_the_same_as_json(source: Path, tmp_path: Path, oldphoto) -> None:
    (source / "broken.jpg").unlink()
    ended = oldphoto("restore", source, tmp_path / "new", "--model", "invert", "--check", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["found"], told["restored"], told["skipped"], told["failed"]) == (3, 2, 1, 0)
    assert [file["status"] for file in told["files"]] == ["restored", "restored", "skipped"]
    assert told["output_bytes"]["value"] == sum((source / name).stat().st_size for name in ("a.jpg", "b.png"))


def test_json_without_check_is_wrong_usage(source: Path, tmp_path: Path, oldphoto) -> None:
    assert oldphoto("restore", source, tmp_path / "new", "--json").code == 2


def test_a_list_of_keys_may_come_from_a_pipe(source: Path, tmp_path: Path, oldphoto) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"a.jpg\n"))
    writer.start()
    ended = oldphoto("restore", source, tmp_path / "new", "--model", "invert", "--keys", pipe, "--check")
    writer.join()
    assert ended.code == 0, ended.err
    assert "1 files found: 1 would be restored" in ended.out
