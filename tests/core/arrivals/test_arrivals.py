"""Notifications read, gathered on disk and handed on: nothing is lost, whoever is killed."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from oldphoto_core.arrivals import (
    ArrivalSpool,
    BadNotification,
    Batch,
    Dispatcher,
    Gathering,
    OrchestratorAway,
    read_notification,
    sort_arrivals,
)
from oldphoto_core.errors import ConfigError, StorageError, UsageError
from oldphoto_core.storage import Bucket, read_key_list

SOURCE = Bucket("s3://archive/scans")


def s3_record(key: str, event: str = "ObjectCreated:Put", bucket: str = "archive") -> dict[str, Any]:
    """As in https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html."""
    thing = {"bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": {"key": key, "size": 1024}}
    return {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": event, "s3": thing}


def eventbridge(key: str, kind: str = "Object Created", bucket: str = "archive") -> dict[str, Any]:
    """As in https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html."""
    detail = {"version": "0", "bucket": {"name": bucket}, "object": {"key": key, "size": 1024}, "reason": "PutObject"}
    return {"version": "0", "detail-type": kind, "source": "aws.s3", "account": "123456789012", "detail": detail}


def minio(key: str) -> dict[str, Any]:
    """As MinIO's webhook posts it."""
    records = [s3_record(key, "s3:ObjectCreated:CompleteMultipartUpload")]
    return {"EventName": "s3:ObjectCreated:CompleteMultipartUpload", "Key": f"archive/{key}", "Records": records}


def keys_of(message: Any, source: Bucket = SOURCE) -> list[str]:
    return sort_arrivals(read_notification(json.dumps(message).encode()), source).keys


@pytest.mark.parametrize(
    "message",
    [
        {"Records": [s3_record("scans/Z%C3%BCrich+1900%2B.tif")]},
        eventbridge("scans/Zürich 1900+.tif"),
        minio("scans/Z%C3%BCrich+1900%2B.tif"),
        {"Type": "Notification", "Message": json.dumps({"Records": [s3_record("scans/Z%C3%BCrich+1900%2B.tif")]})},
        ["Zürich 1900+.tif"],
        {"keys": ["Zürich 1900+.tif"]},
    ],
    ids=["S3", "EventBridge", "MinIO", "S3 through SNS", "list", "keys"],
)
def test_every_kind_of_notification_names_the_same_key(message: Any) -> None:
    assert keys_of(message) == ["Zürich 1900+.tif"]


@pytest.mark.parametrize(
    "message",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "archive"},
        {"Records": [s3_record("scans/a.tif", "ObjectRemoved:Delete")]},
        eventbridge("scans/a.tif", "Object Deleted"),
        {"Records": [s3_record("scans/a.tif", bucket="another")]},
        {"Records": [s3_record("scans-of-others/a.tif")]},
        eventbridge("a.tif"),
        eventbridge("scans/notes.txt"),
        [],
    ],
    ids=["test event", "removed", "deleted", "another bucket", "another folder", "above", "no image", "empty list"],
)
def test_what_is_no_photo_of_the_collection_starts_nothing(message: Any) -> None:
    assert keys_of(message) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"scans/a.tif",
        b'"a.tif"',
        b"{}",
        b"[1]",
        b'{"keys": "a.tif"',
        b'{"keys": 7}',
        b'{"Records": [{}]}',
        b'{"Records": 7}',
        b'{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": 7}, "object": {"key": "a"}}}]}',
        b'{"detail-type": "Object Created", "detail": {"bucket": {"name": "archive"}, "object": {"key": ["a"]}}}',
        b'{"Type": "Notification", "Message": "no json"}',
        b'{"Type": "Notification", "Message": "{\\"Type\\": \\"Notification\\", \\"Message\\": \\"{}\\"}"}',
        b"[" * 100_000,
    ],
    ids=lambda body: body[:40],
)
def test_a_body_that_is_no_notification_is_refused(body: bytes) -> None:
    with pytest.raises(BadNotification):
        read_notification(body)


