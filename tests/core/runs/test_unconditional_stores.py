"""Targets where nothing can be created only if it is absent: runs go on without that, and say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from drives import exfat_drive
from runs import put, restore
from storms import Request, storm_before

from oldphoto_core.custody import audit
from oldphoto_core.doctor.places import place
from oldphoto_core.errors import NoConditions
from oldphoto_core.runs.run_lock import sole_coordinator
from oldphoto_core.runs.shard_store import ShardLease
from oldphoto_core.storage import Bucket

ANSWERS = [(501, "NotImplemented"), (501, "XNotImplemented"), (405, "MethodNotAllowed"), (400, "NotImplemented")]
ANSWERS += [(400, "InvalidArgument")]


def has_condition(request: Request) -> bool:
    return any(name.lower() == "if-none-match" for name in request.headers)


@contextmanager
def drive(folder: Path) -> Iterator[Bucket]:
    with exfat_drive(folder) as place:
        yield Bucket(place / "restored")


@pytest.fixture(params=["drive", *ANSWERS], ids=str)
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An exFAT drive, and S3 stores that refuse the condition in words of their own."""
    if request.param == "drive":
        with drive(tmp_path) as bucket:
            yield bucket
        return
    url = request.getfixturevalue("s3_bucket_url")
    with storm_before(request.getfixturevalue("s3_endpoint")) as (storm, endpoint):
        storm.refuse(has_condition, *request.param)
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        yield Bucket(url)


def test_a_run_goes_on_without_the_condition_and_says_so_once(target: Bucket, tmp_path: Path) -> None:
    source, said = Bucket(tmp_path / "scans"), list[str]()
    put(source, ["a.jpg", "box/b.png"])
    with sole_coordinator(target.url, said.append) as check:
        check()
        assert restore(source, target)["restored"] == 2
        check()
    assert len(said) == 1
    assert "nobody keeps a second run out" in said[0]
    assert audit(target).is_clean


def test_a_shard_is_restored_without_a_lease(target: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    with ShardLease(target, 3) as lease:
        lease.check()
    assert "nobody keeps a second process" in caplog.text


def test_the_doctor_tells_of_it(target: Bucket) -> None:
    found = {finding.name: finding for finding in place(target.url, write=True)}
    assert found["write"].state == "ok"
    assert found["conditional write"].state == "note"
    assert list(target.list()) == []


def test_nothing_is_created_on_a_condition_that_nobody_keeps(target: Bucket) -> None:
    with pytest.raises(NoConditions):
        target.create("a", b"1")
    assert target.info("a") is None


def test_the_doctor_finds_conditions_where_there_are_some(bucket_url: str) -> None:
    (found,) = [each for each in place(bucket_url, write=True) if each.name == "conditional write"]
    assert found.state == "ok"
    assert list(Bucket(bucket_url).list()) == []
