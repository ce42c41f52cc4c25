"""The receivers as they are run, without a Prefect server: what they answer, keep, refuse and never say."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from waiting import wait_until

from infra.prefect_events import PrefectEvents
from infra.receiver import MAX_BYTES
from infra.receiving import Door
from infra.sqs_poller import _take, poll
from oldphoto_core.arrivals import ArrivalSpool, Dispatcher
from oldphoto_core.storage import Bucket

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-that-nobody-may-read-in-any-log"
RECORD = {
    "eventName": "ObjectCreated:Put",
    "s3": {"bucket": {"name": "archive"}, "object": {"key": "scans/album/1+2.tif"}},
}


@dataclass
class Receiver:
    """A receiver of its own process."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    spool: Path

    def post(self, content: Any, token: str = TOKEN) -> httpx.Response:
        return httpx.post(
            f"{self.url}/arrivals", json=content, headers={"Authorization": f"Bearer {token}"}, timeout=60
        )

    @property
    def kept(self) -> list[str]:
        """Keys on disk, not gathered yet."""
        names = sorted((self.spool / "incoming").glob("*.json"))
        return [key for name in names for key in json.loads(name.read_text())]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def start(folder: Path, **settings: str) -> Receiver:
    (folder / "token").write_text(f"{TOKEN}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "OLDPHOTO_SOURCE": "s3://archive/scans",
        "OLDPHOTO_TARGET": str(folder / "restored"),
        "OLDPHOTO_SPOOL": str(folder / "spool"),
        "OLDPHOTO_TOKEN_FILE": str(folder / "token"),
        "OLDPHOTO_RECEIVER_PORT": str(port),
        **settings,
    }
    log = folder / f"log-{uuid.uuid4().hex[:6]}"
    with log.open("wb") as lines:
        process = subprocess.Popen([sys.executable, "-m", "infra.receiver"], env=environment, stderr=lines, cwd=ROOT)
    receiver = Receiver(process, f"http://127.0.0.1:{port}", log, folder / "spool")

    def answers() -> bool:
        try:
            return bool(httpx.get(f"{receiver.url}/health", timeout=10))
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()
            return False

    wait_until(answers, "the receiver")
    return receiver


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """With the defaults: loopback, and a quiet period longer than these tests."""
    running = start(tmp_path_factory.mktemp("receiver"))
    yield running
    running.kill()


def test_what_is_answered_with_202_is_on_disk(receiver: Receiver) -> None:
    answer = receiver.post({"Records": [RECORD, {**RECORD, "eventName": "ObjectRemoved:Delete"}]})
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 1, "elsewhere": 0, "refused": [], "refused_count": 0}
    assert "album/1 2.tif" in receiver.kept


def test_a_kill_after_the_answer_loses_nothing(tmp_path: Path) -> None:
    first = start(tmp_path)
    assert first.post(["a.tif"]).status_code == 202
    first.kill()
    second = start(tmp_path)
    assert second.post(["b.tif"]).status_code == 202
    health = httpx.get(f"{second.url}/health").json()
    assert health == {"gathering": True, "announcing": True, "waiting": 2, "damaged": 0}
    second.kill()
    assert second.kept == ["a.tif", "b.tif"]


@pytest.mark.parametrize("token", ["wrong", TOKEN[:-1], f"{TOKEN}x", "ä"])
def test_a_wrong_token_is_refused(receiver: Receiver, token: str) -> None:
    before = receiver.kept
    headers = {"Authorization": f"Bearer {token}".encode()}
    answer = httpx.post(f"{receiver.url}/arrivals", json=["a.tif"], headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "wrong token"})
    assert receiver.kept == before


def test_no_token_is_refused_before_the_body_is_looked_at(receiver: Receiver) -> None:
    assert httpx.post(f"{receiver.url}/arrivals", content=b"no json").status_code == 401


