"""Masters are evidence: whatever is done with a collection, its source stays as it was, to the inode."""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import mark
from runs import copied, put

from oldphoto_core.storage import Bucket

pytestmark = pytest.mark.usefixtures("prefect_server")


def fill_source(source: Bucket) -> None:
    put(source, ["album/a.jpg", "album/b.png", "c.tif"])
    source.write("album/broken.jpg", b"\xff\xd8\xff\xe0 no more")
    source.write("notes.txt", b"found in the attic")


def do_everything(source: str, masks: str, target: Callable[[str], str], oldphoto: Callable[..., Any]) -> None:
    """Every command that is given a source, or a target made of it."""
    full, other = target("full"), target("other")
    restore = ("restore", source, full, "--model", "detect", "--masks", masks)
    assert oldphoto(*restore, "--check").code == 3
    assert oldphoto(*restore, "--check", "--json").code == 3
    assert oldphoto(*restore).code == 3
    assert oldphoto(*restore, "--on-failure", "copy", "--existing", "overwrite").code == 3
    assert oldphoto("restore", source, other, "--model", "detect", "--mode", "scratches", "--format", "tiff").code == 3
    assert oldphoto("audit", full).code == 0
    assert oldphoto("audit", other).code == 0
    for run_id in sorted(Bucket(full).folders("runs"), reverse=True):
        assert oldphoto("rollback", full, run_id, "--check").code == 0
        assert oldphoto("rollback", full, run_id).code == 0
    assert not [info.key for info in Bucket(full).list("photos")]
    assert oldphoto(*restore).code == 3
    assert oldphoto("doctor", source).code == 0
    assert oldphoto("restore", source, f"{source}/inside").code == 2


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    """Of every file and folder: bytes, times, place and rights. The time of change cannot be set by anybody."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        what = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (digest, what.st_mtime_ns, what.st_ctime_ns, what.st_ino, what.st_mode, what.st_size)
    return found


@pytest.mark.long
def test_a_folder_of_masters_that_nobody_may_write_stays_as_it_was(tmp_path: Path, oldphoto) -> None:
    source = tmp_path / "old"
    fill_source(Bucket(source))
    masks = mark(tmp_path / "masks", ["album/a.jpg.png"])
    for path in [source, source / "album", *source.rglob("*.*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = state(source)
    try:
        do_everything(str(source), str(masks), lambda name: str(tmp_path / name), oldphoto)
        assert state(source) == before
    finally:
        for path in (source, source / "album"):
            path.chmod(0o755)


def test_the_state_of_a_folder_shows_a_write_that_was_undone(tmp_path: Path) -> None:
    source = tmp_path / "old"
    fill_source(Bucket(source))
    before = state(source)
    data = (source / "c.tif").read_bytes()
    (source / "c.tif").write_bytes(data)
    assert state(source) != before


@pytest.fixture
def requests(s3_endpoint: str) -> Iterator[list[tuple[str, str]]]:
    """Method and bucket of each request, by the store's own log."""
    seen: list[tuple[str, str]] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = re.sub(r"\x1b\[[0-9;]*m", "", record.getMessage())
            if request := re.search(r'"([A-Z]+) /([^/? ]*)', line):
                seen.append((request[1], request[2]))

    log, listener = logging.getLogger("werkzeug"), Listener()
    level = log.level
    log.addHandler(listener)
    log.setLevel(logging.INFO)
    yield seen
    log.removeHandler(listener)
    log.setLevel(level)


@pytest.mark.long
def test_a_bucket_of_masters_is_sent_nothing_but_requests_to_read(
    s3_endpoint: str, requests: list[tuple[str, str]], tmp_path: Path, oldphoto
) -> None:
    import boto3

    names = {role: f"{role}-{uuid.uuid4().hex[:8]}" for role in ("source", "masks", "target")}
    for name in names.values():
        boto3.client("s3", endpoint_url=s3_endpoint).create_bucket(Bucket=name)
    source = Bucket(f"s3://{names['source']}/scans")
    fill_source(source)
    copied(Bucket(mark(tmp_path / "masks", ["album/a.jpg.png"])), Bucket(f"s3://{names['masks']}"))
    before = [(info.key, info.version) for info in source.list()]
    requests.clear()
    do_everything(source.url, f"s3://{names['masks']}", lambda name: f"s3://{names['target']}/{name}", oldphoto)
    methods = {role: {method for method, bucket in requests if bucket == name} for role, name in names.items()}
    assert "GET" in methods["source"]
    assert "GET" in methods["masks"]
    assert methods["source"] | methods["masks"] <= {"GET", "HEAD"}
    assert {"PUT", "DELETE"} <= methods["target"]
    assert [(info.key, info.version) for info in source.list()] == before