@pytest.mark.parametrize(
    "key", ["scans/../../etc/a.png", "scans/%2E%2E/%2e%2e/a.png", "/scans/a.png", "scans/a%0Ab.png", "scans/%ff.png"]
)
def test_hostile_keys_are_refused_and_the_others_are_taken(key: str) -> None:
    body = json.dumps({"Records": [s3_record("scans/a.png"), s3_record(key), s3_record("scans/b.png")]}).encode()
    found = sort_arrivals(read_notification(body), SOURCE)
    assert (found.keys, len(found.refused)) == (["a.png", "b.png"], 1)
    assert "\n" not in found.refused[0]


def test_a_key_is_decoded_once_and_only_where_it_was_encoded() -> None:
    assert keys_of({"Records": [s3_record("scans/%252e%252e%252fa.png")]}) == ["%2e%2e%2fa.png"]
    assert keys_of(eventbridge("scans/%2e%2e%2fa.png")) == ["%2e%2e%2fa.png"]


def test_a_whole_bucket_may_be_the_collection() -> None:
    assert keys_of(eventbridge("a.png"), Bucket("s3://archive")) == ["a.png"]


def test_a_plain_list_is_about_any_kind_of_collection(tmp_path: Path) -> None:
    assert keys_of(["a.png", "a.png", "b.png"], Bucket(tmp_path)) == ["a.png", "b.png"]
    assert keys_of(eventbridge("a.png", bucket=tmp_path.name), Bucket(tmp_path)) == []
    assert keys_of(eventbridge("a.png", bucket=""), Bucket(tmp_path)) == []


def test_a_burst_is_over_when_it_is_quiet_or_long_enough() -> None:
    gathering = Gathering(quiet_seconds=60, longest_seconds=900)
    assert not gathering.is_over(first=1000, last=1000, now=1059)
    assert gathering.is_over(first=1000, last=1000, now=1060)
    assert not gathering.is_over(first=1000, last=1890, now=1899)
    assert gathering.is_over(first=1000, last=1890, now=1900)
    assert gathering.is_over(first=1000, last=1000, now=400), "the clock was set back"


@pytest.mark.parametrize("wrong", [{"quiet_seconds": -1}, {"quiet_seconds": 60, "longest_seconds": 9}, {"max_keys": 0}])
def test_nonsense_about_gathering_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Gathering(**wrong)  # type: ignore[arg-type]


def test_a_burst_becomes_one_batch_without_repetitions(tmp_path: Path) -> None:
    spool = ArrivalSpool(tmp_path)
    for keys in (["b.png", "a.png"], ["a.png"], [], ["c.png"]):
        spool.accept(keys)
    assert spool.waiting == 3
    spool.gather(time.time())
    assert spool.batches() == []
    spool.gather(time.time() + 61)
    (batch,) = spool.batches()
    assert (batch.keys, len(batch.of)) == (("a.png", "b.png", "c.png"), 3)
    spool.settle(batch)
    assert spool.waiting == 0


def test_a_large_burst_becomes_several_batches(tmp_path: Path) -> None:
    spool = ArrivalSpool(tmp_path, Gathering(max_keys=2))
    for number in range(5):
        spool.accept([f"{number}.png"])
    spool.gather(time.time() + 61)
    assert [len(batch.keys) for batch in spool.batches()] == [2, 2, 1]


def test_one_process_gathers_in_a_spool(tmp_path: Path) -> None:
    spool = ArrivalSpool(tmp_path)
    with pytest.raises(UsageError, match="another process gathers"):
        ArrivalSpool(tmp_path)
    spool.close()
    ArrivalSpool(tmp_path).close()


def test_a_kill_between_batch_and_clean_up_gathers_nothing_twice(tmp_path: Path) -> None:
    spool = ArrivalSpool(tmp_path)
    spool.accept(["a.png"])
    (notification,) = (tmp_path / "incoming").iterdir()
    content = notification.read_bytes()
    spool.gather(time.time() + 61)
    (before,) = spool.batches()
    spool.close()
    notification.write_bytes(content)  # as if the kill had come before it was removed
    again = ArrivalSpool(tmp_path)
    again.gather(time.time() + 61)
    assert again.batches() == [before]


ACCEPTING = """
import sys
from pathlib import Path
from oldphoto_core.arrivals import ArrivalSpool, Gathering
spool = ArrivalSpool(Path(sys.argv[1]), Gathering(quiet_seconds=0))
number = 0
while True:
    spool.accept([f"{number:05}.png"])
    print(number, flush=True)
    if number % 5 == 4:
        spool.gather(9e9)
    number += 1
"""


