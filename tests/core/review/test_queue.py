"""The queue of a target: most doubtful first, in pages, with what was decided about each photo."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from fakes import encoded, picture, scratched
from runs import put, restore

from oldphoto_core.desk.queue import Queue
from oldphoto_core.errors import SourceMissing
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, merge_ledger


def run_of(target: Bucket, *rows: dict[str, Any], run_id: str = "20260101-000000-0000") -> Bucket:
    """A run whose ledger holds these rows."""
    run = target.join("runs", run_id)
    with LedgerWriter(run, "rows", every_rows=10**6) as ledger:
        for number, row in enumerate(rows):
            made = {"status": "restored", "output": f"photos/{row['key']}", "output_sha256": f"{number:064x}"}
            ledger.add(LedgerRow(**{"version": "1", **(made if "status" not in row else {}), **row}))
    merge_ledger(run)
    return run


def keys(page: dict[str, Any]) -> list[str]:
    return [row["key"] for row in page["rows"]]


def decided(queue: Queue, key: str, verdict: Any) -> None:
    decision = Decision(key=key, verdict=verdict, reviewer="Ada", seen=queue.photo(key).output_sha256)
    queue.note(queue.reviews.add(decision))


def test_the_most_doubtful_come_first(tmp_path: Path) -> None:
    target = Bucket(tmp_path)
    run_of(
        target,
        {"key": "fine.png", "doubt": 0.0, "mask_coverage": 0.01, "changed_share": 0.9},
        {"key": "doubted.png", "doubt": 0.6, "mask_coverage": 0.01},
        {"key": "large.png", "doubt": 0.0, "mask_coverage": 0.2},
        {"key": "toned.png", "tone_warning": "blotch 3.1"},
        {"key": "lost.png", "status": "failed", "reason": "too damaged"},
        {"key": "cut.png", "status": "failed", "reason": "truncated"},
    )
    queue = Queue(target)
    page = queue.page()
    assert keys(page) == ["lost.png", "doubted.png", "large.png", "toned.png", "fine.png", "cut.png"]
    assert keys(queue.page("warnings")) == ["toned.png"]
    assert keys(queue.page("failed")) == ["lost.png", "cut.png"]
    assert keys(queue.page("all", "D")) == ["doubted.png", "toned.png"]
    assert page["counts"]["open"] == 6


def test_pages_go_on_behind_the_last_key_also_when_it_was_decided_about_meanwhile(tmp_path: Path) -> None:
    target = Bucket(tmp_path)
    run_of(target, *({"key": f"{number:02d}.png", "doubt": 1 - number / 100} for number in range(25)))
    queue = Queue(target)
    first = queue.page(limit=10)
    assert (keys(first)[-1], first["next"], first["found"]) == ("09.png", "09.png", 25)
    for key in keys(first):
        decided(queue, key, "accept")
    second = queue.page(after=first["next"], limit=10)
    assert (keys(second)[0], second["found"]) == ("10.png", 15)
    assert queue.page(after=second["next"], limit=10)["next"] == ""
    assert keys(queue.page("accepted", limit=99)) == keys(first)


def test_a_photo_that_was_sent_back_is_open_again_once_it_was_restored_anew(tmp_path: Path) -> None:
    target = Bucket(tmp_path)
    run_of(target, {"key": "a.png"}, {"key": "b.png"})
    queue = Queue(target)
    decided(queue, "a.png", "redo")
    assert keys(queue.page("sent back")) == ["a.png"]
    run_of(target, {"key": "a.png", "output_sha256": "f" * 64}, run_id="20260102-000000-0000")
    queue.refresh()
    assert queue.page()["counts"] | {"sent back": 0, "open": 2} == queue.page()["counts"]


def test_decisions_of_another_server_show_after_a_while(tmp_path: Path) -> None:
    target = Bucket(tmp_path)
    run_of(target, {"key": "a.png"})
    time = [0.0]
    mine, other = Queue(target, clock=lambda: time[0]), Queue(target)
    decided(other, "a.png", "reject")
    mine.refresh(at_once=False)
    assert mine.decision("a.png") is None
    time[0] = 6.0
    mine.refresh(at_once=False)
    assert mine.decision("a.png").reviewer == "Ada"


def test_of_a_photo_that_failed_later_the_derivative_that_lies_there_is_shown(tmp_path: Path) -> None:
    target = Bucket(tmp_path)
    run_of(target, {"key": "a.png", "finished_at": 1.0})
    run_of(target, {"key": "a.png", "status": "failed", "reason": "truncated", "finished_at": 2.0}, run_id="later")
    assert Queue(target).photo("a.png").status == "restored"


def test_numbers_that_nobody_measured_are_left_out(tmp_path: Path) -> None:
    run_of(Bucket(tmp_path), {"key": "a.png", "doubt": math.nan})
    assert "doubt" not in Queue(Bucket(tmp_path)).page()["rows"][0]


def test_a_target_without_runs_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="run oldphoto restore SOURCE"):
        Queue(Bucket(tmp_path))


def test_a_run_that_is_rolled_back_leaves_the_queue(tmp_path: Path) -> None:
    target = Bucket(tmp_path)
    run_of(target, {"key": "a.png"})
    run = run_of(target, {"key": "b.png"}, run_id="later")
    queue = Queue(target)
    run.write("rollback.json", b"{}")
    queue.refresh()
    assert keys(queue.page("all")) == ["a.png"]


def test_a_run_that_is_not_over_is_shown_as_far_as_it_has_come(tmp_path: Path) -> None:
    target = Bucket(tmp_path)
    run_of(target, {"key": "a.png"}).write("summary.json", b"{}")
    run = target.join("runs", "later")
    queue = Queue(target)
    with LedgerWriter(run, "shard-00000") as ledger:
        ledger.add(LedgerRow(key="b.png", version="1", status="restored", output="photos/b.png"))
    queue.refresh()
    assert keys(queue.page("all")) == ["a.png", "b.png"]
    assert queue.working == ["later"]


def test_a_real_run_gives_a_queue(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    put(source, ["a.png", "album/b.png"])
    source.write("lost.png", encoded(scratched(picture(), 2, 38), ".png"))
    restore(source, target, model="detect")
    page = Queue(target).page()
    assert keys(page)[0] == "lost.png"
    assert sorted(keys(page)) == ["a.png", "album/b.png", "lost.png"]
    assert {row["status"] for row in page["rows"]} == {"restored", "failed"}


def test_ten_thousand_photos_are_in_the_queue_once_each_in_pages(tmp_path: Path) -> None:
    target = Bucket(tmp_path)
    run_of(target, *({"key": f"many/{number:05d}.png", "doubt": number % 977 / 977} for number in range(10_000)))
    queue = Queue(target)
    found, after, pages = list[str](), "", 0
    while pages == 0 or after:
        page = queue.page("open", after=after, limit=500)
        found += keys(page)
        after, pages = page["next"], pages + 1
    assert (pages, len(found), len(set(found))) == (20, 10_000, 10_000)
