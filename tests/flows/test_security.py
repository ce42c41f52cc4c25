"""What must never show or happen: credentials anywhere, writes outside the target, sockets beyond loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import psutil
import pytest
from fakes import InvertingRestorer, encoded, picture
from fsspec.implementations.memory import MemoryFile

from oldphoto_core.storage import Bucket, read_ledger

pytestmark = pytest.mark.usefixtures("prefect_server")

SECRETS = ("planted-secret-of-the-store", "planted-session-token", "planted-password-of-a-proxy")
SOCKETS: set[str] = set()


class WatchingRestorer(InvertingRestorer):
    """Notes where this process and its children listen while it restores."""

    def restore(self, pixels: Any, mask: Any = None) -> Any:
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            try:
                found = process.net_connections()
            except psutil.NoSuchProcess:
                continue
            SOCKETS.update(each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN)
        return super().restore(pixels, mask)


@pytest.fixture
def planted(s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of photos, one of them broken; the credentials that lead to it are secrets to look for."""
    from oldphoto_core.restoration import register_restorer

    register_restorer("watch", lambda device: WatchingRestorer())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[0])
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRETS[1])
    source = Bucket(f"{s3_bucket_url}/old")
    source.write("a.jpg", encoded(picture(), ".jpg"))
    source.write("broken.tif", b"II*\0")
    return s3_bucket_url


def everything_prefect_knows() -> Iterator[str]:
    """Flow runs with their parameters and states, task runs, logs, artifacts, as its API tells them."""
    from prefect import get_client

    with get_client(sync_client=True) as client:
        for kind in ("flow_runs", "task_runs", "logs", "artifacts"):
            for offset in range(0, 10_000, 200):
                reply = client._client.post(f"/{kind}/filter", json={"limit": 200, "offset": offset})
                reply.raise_for_status()
                if not reply.json():
                    break
                yield from map(json.dumps, reply.json())


def leaks(*texts: str | bytes) -> list[str]:
    content = b"\n".join(text if isinstance(text, bytes) else text.encode() for text in texts)
    return [secret for secret in SECRETS if secret.encode() in content]


def test_no_credential_is_in_anything_that_a_run_leaves(
    planted: str, oldphoto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="oldphoto")
    ended = oldphoto("restore", f"{planted}/old", f"{planted}/new", "--model", "watch")
    assert ended.code == 3, ended.err
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{SECRETS[2]}@127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    failed = oldphoto("restore", f"{planted}/old", f"{planted}/new", "--model", "watch")
    assert failed.code == 1
    monkeypatch.undo()
    written = [Bucket(planted).read(info.key) for info in Bucket(planted).list() if not info.key.startswith("old/")]
    assert len(written) > 5
    known = list(everything_prefect_knows())
    assert any(f"{planted}/new" in text for text in known)
    assert leaks(ended.out, ended.err, failed.out, failed.err, caplog.text, *written, *known) == []


def test_a_run_listens_on_loopback_alone(planted: str, oldphoto) -> None:
    SOCKETS.clear()
    assert oldphoto("restore", f"{planted}/old", f"{planted}/again", "--model", "watch").code == 3
    assert {"127.0.0.1"} == SOCKETS


ESCAPES = ("../escaped.png", "/escaped.png", "a/../../escaped.png", "..\\escaped.png", "bell\a.png", "a//b.png")


def test_no_key_leads_out_of_the_target(tmp_path: Path, oldphoto) -> None:
    files = fsspec.filesystem("memory")
    for key in (*ESCAPES, "good.png"):
        path = f"/escapes/{key}"
        files.store[path] = MemoryFile(files, path, encoded(picture(), ".png"))
    target = tmp_path / "deep/down/target"
    ended = oldphoto("restore", "memory://escapes", target, "--model", "invert", "--on-failure", "copy")
    assert ended.code == 3, ended.err
    (run_id,) = Bucket(target).folders("runs")
    ledger = read_ledger(Bucket(target).join("runs", run_id))
    assert sorted(ledger[ledger["status"] == "restored"]["key"]) == ["good.png"]
    assert set(ledger[ledger["status"] == "failed"]["reason"]) == {"unsafe key"}
    assert len(ledger) == len(ESCAPES) + 1
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and target not in path.parents]
    assert outside == []
    assert sorted(path.name for path in (target / "photos").iterdir()) == ["good.png"]