def test_what_was_accepted_outlives_a_kill_at_any_moment(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ACCEPTING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(23):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    answered = 23 + len(process.communicate()[0].split())
    spool = ArrivalSpool(tmp_path, Gathering(quiet_seconds=0))
    spool.gather(9e9)
    kept = [key for batch in spool.batches() for key in batch.keys]
    assert kept[:answered] == [f"{number:05}.png" for number in range(answered)]
    assert len(kept) == len(set(kept)) <= answered + 1


class Memory:
    """An orchestrator that may be away, or forget what it was told."""

    def __init__(self) -> None:
        self.away = self.forgets = False
        self.told: list[str] = []
        self.runs: set[str] = set()

    def announce(self, batch: Batch, place: str) -> None:
        if self.away:
            raise OrchestratorAway("nobody answers")
        self.told.append(place)
        if not self.forgets:
            self.runs.add(place)

    def taken(self, since: float) -> set[str]:
        if self.away:
            raise OrchestratorAway("nobody answers")
        return self.runs


@pytest.fixture
def late() -> float:
    return time.time() + 61


def test_a_batch_is_announced_once_and_settled_when_a_run_has_it(tmp_path: Path, late: float) -> None:
    spool, target, orchestrator = ArrivalSpool(tmp_path / "spool"), Bucket(tmp_path / "new"), Memory()
    dispatcher = Dispatcher(spool, target, orchestrator)
    spool.accept(["a.png", "b.png"])
    for second in range(3):
        dispatcher.step(late + second)
    (place,) = orchestrator.told
    assert read_key_list(place) == ["a.png", "b.png"]
    assert place.startswith(f"{target.url}/arrivals/")
    assert spool.waiting == 0


def test_an_announcement_that_was_lost_is_made_again(tmp_path: Path, late: float) -> None:
    spool, orchestrator = ArrivalSpool(tmp_path / "spool"), Memory()
    dispatcher = Dispatcher(spool, Bucket(tmp_path / "new"), orchestrator, again_seconds=120)
    orchestrator.forgets = True
    spool.accept(["a.png"])
    for second in (0, 1, 119):
        dispatcher.step(late + second)
    assert len(orchestrator.told) == 1
    orchestrator.forgets = False
    dispatcher.step(late + 120)
    dispatcher.step(late + 121)
    assert (len(orchestrator.told), len(set(orchestrator.told)), spool.waiting) == (2, 1, 0)


def test_a_server_that_is_away_loses_nothing(tmp_path: Path, late: float, caplog: pytest.LogCaptureFixture) -> None:
    spool, orchestrator = ArrivalSpool(tmp_path / "spool"), Memory()
    dispatcher = Dispatcher(spool, Bucket(tmp_path / "new"), orchestrator)
    spool.accept(["a.png"])
    orchestrator.away = True
    dispatcher.step(late)
    assert "nobody answers; nothing is lost" in caplog.text
    orchestrator.away = False
    dispatcher.step(late + 1)
    dispatcher.step(late + 2)
    assert (len(orchestrator.told), spool.waiting) == (1, 0)


def test_a_dispatcher_that_was_killed_goes_on_where_it_was(tmp_path: Path, late: float) -> None:
    orchestrator = Memory()
    for _ in range(2):
        spool = ArrivalSpool(tmp_path / "spool")
        dispatcher = Dispatcher(spool, Bucket(tmp_path / "new"), orchestrator)
        if not orchestrator.told:
            spool.accept(["a.png"])
        dispatcher.step(late)
        spool.close()
    assert (len(orchestrator.told), spool.waiting) == (1, 0)


DAMAGED = {
    "empty": b"",
    "an object": b"{}",
    "no strings": b"[1]",
    "no keys": b"[]",
    "nested": b"[" * 100_000,
    "not UTF-8": b'["\xff.png"]',
    "unsafe key": b'["../a.png"]',
    "lone surrogate": b'["\\ud800.png"]',
}
GOOD_NAME, BATCH_NAME = f"{1:020}-{'a' * 16}.json", f"19700101-000000-{'a' * 12}.json"


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("place", [f"incoming/{GOOD_NAME}", f"batches/{BATCH_NAME}"], ids=["incoming", "batches"])
def test_a_damaged_file_is_put_aside_and_the_others_go_on(tmp_path: Path, place: str, content: bytes) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes(content)
    spool = ArrivalSpool(tmp_path)
    spool.accept(["a.png"])
    spool.gather(time.time() + 61)
    assert [batch.keys for batch in spool.batches()] == [("a.png",)]
    (aside,) = (tmp_path / "quarantine").iterdir()
    assert (aside.read_bytes(), spool.damaged, spool.waiting) == (content, 1, 1)


def batch_file(**changed: Any) -> bytes:
    return json.dumps({"keys": ["a.png"], "since": 1.0, "of": [GOOD_NAME]} | changed).encode()


@pytest.mark.parametrize(
    "changed", [{"since": "1"}, {"since": float("nan")}, {"since": 1e300}, {"of": 7}, {"of": [7]}, {"keys": "a.png"}]
)
def test_a_batch_with_odd_values_is_put_aside(tmp_path: Path, changed: dict[str, Any]) -> None:
    (tmp_path / "batches").mkdir()
    (tmp_path / "batches" / BATCH_NAME).write_bytes(batch_file(**changed))
    spool = ArrivalSpool(tmp_path)
    assert (spool.batches(), spool.damaged) == ([], 1)


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "dangling link", "foreign name"])
@pytest.mark.parametrize("folder", ["incoming", "batches"])
def test_what_is_no_file_of_a_spool_is_put_aside(tmp_path: Path, kind: str, folder: str) -> None:
    spool_folder = tmp_path / "spool"
    (spool_folder / folder).mkdir(parents=True)
    path = spool_folder / folder / (GOOD_NAME if folder == "incoming" else BATCH_NAME)
    (tmp_path / "elsewhere").write_bytes(b'["a.png"]' if folder == "incoming" else batch_file())
    if kind == "folder":
        (path / "inside").mkdir(parents=True)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "foreign name":
        (path.parent / "x\n\x1b[2J.json").write_bytes(b"[]")
    else:
        path.symlink_to(tmp_path / ("elsewhere" if kind == "link" else "nowhere"))
    spool = ArrivalSpool(spool_folder)
    spool.accept(["b.png"])
    spool.gather(time.time() + 61)
    assert ([batch.keys for batch in spool.batches()], spool.damaged) == ([("b.png",)], 1)


