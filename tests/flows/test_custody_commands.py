"""`oldphoto audit` and `oldphoto rollback`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import contents, put, restore

from oldphoto_core.errors import AuditFailed
from oldphoto_core.storage import Bucket


@pytest.fixture
def target(tmp_path: Path) -> Bucket:
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    put(source, ["a.jpg", "b.png"])
    restore(source, target)
    return target


def test_a_clean_target_ends_with_0_and_findings_with_3(prefect_server: str, target: Bucket, oldphoto) -> None:
    ended = oldphoto("audit", target.url)
    assert ended.code == 0, ended.err
    assert "2 derivatives and 2 masks are as recorded" in ended.out
    assert "0 missing, 0 altered, 0 extra, 0 unreadable, 0 unfinished, 0 mismatched" in ended.out
    target.delete("photos/a.jpg")
    target.write("photos/b.png", b"altered")
    ended = oldphoto("audit", target.url, "--out", target.join("audits").url)
    assert ended.code == 3, ended.err
    rows = [line.split()[:2] for line in ended.out.splitlines()]
    assert ["missing", "photos/a.jpg"] in rows
    assert ["altered", "photos/b.png"] in rows
    written = json.loads(target.read("audits/audit.json"))
    assert written["counts"] == {
        "missing": 1,
        "altered": 1,
        "extra": 0,
        "unreadable": 0,
        "unfinished": 0,
        "mismatched": 0,
    }


def test_the_findings_are_a_table_in_prefect_and_fail_a_flow_that_asks_for_it(
    prefect_server: str, target: Bucket
) -> None:
    from prefect.artifacts import Artifact

    from flows.audit import audit

    target.delete("photos/a.jpg")
    with pytest.raises(AuditFailed, match=r"1 findings in .*; the first is photos/a\.jpg: missing"):
        audit(target.url, fail_on_findings=True)
    artifact = Artifact.get("audit")
    assert artifact is not None
    assert [(row["key"], row["finding"]) for row in json.loads(str(artifact.data))] == [("photos/a.jpg", "missing")]


def test_wrong_places_are_refused_before_a_server_is_started(target: Bucket, oldphoto, tmp_path: Path) -> None:
    ended = oldphoto("audit", tmp_path / "old")
    assert ended.code == 1
    assert "holds no run of oldphoto" in ended.err
    ended = oldphoto("audit", target.url, "--out", target.join("photos").url)
    assert ended.code == 2
    assert "is audited" in ended.err


def test_a_run_is_listed_then_removed_then_nothing_is_left_to_do(target: Bucket, oldphoto) -> None:
    (run_id,) = target.folders("runs")
    before = contents(target)
    ended = oldphoto("rollback", target.url, run_id, "--check")
    assert ended.code == 0, ended.err
    assert ["removed", "photos/a.jpg"] in [line.split() for line in ended.out.splitlines()]
    assert "2 photos, 2 masks, 2 records to be removed; nothing was done" in ended.out
    assert contents(target) == before
    ended = oldphoto("rollback", target.url, run_id)
    assert ended.code == 0, ended.err
    assert f"run {run_id}: 2 photos, 2 masks, 2 records removed" in ended.out
    assert all(key.startswith("runs/") for key in contents(target))
    ended = oldphoto("rollback", target.url, run_id)
    assert ended.code == 0, ended.err
    assert "was rolled back already" in ended.out


def test_what_was_altered_is_listed_and_left_only_when_asked(target: Bucket, oldphoto) -> None:
    (run_id,) = target.folders("runs")
    target.write("photos/a.jpg", b"retouched")
    ended = oldphoto("rollback", target.url, run_id)
    assert ended.code == 1
    assert ["altered", "photos/a.jpg"] in [line.split()[:2] for line in ended.out.splitlines()]
    assert "nothing was removed" in ended.err
    ended = oldphoto("rollback", target.url, run_id, "--leave-altered")
    assert ended.code == 0, ended.err
    assert "1 photos, 2 masks, 2 records removed, 1 altered" in ended.out
    assert target.read("photos/a.jpg") == b"retouched"


def test_a_run_that_does_not_exist_is_wrong_usage(target: Bucket, oldphoto) -> None:
    ended = oldphoto("rollback", target.url, "20260101-000000-0000")
    assert ended.code == 2
    assert "has no run '20260101-000000-0000'; it has: " in ended.err
