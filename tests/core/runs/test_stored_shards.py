"""Shards that are restored by their number alone, by one process after another."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from fakes import InvertingRestorer, fill, mark, register
from waiting import wait_until

from oldphoto_core.errors import DamagedWeights, OldPhotoError, RunStopped
from oldphoto_core.restoration import RestoreJob, Run, close_run, job_of, open_run, register_restorer
from oldphoto_core.runs.ledger_rows import LedgerTail
from oldphoto_core.runs.run import give_up, store_shards
from oldphoto_core.runs.shard import DEATHS, ShardCallbacks, restore_stored_shard
from oldphoto_core.runs.shard_store import HUNG, has_stored_shards, note_death
from oldphoto_core.storage import LedgerRow
from oldphoto_core.storage.ledger import LedgerWriter

register()
PHOTOS = 12


@pytest.fixture
def run(tmp_path: Path) -> Run:
    fill(tmp_path / "old", [f"{n:02}.png" for n in range(PHOTOS)])
    job = job_of(source=str(tmp_path / "old"), target=str(tmp_path / "new"), model="invert", shard_photos=6)
    run = open_run(job)
    store_shards(run)
    return run


class Died(BaseException):
    """Stands for SIGKILL, as in test_run.py."""


def die_after(count: int, run: Run, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[LedgerRow] = []

    def die(row: LedgerRow) -> None:
        seen.append(row)
        if len(seen) == count:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(LedgerWriter, "close", lambda self: None)
        with pytest.raises(Died):
            restore_stored_shard(run.job.target, run.run_id, number, 1, ShardCallbacks(on_row=die))


def rows(run: Run) -> dict[str, str]:
    return {row.key: row.status for row in LedgerTail(run.bucket).new_rows()}


def test_a_shard_is_restored_by_target_run_and_number(run: Run) -> None:
    assert [restore_stored_shard(run.job.target, run.run_id, number) for number in (0, 1)] == [6, 6]
    assert set(rows(run).values()) == {"restored"}
    summary = close_run(run)
    assert (summary["found"], summary["restored"]) == (PHOTOS, PHOTOS)


def test_what_the_coordinator_wrote_down_is_gone_when_the_books_are_closed(run: Run) -> None:
    assert list(run.bucket.list("shards"))
    restore_stored_shard(run.job.target, run.run_id, 0)
    assert close_run(run, "stopped")["restored"] == 6
    assert not list(run.bucket.list("shards"))
    with pytest.raises(RunStopped, match="is closed"):
        restore_stored_shard(run.job.target, run.run_id, 1)


def test_a_shard_whose_process_died_is_finished_by_the_next_and_nothing_is_done_twice(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_after(2, run, 0, monkeypatch)
    photos = Path(run.job.target) / "photos"
    done = {path.name: path.stat().st_mtime_ns for path in photos.iterdir()}
    assert 2 <= len(done) < 6
    begun: list[str] = []
    assert restore_stored_shard(run.job.target, run.run_id, 0, 2, ShardCallbacks(on_begin=begun.append)) == 6
    assert not done.keys() & set(begun)
    assert {name: (photos / name).stat().st_mtime_ns for name in done} == done
    assert len(rows(run)) == 6


def test_a_follower_of_the_ledger_hears_of_each_row_once(run: Run) -> None:
    follower = LedgerTail(run.bucket)
    restore_stored_shard(run.job.target, run.run_id, 0)
    assert len(follower.new_rows()) == 6
    restore_stored_shard(run.job.target, run.run_id, 1)
    assert sorted(row.key for row in follower.new_rows()) == [f"{n:02}.png" for n in range(6, 12)]
    assert follower.new_rows() == []


def test_a_photo_in_hand_at_three_deaths_fails_and_the_rest_is_restored(run: Run) -> None:
    for _ in range(DEATHS):
        note_death(run.bucket, 0, ["03.png"], "signal SIGSEGV")
    note_death(run.bucket, 0, ["03.png", "04.png"], "signal SIGKILL")
    restore_stored_shard(run.job.target, run.run_id, 0, 5)
    became = {row.key: row for row in LedgerTail(run.bucket).new_rows()}
    assert became["03.png"].reason == "crashes the decoder"
    assert "4 processes died" in became["03.png"].detail
    assert [row.status for key, row in became.items() if key != "03.png"] == ["restored"] * 5


def test_a_photo_of_which_nothing_but_silence_came_has_timed_out(run: Run) -> None:
    for _ in range(DEATHS):
        note_death(run.bucket, 0, ["03.png"], f"{HUNG} for 600 s")
    restore_stored_shard(run.job.target, run.run_id, 0, 4)
    became = {row.key: row.reason for row in LedgerTail(run.bucket).new_rows()}
    assert became["03.png"] == "timed out"


def test_what_a_photo_failed_of_is_what_happened_when_it_was_alone(run: Run) -> None:
    for how, *beside in (("signal SIGKILL", "04.png", "05.png"), (f"{HUNG} for 600 s",), ("signal SIGSEGV", "04.png")):
        note_death(run.bucket, 0, ["03.png", *beside], how)
    restore_stored_shard(run.job.target, run.run_id, 0, 4)
    became = {row.key: row for row in LedgerTail(run.bucket).new_rows()}
    assert became["03.png"].reason == "timed out"
    assert "when it was alone (no progress for 600 s)" in became["03.png"].detail


def test_suspects_come_last_and_alone_the_most_suspected_first(run: Run) -> None:
    note_death(run.bucket, 0, ["00.png", "01.png"], "signal SIGKILL")
    note_death(run.bucket, 0, ["01.png"], "signal SIGKILL")
    events: list[str] = []
    callbacks = ShardCallbacks(
        on_begin=lambda key: events.append(f"+{key}"), on_row=lambda row: events.append(f"-{row.key}")
    )
    restore_stored_shard(run.job.target, run.run_id, 0, 3, callbacks)
    assert events[-4:] == ["+01.png", "-01.png", "+00.png", "-00.png"]


def test_what_is_known_is_written_down_before_a_photo_that_may_kill_is_begun(run: Run) -> None:
    for _ in range(DEATHS):
        note_death(run.bucket, 0, ["03.png"], "signal SIGKILL")
    note_death(run.bucket, 0, ["04.png", "05.png"], "signal SIGKILL")
    written: dict[str, set[str]] = {}
    restore_stored_shard(
        run.job.target, run.run_id, 0, 5, ShardCallbacks(on_begin=lambda key: written.update({key: {*rows(run)}}))
    )
    assert written["00.png"] == {"03.png"}
    assert written["04.png"] == {"00.png", "01.png", "02.png", "03.png"}
    assert written["05.png"] == {"00.png", "01.png", "02.png", "03.png", "04.png"}


def test_a_machine_with_other_weights_of_that_name_restores_nothing(run: Run) -> None:
    register_restorer("invert", lambda device: InvertingRestorer(digest="e" * 64))
    try:
        with pytest.raises(DamagedWeights, match="is not the run's"):
            restore_stored_shard(run.job.target, run.run_id, 0)
    finally:
        register()
    assert rows(run) == {}


def test_a_shard_notices_that_its_run_was_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oldphoto_core.runs.shard._SECONDS_BETWEEN_LOOKS", -1.0)

    def close(_row: LedgerRow) -> None:
        if has_stored_shards(run.bucket):
            run.bucket.delete("shards/job.json")

    with pytest.raises(RunStopped, match="was closed"):
        restore_stored_shard(run.job.target, run.run_id, 0, 1, ShardCallbacks(on_row=close))


def test_the_books_of_a_stopped_run_wait_for_a_process_that_is_still_at_a_shard(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oldphoto_core.runs.shard._SECONDS_BETWEEN_LOOKS", -1.0)
    closed: list[int] = []
    closing = threading.Thread(target=lambda: closed.append(close_run(run, "cancelled")["restored"]))

    def begin_closing(_row: LedgerRow) -> None:
        if not closing.is_alive():
            closing.start()
            wait_until(lambda: not has_stored_shards(run.bucket), "a run that is closed", every=0.01)

    with pytest.raises(RunStopped, match="was closed"):
        restore_stored_shard(run.job.target, run.run_id, 0, 1, ShardCallbacks(on_row=begin_closing))
    closing.join(60)
    assert closed == [len(list((Path(run.job.target) / "photos").iterdir()))]
    assert not list(run.bucket.list("shards"))


def test_photos_that_no_process_came_to_have_failed_with_the_reason(run: Run) -> None:
    restore_stored_shard(run.job.target, run.run_id, 0)
    give_up(run, {1: {"06.png", "07.png"}}, {1: "given up after 5 processes; of the last one: signal SIGKILL"})
    summary = close_run(run)
    assert summary["failed_reasons"] == {"no result": 6}
    assert (summary["restored"], summary["failed"]) == (6, 6)


def test_what_a_process_restored_before_its_shard_was_given_up_counts(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore_stored_shard(run.job.target, run.run_id, 1)
    die_after(2, run, 0, monkeypatch)
    done = len(list((Path(run.job.target) / "photos").iterdir())) - 6
    give_up(run, {0: {f"{n:02}.png" for n in range(6)}}, {0: "given up"})
    summary = close_run(run)
    assert (summary["restored"], summary["failed_reasons"]) == (6 + done, {"no result": 6 - done})


def test_the_next_run_is_told_of_the_shards_that_a_killed_one_left_and_closes_its_books(run: Run) -> None:
    restore_stored_shard(run.job.target, run.run_id, 0)
    heard: list[str] = []
    following = open_run(run.job, heard.extend)
    assert heard == [run.run_id]
    assert not list(run.bucket.list("shards"))
    assert [photo.key for shard in following.shards for photo in shard] == [f"{n:02}.png" for n in range(6, PHOTOS)]


def test_masks_and_options_travel_with_the_job(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png"])
    mark(tmp_path / "masks", ["a.png.png"])
    plain: dict[str, Any] = {"source": str(tmp_path / "old"), "target": str(tmp_path / "new"), "model": "invert"}
    options: dict[str, Any] = {"format": "tiff", "report": False, "masks": str(tmp_path / "masks")}
    run = open_run(job_of(**plain, **options, keys=("a.png",), operator="M"))
    store_shards(run)
    restore_stored_shard(run.job.target, run.run_id, 0)
    (record,) = [json.loads(path.read_text()) for path in (tmp_path / "new/records").iterdir()]
    assert record["mask"]["key"] == "a.png.png"
    assert (record["derivative"]["key"], record["operator"]) == ("photos/a.png.tif", "M")


@pytest.mark.parametrize(("workers", "sizes"), [(1, [60, 60]), (1, [200, 200, 20]), (8, [50, 50, 20])])
def test_each_worker_of_a_pool_gets_two_shards_unless_they_would_be_small(
    tmp_path: Path, workers: int, sizes: list[int]
) -> None:
    fill(tmp_path / "old", [f"{n:03}.png" for n in range(sum(sizes))], height=8, width=8)
    job = job_of(source=str(tmp_path / "old"), target=str(tmp_path / "new"), model="invert", pool="gpu")
    assert [len(shard) for shard in open_run(job, workers=workers).shards] == sizes


def test_a_pool_does_not_see_the_memory_of_this_process(tmp_path: Path) -> None:
    with pytest.raises(OldPhotoError, match="no worker of pool gpu sees"):
        RestoreJob(source="memory://old", target=str(tmp_path), pool="gpu")