def test_a_shortage_of_this_process_is_no_damage(tmp_path: Path) -> None:
    spool = ArrivalSpool(tmp_path)
    spool.accept(["a.png"])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(StorageError):
            spool.gather(time.time() + 61)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    spool.gather(time.time() + 61)
    assert ([batch.keys for batch in spool.batches()], spool.damaged) == ([("a.png",)], 0)


def test_a_surprise_does_not_end_the_gathering(tmp_path: Path, late: float, caplog: pytest.LogCaptureFixture) -> None:
    class Surprised(Memory):
        def announce(self, batch: Batch, place: str) -> None:
            raise RuntimeError("a surprise")

    spool = ArrivalSpool(tmp_path / "spool")
    dispatcher = Dispatcher(spool, Bucket(tmp_path / "new"), Surprised())
    spool.accept(["a.png"])
    for second in range(50):
        dispatcher.step(late + second)
    assert (dispatcher.gathers, dispatcher.announces, spool.waiting) == (True, False, 1)
    assert caplog.text.count("a surprise") == 1, "the same line once a minute"


def test_a_place_that_cannot_be_a_spool_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(UsageError, match="cannot be a spool"):
        ArrivalSpool(tmp_path)


def test_of_many_refused_keys_the_first_are_named_and_all_are_counted() -> None:
    found = sort_arrivals(read_notification(json.dumps([""] * 1000 + ["a.png"]).encode()), SOURCE)
    assert (len(found.refused), found.refused_count, found.keys) == (20, 1000, ["a.png"])


def test_a_refused_key_is_named_by_its_start() -> None:
    found = sort_arrivals(read_notification(json.dumps(["../" + "a" * 10**6]).encode()), SOURCE)
    assert len(found.refused[0]) < 300
