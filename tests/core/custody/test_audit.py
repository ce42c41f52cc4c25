"""What lies in a target is held against what was recorded of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pandas as pd
import pytest
from runs import contents, copied, put, restore

from oldphoto_core.custody import AuditReport, audit
from oldphoto_core.errors import SourceMissing, UsageError
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.parallel import map_objects

KEYS = ["a.jpg", "box/b.png", "c.tif"]


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bucket, Bucket]:
    """A restored collection, source and target, which no test touches."""
    folder = tmp_path_factory.mktemp("restored")
    source, target = Bucket(folder / "old"), Bucket(folder / "new")
    put(source, KEYS)
    restore(source, target)
    return source, target


@pytest.fixture
def target(restored: tuple[Bucket, Bucket], tmp_path: Path) -> Bucket:
    """A copy of its target."""
    return copied(restored[1], Bucket(tmp_path / "new"))


def found(report: AuditReport) -> list[tuple[str, str]]:
    return [(finding.kind, finding.key) for finding in report.findings]


def test_an_untouched_target_is_clean(restored: tuple[Bucket, Bucket], bucket_url: str) -> None:
    target = copied(restored[1], Bucket(bucket_url))
    before = contents(target)
    report = audit(target)
    assert report.is_clean
    assert (report.derivatives, report.masks, report.records) == (3, 3, 3)
    sizes = [len(data) for key, data in before.items() if key.startswith(("photos/", "masks/"))]
    assert report.bytes_read == sum(sizes)
    assert contents(target) == before


def test_what_is_missing_altered_or_extra_is_named(restored: tuple[Bucket, Bucket], bucket_url: str) -> None:
    target = copied(restored[1], Bucket(bucket_url))
    target.delete("photos/a.jpg")
    target.write("photos/box/b.png", target.read("photos/box/b.png") + b"one byte more")
    target.write("photos/guest.jpg", b"from elsewhere")
    target.write("masks/c.tif.png", b"painted over")
    target.delete("masks/a.jpg.png")
    target.write("records/notes.txt", b"no record")
    report = audit(target)
    assert found(report) == [
        ("missing", "masks/a.jpg.png"),
        ("altered", "masks/c.tif.png"),
        ("missing", "photos/a.jpg"),
        ("altered", "photos/box/b.png"),
        ("extra", "photos/guest.jpg"),
        ("extra", "records/notes.txt"),
    ]
    assert report.counts == {"missing": 2, "altered": 2, "extra": 2, "unreadable": 0, "unfinished": 0, "mismatched": 0}
    altered = report.findings[3]
    assert altered.run_id == next(target.folders("runs"))
    assert altered.found_sha256 == target.sha256("photos/box/b.png") != altered.expected_sha256


def test_one_flipped_bit_is_enough(target: Bucket) -> None:
    data = bytearray(target.read("photos/c.tif"))
    data[len(data) // 2] ^= 1
    target.write("photos/c.tif", bytes(data))
    assert found(audit(target)) == [("altered", "photos/c.tif")]


def test_a_record_that_was_edited_is_found_by_the_ledger(target: Bucket) -> None:
    target.write("photos/a.jpg", b"a forgery")
    record = json.loads(target.read("records/a.jpg.json"))
    record["derivative"]["sha256"] = target.sha256("photos/a.jpg")
    target.write("records/a.jpg.json", json.dumps(record).encode())
    (finding,) = audit(target).findings
    assert (finding.kind, finding.key) == ("altered", "records/a.jpg.json")
    assert "ledger" in finding.detail


def test_without_its_record_a_derivative_is_held_against_the_ledger(target: Bucket) -> None:
    target.delete("records/a.jpg.json")
    target.write("records/box/b.png.json", b"{}")
    assert found(audit(target)) == [("extra", "masks/a.jpg.png"), ("altered", "records/box/b.png.json")]
    target.write("photos/a.jpg", b"other bytes")
    assert ("altered", "photos/a.jpg") in found(audit(target))


def test_derivatives_of_another_format_are_audited_beside_the_first(
    restored: tuple[Bucket, Bucket], target: Bucket
) -> None:
    restore(restored[0], target, format="tiff")
    report = audit(target)
    assert report.is_clean
    assert (report.derivatives, report.masks) == (6, 3)
    target.delete("photos/a.jpg")
    assert found(audit(target)) == [("missing", "photos/a.jpg")]


def test_copied_originals_are_audited_too(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    put(source, ["a.jpg"])
    source.write("b.jpg", b"no photo")
    restore(source, target, on_failure="copy")
    assert audit(target).is_clean
    target.write("photos/b.jpg", b"neither")
    assert found(audit(target)) == [("altered", "photos/b.jpg")]


def test_masks_of_older_records_are_counted_as_not_compared(target: Bucket) -> None:
    record = json.loads(target.read("records/a.jpg.json"))
    del record["mask_file"]
    target.write("records/a.jpg.json", json.dumps(record).encode())
    report = audit(target)
    assert report.is_clean
    assert (report.masks, report.masks_not_recorded) == (2, 1)
    target.delete("masks/a.jpg.png")
    assert found(audit(target)) == [("missing", "masks/a.jpg.png")]


def test_a_run_that_was_killed_before_it_replaced_a_derivative_is_told_from_damage(
    restored: tuple[Bucket, Bucket], target: Bucket, tmp_path: Path
) -> None:
    source = copied(restored[0], Bucket(tmp_path / "old"))
    put(source, ["a.jpg"], first=9)
    first = next(target.folders("runs"))
    before = target.read("photos/a.jpg")
    restore(source, target)
    # as a kill between the new record and the new derivative leaves it
    second = sorted(target.folders("runs"))[1]
    for key in [info.key for info in target.list(f"runs/{second}")]:
        target.delete(key)
    target.write("photos/a.jpg", before)
    finding = next(each for each in audit(target).findings if each.key == "photos/a.jpg")
    assert finding.run_id == second
    assert f"still what run {first} wrote" in finding.detail


def test_the_report_is_written_where_it_is_wanted(target: Bucket, tmp_path: Path) -> None:
    target.delete("photos/a.jpg")
    report = audit(target, out=Bucket(tmp_path / "report"))
    written = json.loads((tmp_path / "report/audit.json").read_text())
    assert written == report.as_dict()
    assert written["counts"]["missing"] == 1
    table = pd.read_csv(tmp_path / "report/audit.csv")
    assert list(table["key"]) == ["photos/a.jpg"]
    assert list(table["kind"]) == ["missing"]


def test_places_that_cannot_work_are_refused(restored: tuple[Bucket, Bucket], target: Bucket) -> None:
    with pytest.raises(SourceMissing, match="holds no run"):
        audit(restored[0])
    with pytest.raises(UsageError, match="is audited"):
        audit(target, out=target.join("photos", "reports"))


def test_a_report_is_never_written_among_masters_not_through_a_link_either(
    restored: tuple[Bucket, Bucket], target: Bucket, tmp_path: Path
) -> None:
    source = restored[0]
    before = [info.key for info in source.list()]
    (tmp_path / "reports").symlink_to(source.url)
    for out in (source, source.join("reports"), Bucket(tmp_path / "reports")):
        with pytest.raises(UsageError, match="where the masters are"):
            audit(target, out=out)
    assert [info.key for info in source.list()] == before


def test_an_object_that_cannot_be_read_is_one_finding(target: Bucket, tmp_path: Path) -> None:
    (tmp_path / "new/photos/a.jpg").unlink()
    (tmp_path / "new/photos/a.jpg").symlink_to("/proc/self/mem")
    report = audit(target)
    assert report.derivatives == 2
    (finding,) = report.findings
    assert finding.key == "photos/a.jpg"


def test_progress_ends_at_the_number_of_records(target: Bucket) -> None:
    heard: list[tuple[int, int]] = []
    audit(target, lambda done, total: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_many_objects_are_in_work_at_once_and_few_wait_to_be_taken() -> None:
    begun: list[int] = []
    together = threading.Barrier(4, timeout=30)

    def do(number: int) -> int:
        begun.append(number)
        if number < 4:
            together.wait()
        return number

    results = map_objects(do, range(1000), threads=4)
    assert next(results) == 0
    assert len(begun) <= 4 * 4 + 4
    assert list(results) == list(range(1, 1000))


def test_what_one_object_raises_ends_the_rest() -> None:
    done: list[int] = []

    def do(number: int) -> None:
        if number == 5:
            raise SourceMissing("gone")
        done.append(number)

    with pytest.raises(SourceMissing):
        list(map_objects(do, range(1000), threads=2))
    assert len(done) < 50
