from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import DetectingRestorer, InvertingRestorer, encoded, fill, mark, picture, register, scratched

from oldphoto_core.errors import RunStopped, SourceMissing, UsageError
from oldphoto_core.restoration import (
    RestoreJob,
    RestoreOptions,
    ShardCallbacks,
    close_run,
    job_of,
    open_run,
    register_restorer,
    restore_shard,
)
from oldphoto_core.runs.run import FailureGuard
from oldphoto_core.storage import LedgerRow, read_ledger
from oldphoto_core.storage.bucket import Bucket

register()


def restore(source: Path, target: Path, **job: Any) -> dict[str, Any]:
    # decoder processes have tests of their own, and cost more to start than the rest of a small run
    options = {"isolate": False} | {name: job.pop(name) for name in list(job) if name in RestoreOptions.__slots__}
    job = {"model": "invert", **{name: str(value) if name == "masks" else value for name, value in job.items()}}
    job |= {"source": str(source), "target": str(target)}
    run = open_run(job_of(**job, **options))
    for number in range(len(run.shards)):
        restore_shard(run, number)
    summary = close_run(run)
    assert summary["found"] == summary["restored"] + summary["skipped"] + summary["failed"]
    assert json.loads((target / f"runs/{run.run_id}/summary.json").read_text()) == summary
    return dict(summary)


def counts(summary: dict[str, Any]) -> tuple[int, int, int]:
    return summary["restored"], summary["skipped"], summary["failed"]


def test_every_input_is_accounted_for(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg", "b.png"])
    (tmp_path / "old/broken.tif").write_bytes(b"II*\0")
    (tmp_path / "old/notes.txt").write_text("found in the attic")
    summary = restore(tmp_path / "old", tmp_path / "new")
    assert counts(summary) == (2, 1, 1)
    assert summary["skipped_reasons"] == {"not an image": 1}
    assert summary["megapixels"] == pytest.approx(2 * 0.0024, abs=0.001)


def test_a_second_run_with_nothing_new_restores_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg", "b.png"])
    restore(tmp_path / "old", tmp_path / "new")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "new/photos").iterdir()}
    summary = restore(tmp_path / "old", tmp_path / "new")
    assert counts(summary) == (0, 2, 0)
    assert summary["skipped_reasons"] == {"already restored": 2}
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "new/photos").iterdir()} == before


