"""An audit holds decisions against their history, their masks and the derivatives that they are about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import put, restore

from oldphoto_core.custody import AuditReport, audit
from oldphoto_core.errors import UsageError
from oldphoto_core.reviews.corrected import store_mask
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews, entry_key, mask_in_history, mask_of, review_key
from oldphoto_core.storage import Bucket

MASK = np.eye(40, 60, dtype=bool)


@pytest.fixture
def places(tmp_path: Path) -> tuple[Bucket, Bucket]:
    """Two photos, restored once."""
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    put(source, ["a.png", "b.png"])
    restore(source, target, model="detect")
    return source, target


@pytest.fixture
def target(places: tuple[Bucket, Bucket]) -> Bucket:
    return places[1]


def decide(target: Bucket, key: str, verdict: Any, **more: Any) -> Decision:
    seen = json.loads(target.read(f"records/{key}.json"))["derivative"]["sha256"]
    return Reviews(target).add(Decision(key=key, verdict=verdict, reviewer="Ada", seen=seen, **more))


def corrected(target: Bucket, mask: np.ndarray = MASK) -> str:
    """The sha256 of a corrected mask of `a.png`, with which that photo was sent back."""
    sha256 = store_mask(target, "a.png", mask)
    decide(target, "a.png", "redo", mask=sha256)
    return sha256


def found(report: AuditReport) -> list[tuple[str, str]]:
    return [(finding.kind, finding.key) for finding in report.findings]


def test_decisions_about_what_lies_there_are_no_strangers_and_are_counted(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    corrected(target)
    decide(target, "b.png", "accept")
    restore(source, target, model="detect", reviews=True)
    report = audit(target)
    assert report.is_clean
    assert report.decisions == 2


def test_an_altered_derivative_that_was_accepted_is_named_with_who_accepted_it(target: Bucket) -> None:
    decide(target, "a.png", "accept", note="for the exhibition")
    decide(target, "b.png", "redo")
    for key in ("a.png", "b.png"):
        target.write(f"photos/{key}", b"painted over")
    details = {finding.key: finding.detail for finding in audit(target).findings}
    assert details["photos/b.png"] == "other bytes than were written"
    assert details["photos/a.png"].startswith("other bytes than were written; accepted by Ada on 2")
    assert details["photos/a.png"].endswith(": for the exhibition")


def test_a_decision_about_a_derivative_that_another_run_replaced_is_named(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    decide(target, "a.png", "accept")
    again = restore(source, target, model="invert", existing="overwrite")
    finding = audit(target).findings[0]
    assert (finding.kind, finding.key) == ("mismatched", entry_key("a.png", 1))
    assert f"run {again['run_id']} made another one since" in finding.detail


def test_a_decision_about_a_derivative_that_is_gone_is_named(target: Bucket) -> None:
    decide(target, "a.png", "accept")
    for key in ("photos/a.png", "masks/a.png.png", "records/a.png.json"):
        target.delete(key)
    assert ("mismatched", entry_key("a.png", 1)) in found(audit(target))


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"schema": "oldphoto-review/1", "key": "a.png"}'])
def test_a_malformed_decision_is_named(target: Bucket, data: bytes) -> None:
    decide(target, "a.png", "accept")
    target.write(entry_key("a.png", 1), data)
    assert found(audit(target)) == [("altered", entry_key("a.png", 1))]


def test_a_decision_that_is_gone_is_named(target: Bucket) -> None:
    decide(target, "a.png", "redo")
    decide(target, "a.png", "accept")
    target.delete(entry_key("a.png", 1))
    assert found(audit(target)) == [("missing", entry_key("a.png", 1))]


def test_a_corrected_mask_of_another_size_is_named(target: Bucket) -> None:
    sha256 = corrected(target, np.ones((30, 30), bool))
    report = audit(target)
    assert found(report) == [("mismatched", mask_in_history("a.png", sha256))]
    assert report.findings[0].detail == "it has 30 x 30 pixels, its photo 60 x 40: correct the mask again"


def test_corrected_masks_that_were_altered_or_removed_are_named(target: Bucket) -> None:
    place = mask_in_history("a.png", corrected(target))
    target.write(place, b"no mask")
    target.write(mask_of("a.png"), b"painted by another program")
    assert found(audit(target)) == [("altered", place), ("altered", mask_of("a.png"))]
    target.delete(place)
    target.delete(mask_of("a.png"))
    assert found(audit(target)) == [("missing", place), ("missing", mask_of("a.png"))]


def test_a_summary_that_does_not_say_what_the_history_says_is_named(target: Bucket) -> None:
    decide(target, "a.png", "reject")
    text = target.read(review_key("a.png")).decode()
    target.write(review_key("a.png"), text.replace("reject", "accept").encode())
    assert found(audit(target)) == [("altered", review_key("a.png"))]
    target.delete(review_key("a.png"))
    assert found(audit(target)) == [("missing", review_key("a.png"))]


def test_what_is_neither_decision_nor_mask_is_named(target: Bucket) -> None:
    decide(target, "a.png", "accept")
    guests = ["reviews/notes.txt", review_key("b.png"), mask_of("b.png"), "reviews/history/a.png/1.json"]
    for key in guests:
        target.write(key, b"{}")
    assert sorted(found(audit(target))) == sorted(("extra", key) for key in guests)


def test_a_report_is_not_written_among_the_decisions(target: Bucket) -> None:
    with pytest.raises(UsageError, match="which is audited"):
        audit(target, out=target.join("reviews"))
