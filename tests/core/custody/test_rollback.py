"""Rolling a run back removes what it wrote, and only that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import mark
from places import python_path
from runs import contents, copied, put, restore

from oldphoto_core.custody import Rollback, audit, plan_rollback, roll_back
from oldphoto_core.errors import RollbackRefused, StorageError, UsageError
from oldphoto_core.storage import Bucket, read_ledger

KEYS = ["a.jpg", "box/b.png", "c.tif"]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bucket, Bucket]:
    """Source and target of two runs: the second one restored d.png, and c.tif again, which had changed."""
    folder = tmp_path_factory.mktemp("twice")
    source, target = Bucket(folder / "old"), Bucket(folder / "new")
    put(source, KEYS)
    restore(source, target)
    put(source, ["c.tif", "d.png"], first=7)
    restore(source, target)
    return source, target


@pytest.fixture
def target(twice: tuple[Bucket, Bucket], tmp_path: Path) -> Bucket:
    """A copy of its target."""
    return copied(twice[1], Bucket(tmp_path / "new"))


def runs(target: Bucket) -> list[str]:
    return sorted(target.folders("runs"))


def results(target: Bucket) -> set[str]:
    """What lies there beside the runs' folders."""
    return {key for key in contents(target) if not key.startswith("runs/")}


def of(*keys: str) -> set[str]:
    """The results of these photos."""
    return {name for key in keys for name in (f"photos/{key}", f"masks/{key}.png", f"records/{key}.json")}


def rolled_back(target: Bucket, run_id: str, **how: Any) -> Rollback:
    return roll_back(plan_rollback(target, run_id), **how)


def test_a_run_goes_and_what_others_wrote_stays(twice: tuple[Bucket, Bucket], bucket_url: str) -> None:
    target = copied(twice[1], Bucket(bucket_url))
    first, second = runs(target)
    before = contents(target)
    rolled_back(target, second)
    assert results(target) == of("a.jpg", "box/b.png")
    kept = {key: data for key, data in contents(target).items() if key != f"runs/{second}/rollback.json"}
    assert kept == {key: before[key] for key in kept}
    assert {key for key in before if key.startswith("runs/")} <= kept.keys()
    marker = json.loads(target.read(f"runs/{second}/rollback.json"))
    assert marker["run_id"] == second
    assert marker["removed"] == 6
    assert marker["left"] == []
    assert marker["started"] <= marker["finished"]
    rolled_back(target, first)
    assert results(target) == set()


def test_what_a_later_run_wrote_again_is_not_this_runs_any_more(target: Bucket) -> None:
    first, _ = runs(target)
    before = contents(target)
    plan = rolled_back(target, first)
    assert results(target) == of("c.tif", "d.png")
    assert [(file.key, file.fate) for file in plan.of("kept")] == [("photos/c.tif", "kept")]
    assert all(contents(target)[key] == before[key] for key in of("c.tif", "d.png"))


def test_a_restoration_afterwards_does_those_photos_again(twice: tuple[Bucket, Bucket], target: Bucket) -> None:
    _, second = runs(target)
    rolled_back(target, second)
    summary = restore(twice[0], target)
    assert (summary["restored"], summary["skipped"]) == (2, 2)
    assert results(target) == of(*KEYS, "d.png")
    assert audit(target).is_clean


def test_rolling_back_again_removes_nothing_that_came_later(twice: tuple[Bucket, Bucket], target: Bucket) -> None:
    _, second = runs(target)
    rolled_back(target, second)
    restore(twice[0], target)
    before = contents(target)
    plan = rolled_back(target, second)
    assert plan.of("removed") == []
    assert contents(target) == before


def test_only_looking_changes_nothing(target: Bucket) -> None:
    _, second = runs(target)
    before = contents(target)
    plan = plan_rollback(target, second)
    assert {file.key for file in plan.of("removed")} == of("c.tif", "d.png")
    assert contents(target) == before


@pytest.mark.parametrize("name", ["photos/d.png", "masks/d.png.png", "records/d.png.json"])
def test_what_was_altered_since_is_listed_and_nothing_is_removed(target: Bucket, name: str) -> None:
    _, second = runs(target)
    target.write(name, b"retouched by hand")
    before = contents(target)
    plan = plan_rollback(target, second)
    assert [file.key for file in plan.of("altered")] == [name]
    with pytest.raises(RollbackRefused, match=name):
        roll_back(plan)
    assert contents(target) == before


def test_what_was_altered_can_be_left_and_a_rerun_leaves_it_too(twice: tuple[Bucket, Bucket], target: Bucket) -> None:
    _, second = runs(target)
    target.write("photos/d.png", b"retouched by hand")
    rolled_back(target, second, leave_altered=True)
    assert results(target) == of("a.jpg", "box/b.png") | {"photos/d.png"}
    marker = json.loads(target.read(f"runs/{second}/rollback.json"))
    assert [left["key"] for left in marker["left"]] == ["photos/d.png"]
    summary = restore(twice[0], target)
    assert summary["skipped_reasons"]["output exists"] == 1
    assert target.read("photos/d.png") == b"retouched by hand"


def test_a_file_that_is_gone_already_is_no_hindrance(target: Bucket) -> None:
    _, second = runs(target)
    target.delete("photos/d.png")
    plan = rolled_back(target, second)
    assert [file.key for file in plan.of("gone")] == ["photos/d.png"]
    assert results(target) == of("a.jpg", "box/b.png")