def test_only_what_is_new_or_has_changed_is_restored(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg", "b.png"])
    restore(tmp_path / "old", tmp_path / "new")
    fill(tmp_path / "old", ["b.png", "c.png"], height=48)
    assert counts(restore(tmp_path / "old", tmp_path / "new")) == (2, 1, 0)


def test_another_model_restores_again_and_the_first_one_is_not_mistaken_for_it(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg"])
    for model, expected in (("invert", 1), ("another", 1), ("another", 0), ("invert", 1)):
        assert restore(tmp_path / "old", tmp_path / "new", model=model)["restored"] == expected


def test_another_format_is_another_result_beside_the_first(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg"])
    restore(tmp_path / "old", tmp_path / "new")
    assert restore(tmp_path / "old", tmp_path / "new", format="png")["restored"] == 1
    assert sorted(p.name for p in (tmp_path / "new/photos").iterdir()) == ["a.jpg", "a.jpg.png"]


def test_a_mask_that_comes_later_restores_its_photo_again(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg", "b.jpg"])
    restore(tmp_path / "old", tmp_path / "new")
    mark(tmp_path / "masks", ["a.jpg.png", "nobodys.png"])
    summary = restore(tmp_path / "old", tmp_path / "new", masks=str(tmp_path / "masks"))
    assert counts(summary) == (1, 1, 0)
    assert summary["masks"] == {"used": 1, "without a photo": 1}


def test_overwriting_restores_everything_again(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg"])
    restore(tmp_path / "old", tmp_path / "new")
    assert restore(tmp_path / "old", tmp_path / "new", existing="overwrite")["restored"] == 1


def test_a_failed_photo_is_tried_again_even_where_its_copy_lies(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png"], width=61)
    register_restorer("fragile", lambda device: InvertingRestorer(name="fragile", breaks_at=61))
    summary = restore(tmp_path / "old", tmp_path / "new", model="fragile", on_failure="copy")
    assert counts(summary) == (0, 0, 1)
    assert counts(restore(tmp_path / "old", tmp_path / "new", model="invert")) == (1, 0, 0)


def test_a_limit_takes_the_first_photos_by_name(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["c.png", "a.png", "b.png"])
    assert restore(tmp_path / "old", tmp_path / "new", limit=2)["found"] == 2
    assert sorted(p.name for p in (tmp_path / "new/photos").iterdir()) == ["a.png", "b.png"]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours handles it, nothing is closed."""


def kill_after(count: int, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, model: str = "invert") -> None:
    """A run whose ledger had no time to be written, and which never came to its summary."""
    run = open_run(job_of(source=str(source), target=str(target), model=model))
    seen: list[LedgerRow] = []

    def die(row: LedgerRow) -> None:
        seen.append(row)
        if len(seen) == count:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("oldphoto_core.storage.ledger.LedgerWriter.close", lambda self: None)
        with pytest.raises(Killed):
            restore_shard(run, 0, ShardCallbacks(on_row=die))


def test_a_killed_run_is_completed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "old", [f"{n:02}.png" for n in range(20)])
    kill_after(5, tmp_path / "old", tmp_path / "new", monkeypatch)
    done = {p: p.stat().st_mtime_ns for p in (tmp_path / "new/photos").iterdir()}
    assert 5 <= len(done) < 20
    summary = restore(tmp_path / "old", tmp_path / "new")
    assert counts(summary) == (20 - len(done), len(done), 0)
    assert {p: p.stat().st_mtime_ns for p in done} == done


def test_the_books_of_a_killed_run_are_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "old", [f"{n:02}.png" for n in range(20)])
    kill_after(5, tmp_path / "old", tmp_path / "new", monkeypatch)
    done = len(list((tmp_path / "new/photos").iterdir()))
    restore(tmp_path / "old", tmp_path / "new")
    killed = json.loads(min((tmp_path / "new/runs").glob("*/summary.json")).read_text())
    assert (killed["found"], killed["restored"], killed["skipped"]) == (20, done, 20 - done)
    assert "killed" in killed["stopped"]


def test_masks_may_be_corrected_where_the_product_wrote_them(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png", "b.png"])
    restore(tmp_path / "old", tmp_path / "new")
    masks = str(tmp_path / "new/masks")
    assert restore(tmp_path / "old", tmp_path / "new", masks=masks)["restored"] == 2
    assert restore(tmp_path / "old", tmp_path / "new", masks=masks)["restored"] == 0
    mark(tmp_path / "new/masks", ["b.png.png"])
    assert restore(tmp_path / "old", tmp_path / "new", masks=masks)["restored"] == 1


def test_a_derivative_of_a_killed_run_with_another_model_is_not_taken_for_the_first_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "old", [f"{n:02}.png" for n in range(12)])
    restore(tmp_path / "old", tmp_path / "new")
    kill_after(4, tmp_path / "old", tmp_path / "new", monkeypatch, model="another")
    records = [json.loads(p.read_text()) for p in (tmp_path / "new/records").iterdir()]
    touched = sum(record["model"]["name"] == "another" for record in records)
    assert touched >= 4
    assert restore(tmp_path / "old", tmp_path / "new")["restored"] == touched


def test_a_torn_derivative_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "old", [f"{n:02}.png" for n in range(6)])
    kill_after(6, tmp_path / "old", tmp_path / "new", monkeypatch)
    (tmp_path / "new/photos/03.png").write_bytes(b"half a photo")
    assert counts(restore(tmp_path / "old", tmp_path / "new")) == (1, 5, 0)


def test_a_derivative_that_vanished_is_a_failure_of_the_run(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png", "b.png"])
    run = open_run(job_of(source=str(tmp_path / "old"), target=str(tmp_path / "new"), model="invert"))
    restore_shard(run, 0)
    (tmp_path / "new/photos/a.png").unlink()
    summary = close_run(run)
    assert (summary["restored"], summary["failed"]) == (1, 1)
    assert summary["failed_reasons"] == {"derivative missing": 1}
    assert restore(tmp_path / "old", tmp_path / "new")["restored"] == 1


def test_a_run_that_stopped_accounts_for_what_it_left(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png", "b.png"])
    run = open_run(job_of(source=str(tmp_path / "old"), target=str(tmp_path / "new"), model="invert"))
    summary = close_run(run, "interrupted")
    assert (summary["found"], summary["skipped"], summary["stopped"]) == (2, 2, "interrupted")
    assert set(read_ledger(run.bucket)["reason"]) == {"run stopped"}


def row(status: str) -> LedgerRow:
    return LedgerRow(key="k", version="v", status=status)  # type: ignore[arg-type]


def test_the_failure_rate_stops_a_run_only_when_it_cannot_be_kept_any_more() -> None:
    guard = FailureGuard(RestoreOptions(max_failure_rate=0.2), planned=10)
    for status in ("failed", "restored", "failed"):
        guard.judge(row(status))
    with pytest.raises(RunStopped, match="3 of 10 photos failed"):
        guard.judge(row("failed"))


def test_places_that_overlap_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png"])
    with pytest.raises(UsageError, match="lies inside source"):
        restore(tmp_path / "old", tmp_path / "old/restored")
    with pytest.raises(UsageError, match="where results go"):
        restore(fill(tmp_path / "archive/photos", ["a.png"]), tmp_path / "archive")
    assert sorted(p.name for p in tmp_path.rglob("*.*")) == ["a.png", "a.png"]


def test_a_photo_is_not_its_own_mask(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png"])
    with pytest.raises(UsageError, match="masks and source are both"):
        restore(tmp_path / "old", tmp_path / "new", masks=str(tmp_path / "old"))


@pytest.mark.parametrize("lacking", ["source", "masks"])
def test_a_place_that_is_empty_or_not_there_is_an_error(tmp_path: Path, lacking: str) -> None:
    fill(tmp_path / "old", ["a.png"])
    for there in (False, True):
        if there:
            (tmp_path / "nothing").mkdir()
        with pytest.raises(SourceMissing, match="nothing"):
            restore(**{"source": tmp_path / "old", "target": tmp_path / "new", lacking: tmp_path / "nothing"})


def test_masters_are_never_written(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png", "b/c.jpg"])
    before = {o.key: (o.version, Bucket(tmp_path / "old").read(o.key)) for o in Bucket(tmp_path / "old").list()}
    restore(tmp_path / "old", tmp_path / "new", on_failure="copy", existing="overwrite")
    assert {o.key: (o.version, Bucket(tmp_path / "old").read(o.key)) for o in Bucket(tmp_path / "old").list()} == before


def scratched_photo(folder: Path, key: str) -> Path:
    path = folder / "old" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(scratched(picture()), path.suffix))
    return folder / "old"


def test_a_rerun_that_only_fills_damage_finds_its_derivatives_again(tmp_path: Path) -> None:
    old, new = scratched_photo(tmp_path, "a.jpg"), tmp_path / "new"
    scratched_photo(tmp_path, "b.tif")
    assert counts(restore(old, new, model="detect", mode="scratches")) == (2, 0, 0)
    summary = restore(old, new, model="detect", mode="scratches")
    assert summary["skipped_reasons"] == {"already restored": 2}
    ledger = read_ledger(Bucket(new).join("runs", summary["run_id"]))
    assert list(ledger["mask_coverage"]) == pytest.approx([0.15, 0.15])
    assert counts(restore(old, new, model="detect", mode="scratches", max_damage=0.9)) == (0, 2, 0)


def test_another_mode_or_detector_restores_again(tmp_path: Path) -> None:
    old, new = scratched_photo(tmp_path, "a.png"), tmp_path / "new"
    register_restorer("retrained", lambda device: DetectingRestorer(detector_digest="e" * 64))
    steps = [("detect", "full", 1), ("detect", "scratches", 1), ("retrained", "scratches", 1), ("retrained", "full", 1)]
    for model, mode, expected in steps:
        assert restore(old, new, model=model, mode=mode)["restored"] == expected
        assert restore(old, new, model=model, mode=mode)["restored"] == 0


def test_a_photo_that_was_too_damaged_is_restored_once_more_is_allowed(tmp_path: Path) -> None:
    old, new = scratched_photo(tmp_path, "a.png"), tmp_path / "new"
    summary = restore(old, new, model="detect", max_damage=0.05)
    assert summary["failed_reasons"] == {"too damaged": 1}
    assert counts(restore(old, new, model="detect")) == (1, 0, 0)


def test_masks_alone_need_masks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name their bucket with --masks URL"):
        RestoreJob(source=str(tmp_path), target=str(tmp_path / "new"), options=RestoreOptions(detect=False))


def test_filling_damage_needs_somebody_who_says_where_it_is(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png"])
    with pytest.raises(UsageError, match="model invert has no detector; give masks with --masks URL"):
        restore(tmp_path / "old", tmp_path / "new", mode="scratches")
    assert not (tmp_path / "new/runs").exists()
    mark(tmp_path / "marks", ["a.png"])
    summary = restore(tmp_path / "old", tmp_path / "new", mode="scratches", masks=tmp_path / "marks")
    assert (summary["restored"], summary["model"]["detector"]) == (1, "")


def test_a_run_names_the_detector_it_used(tmp_path: Path) -> None:
    summary = restore(scratched_photo(tmp_path, "a.png"), tmp_path / "new", model="detect")
    assert summary["model"] == {"name": "detect", "digest": "c" * 64, "detector": "d" * 64, "device": "cpu"}
    assert (summary["options"]["mode"], summary["options"]["max_damage"]) == ("full", 0.5)


def test_rows_made_up_for_a_killed_run_know_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        scratched_photo(tmp_path, f"{number}.png")
    kill_after(3, tmp_path / "old", tmp_path / "new", monkeypatch, model="detect")
    restore(tmp_path / "old", tmp_path / "new", model="detect")
    killed = min((tmp_path / "new/runs").glob("*/ledger.parquet")).parent
    ledger = read_ledger(Bucket(killed))
    assert list(ledger["mask_coverage"]) == pytest.approx([0.1] * 3)
    assert (ledger["detect_seconds"] > 0).all()