def test_a_body_that_is_too_large_is_refused_by_its_length(receiver: Receiver) -> None:
    connection = http.client.HTTPConnection(receiver.url.removeprefix("http://"), timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Length": str(MAX_BYTES + 1)}
    connection.request("POST", "/arrivals", headers=headers)  # not one byte of it is sent
    assert connection.getresponse().status == 413


def test_a_body_of_unknown_length_is_refused_when_it_gets_too_large(receiver: Receiver) -> None:
    chunks = (b" " * 65536 for _ in range(MAX_BYTES // 65536 + 2))
    answer = httpx.post(f"{receiver.url}/arrivals", content=chunks, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 413


@pytest.mark.parametrize("body", [b"", b"[", b"{}", b'{"Records": [{}]}', b"\x00\xff"])
def test_a_malformed_body_is_refused(receiver: Receiver, body: bytes) -> None:
    answer = httpx.post(f"{receiver.url}/arrivals", content=body, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_hostile_keys_are_named_and_not_kept(receiver: Receiver) -> None:
    answer = receiver.post(["../a.tif", "fine.tif", "a\nb.tif"])
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert [".." in reason for reason in answer.json()["refused"]] == [True, False]
    assert not [key for key in receiver.kept if ".." in key or "\n" in key]


def test_a_body_of_hundreds_of_thousands_of_bad_keys_writes_one_line(receiver: Receiver) -> None:
    before = receiver.log.stat().st_size
    answer = receiver.post([""] * 250_000)
    assert (answer.status_code, answer.json()["accepted"], answer.json()["refused_count"]) == (202, 0, 250_000)
    assert len(answer.json()["refused"]) == 20
    receiver.post([f"../{'a' * (MAX_BYTES // 2)}.tif"])
    log = receiver.log.read_text()[before:]
    assert "refused 250000 keys, the first of them: key '' is empty" in log
    assert len(log) < 2000


def test_a_key_cannot_forge_a_line_of_the_log(receiver: Receiver) -> None:
    receiver.post(["../a\n2026-01-01 INFO accepted 9 keys\x1b[2J\u202e.tif"])
    log = receiver.log.read_text()
    assert "accepted 9 keys" in log
    assert not [line for line in log.splitlines() if line.startswith("2026-01-01 INFO") or not line.isprintable()]


def test_damaged_files_of_the_spool_stop_neither_the_start_nor_the_gathering(tmp_path: Path) -> None:
    for place in ("incoming/foreign.json", "batches/foreign.json", f"incoming/{0:020}-{'0' * 16}.json"):
        (tmp_path / "spool" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "spool" / place).write_text("{}")
    running = start(tmp_path, OLDPHOTO_QUIET_SECONDS="0", OLDPHOTO_LONGEST_SECONDS="0")
    try:
        assert running.post(["good.tif"]).status_code == 202
        folder = tmp_path / "spool/batches"
        wait_until(lambda: list(folder.glob("*.json")), "a batch")
        batches = list(folder.glob("*.json"))
        health = httpx.get(f"{running.url}/health")
        assert (health.status_code, health.json()["gathering"], health.json()["damaged"]) == (200, True, 3)
        assert json.loads(batches[0].read_text())["keys"] == ["good.tif"]
    finally:
        running.kill()


def test_a_spool_that_cannot_be_gathered_is_not_called_healthy(tmp_path: Path) -> None:
    running = start(tmp_path, OLDPHOTO_QUIET_SECONDS="0", OLDPHOTO_LONGEST_SECONDS="0")
    try:
        (tmp_path / "spool/incoming").write_text("not a folder any more")
        answer = httpx.get(f"{running.url}/health")
        assert (answer.status_code, answer.json()["gathering"]) == (503, False)
        assert running.post(["a.tif"]).status_code == 503
    finally:
        running.kill()


def test_other_paths_and_methods_are_not_there(receiver: Receiver) -> None:
    assert httpx.get(f"{receiver.url}/arrivals").status_code == 405
    assert httpx.get(f"{receiver.url}/docs").status_code == 404


def test_it_listens_on_loopback_unless_told_otherwise(receiver: Receiver) -> None:
    listening = {
        each.laddr.ip
        for each in psutil.Process(receiver.process.pid).net_connections()
        if each.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_the_log_holds_no_token_and_no_body(receiver: Receiver) -> None:
    receiver.post(["../planted-in-a-body.tif"], token="planted-wrong-token-000000")
    receiver.post({"planted-in-a-body": "secret"})
    receiver.post(["logged.tif"])
    log = receiver.log.read_text()
    assert "accepted 1 keys" in log
    assert not [word for word in (TOKEN, "planted", "Bearer") if word in log]


def test_a_token_that_can_be_guessed_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short")
    arguments = [
        "--source",
        "s3://archive/scans",
        "--target",
        str(tmp_path / "new"),
        "--spool",
        str(tmp_path / "spool"),
    ]
    command = [sys.executable, "-m", "infra.receiver", *arguments, "--token-file", str(tmp_path / "token")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("receiver: the receiver's token has 5 characters")


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    spool = ArrivalSpool(tmp_path / "spool")
    dispatcher = Dispatcher(spool, Bucket(tmp_path / "restored"), PrefectEvents("s3://archive/scans"))
    yield Door(Bucket("s3://archive/scans"), spool, threading.Thread(), dispatcher)
    spool.close()


@pytest.fixture
def queue(s3_endpoint: str) -> Any:
    """A queue that S3 itself notifies, and its dead-letter queue."""
    import boto3

    client = boto3.client("sqs", endpoint_url=s3_endpoint)
    name = f"arrivals-{uuid.uuid4().hex[:8]}"
    dead = client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
    attributes = {"RedrivePolicy": policy, "VisibilityTimeout": "1"}
    return client, client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], dead


def polled(url: str, door: Door, until: Any) -> None:
    stopping = threading.Event()
    poller = threading.Thread(target=poll, args=(url, door, stopping, 1))
    poller.start()
    wait_until(until, "what is polled for")
    stopping.set()
    poller.join()


def waiting(client: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(
        int(count) for count in client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
    )


def test_messages_leave_the_queue_when_their_keys_are_on_disk(queue: Any, door: Door) -> None:
    client, url, _ = queue
    for number in range(12):
        record = {**RECORD, "s3": {"bucket": {"name": "archive"}, "object": {"key": f"scans/{number:02}.tif"}}}
        client.send_message(QueueUrl=url, MessageBody=json.dumps({"Records": [record]}))
    client.send_message(QueueUrl=url, MessageBody=json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}))
    polled(url, door, until=lambda: waiting(client, url) == 0)
    door.spool.gather(time.time() + 61)
    (batch,) = door.spool.batches()
    assert batch.keys == tuple(f"{number:02}.tif" for number in range(12))


def test_what_is_no_notification_ends_in_the_dead_letter_queue(queue: Any, door: Door) -> None:
    client, url, dead = queue
    client.send_message(QueueUrl=url, MessageBody="hello")
    polled(url, door, until=lambda: waiting(client, dead) == 1)
    assert door.spool.waiting == 0


def test_a_body_that_is_no_text_is_a_bad_message_like_any_other(door: Door) -> None:
    body = '["a.tif", "\ud800.tif"]'
    assert not _take(door, {"MessageId": "1", "Body": body})
    assert _take(door, {"MessageId": "2", "Body": json.dumps(["b.tif", "\ud800.tif"])})
    assert door.spool.waiting == 1


class Surprised(Door):
    """What nobody thought of, at every message."""

    def take(self, body: bytes) -> Any:
        raise RuntimeError("a surprise")


def test_a_surprise_leaves_the_message_in_the_queue_and_the_poller_running(
    queue: Any, door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client, url, dead = queue
    monkeypatch.setattr("infra.sqs_poller.PAUSE_SECONDS", 0.01)
    client.send_message(QueueUrl=url, MessageBody="[]")
    surprised = Surprised(door.source, door.spool, door.gatherer, door.dispatcher)
    polled(url, surprised, until=lambda: waiting(client, dead) == 1)
    assert "a surprise" in caplog.text