def test_a_file_that_is_written_between_plan_and_removal_is_left(target: Bucket) -> None:
    _, second = runs(target)
    plan = plan_rollback(target, second)
    target.write("photos/d.png", b"just now")
    with pytest.raises(StorageError, match="just written"):
        roll_back(plan)
    assert target.read("photos/d.png") == b"just now"


def test_derivatives_of_another_format_go_one_run_at_a_time(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    put(source, ["a.jpg"])
    restore(source, target)
    restore(source, target, format="png")
    first, second = runs(target)
    plan = rolled_back(target, first)
    # mask and record are of the second run by now
    assert [file.key for file in plan.of("removed")] == ["photos/a.jpg"]
    rolled_back(target, second)
    assert results(target) == set()


def test_masks_that_were_corrected_in_the_target_are_nobodys_to_remove(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    put(source, ["a.png"])
    mark(tmp_path / "new/masks", ["a.png.png"])
    restore(source, target, masks=target.join("masks").url)
    (run_id,) = runs(target)
    plan = rolled_back(target, run_id)
    assert results(target) == {"masks/a.png.png"}
    assert [file.key for file in plan.of("kept")] == ["masks/a.png.png"]


def test_copies_of_originals_go_too(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    source.write("a.jpg", b"no photo")
    restore(source, target, on_failure="copy")
    (run_id,) = runs(target)
    assert results(target) == {"photos/a.jpg", "records/a.jpg.json"}
    rolled_back(target, run_id)
    assert results(target) == set()


def test_the_derivatives_of_a_killed_run_are_known_by_their_records(target: Bucket) -> None:
    _, second = runs(target)
    for key in [info.key for info in target.list(f"runs/{second}") if "ledger" in info.key or "summary" in info.key]:
        target.delete(key)
    rolled_back(target, second)
    assert results(target) == of("a.jpg", "box/b.png")
    ledger = read_ledger(target.join("runs", second))
    assert set(ledger.loc[ledger["status"] == "restored", "output"]) == {"photos/c.tif", "photos/d.png"}


def test_a_run_that_was_killed_between_record_and_derivative_leaves_the_older_one(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    put(source, ["a.png"])
    restore(source, target)
    before = target.read("photos/a.png")
    put(source, ["a.png"], first=5)
    restore(source, target)
    first, second = runs(target)
    for key in [info.key for info in target.list(f"runs/{second}") if "ledger" in info.key or "summary" in info.key]:
        target.delete(key)
    target.write("photos/a.png", before)
    plan = rolled_back(target, second)
    assert [(file.key, file.detail) for file in plan.of("kept")] == [
        ("photos/a.png", f"it is still what run {first} wrote")
    ]
    assert target.read("photos/a.png") == before


def test_a_run_that_does_not_exist_is_named_with_those_that_do(target: Bucket) -> None:
    with pytest.raises(UsageError, match=f"no run 'typo'; it has: {runs(target)[0]}"):
        plan_rollback(target, "typo")


KILLED = """
import os, signal, sys, threading
from oldphoto_core.custody import plan_rollback, roll_back
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.local import store as local

removals, one_by_one = 0, threading.Lock()
delete = local.LocalStore.delete

def counting(self, key):
    global removals
    with one_by_one:
        if removals == int(sys.argv[3]) and not key.startswith("runs/"):
            os.kill(os.getpid(), signal.SIGKILL)
        removals += not key.startswith("runs/")
        delete(self, key)

local.LocalStore.delete = counting
roll_back(plan_rollback(Bucket(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize("removals", [0, 1, 4])
def test_a_rollback_that_is_killed_is_completed_by_the_next(target: Bucket, removals: int) -> None:
    _, second = runs(target)
    environment = {**os.environ, "PYTHONPATH": python_path()}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, target.url, second, str(removals)], env=environment, check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    left = results(target) - of("a.jpg", "box/b.png")
    assert len(left) == 6 - removals
    assert json.loads(target.read(f"runs/{second}/rollback.json"))["finished"] is None
    rolled_back(target, second)
    assert results(target) == of("a.jpg", "box/b.png")
    marker = json.loads(target.read(f"runs/{second}/rollback.json"))
    assert marker["finished"]
    assert marker["removed"] >= 6 - removals


def test_a_restoration_after_a_killed_rollback_makes_its_photos(twice: tuple[Bucket, Bucket], target: Bucket) -> None:
    _, second = runs(target)
    plan = plan_rollback(target, second)
    target.join("runs", second).write("rollback.json", b'{"started": "2026-11-24T00:00:00+00:00", "finished": null}')
    target.delete("photos/d.png")
    summary = restore(twice[0], target)
    assert summary["restored"] == 2
    assert {file.key for file in plan_rollback(target, second).of("removed")} == set()
    assert audit(target).is_clean
    assert plan.of("removed")


def test_a_record_notes_the_mask_that_was_written(target: Bucket) -> None:
    record = json.loads(target.read("records/d.png.json"))
    assert record["mask_file"] == {
        "key": "masks/d.png.png",
        "sha256": target.sha256("masks/d.png.png"),
        "bytes": len(target.read("masks/d.png.png")),
    }
