"""`--reviews`: what was sent back is restored by its corrected mask, what was accepted or rejected is left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk_parts import paged
from fakes import decoded, encoded, picture, scratched
from jsonschema import Draft202012Validator
from runs import put, restore

from oldphoto_core.custody import audit
from oldphoto_core.desk.queue import Queue
from oldphoto_core.errors import DamagedDecision
from oldphoto_core.pipeline.photo import Photo
from oldphoto_core.reports.record import record_schema
from oldphoto_core.restoration import NetworkOptions, RestoreJob, RestoreOptions, job_of
from oldphoto_core.reviews.corrected import store_mask
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.reviews.table import import_csv
from oldphoto_core.reviews.wishes import wishes_of
from oldphoto_core.runs import shard_store
from oldphoto_core.runs.dry_run import check
from oldphoto_core.runs.run import overlooked_decisions
from oldphoto_core.scans import read_scan
from oldphoto_core.storage import Bucket, read_ledger

GREY = 127
"""What `DetectingRestorer` fills damage with."""


@pytest.fixture
def places(tmp_path: Path) -> tuple[Bucket, Bucket]:
    """Three scratched photos, restored once."""
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    for seed, key in enumerate(["a.png", "b.png", "c.png"]):
        source.write(key, encoded(scratched(picture(seed=seed)), ".png"))
    restore(source, target, model="detect")
    return source, target


def decide(target: Bucket, key: str, verdict: Any, **more: Any) -> Decision:
    seen = Queue(target).photo(key).output_sha256
    return Reviews(target).add(Decision(key=key, verdict=verdict, reviewer="Ada", seen=seen, **more))


def rows(target: Bucket, run_id: str) -> dict[str, tuple[str, str]]:
    ledger = read_ledger(target.join("runs", run_id))
    return {
        key: (status, reason) for key, status, reason in ledger[["key", "status", "reason"]].itertuples(index=False)
    }


def pixels(bucket: Bucket, key: str) -> np.ndarray:
    return decoded(bucket.read(key))


def test_what_was_sent_back_is_restored_by_its_corrected_mask_alone(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    corrected = np.zeros((40, 60), bool)
    corrected[30:33, 5:50] = True  # and not rows 12 to 16, which the detector finds
    decide(target, "a.png", "redo", mask=store_mask(target, "a.png", corrected))
    done = restore(source, target, model="detect", reviews=True)
    assert rows(target, done["run_id"]) == {
        "a.png": ("restored", ""),
        "b.png": ("skipped", "already restored"),
        "c.png": ("skipped", "already restored"),
    }
    assert ((pixels(target, "masks/a.png.png") > 0) == corrected).all()
    made = pixels(target, "photos/a.png")
    assert (made[corrected] == GREY).all()
    assert (made[~corrected] == (255 - pixels(source, "a.png"))[~corrected]).all()


def test_a_photo_is_restored_once_for_each_time_it_was_sent_back(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    decide(target, "a.png", "redo")
    assert restore(source, target, model="detect", reviews=True)["restored"] == 1
    assert restore(source, target, model="detect", reviews=True)["restored"] == 0
    decide(target, "a.png", "redo")
    assert restore(source, target, model="detect", reviews=True)["restored"] == 1
    decide(target, "a.png", "accept")
    assert restore(source, target, model="detect", reviews=True)["skipped_reasons"] == {
        "accepted": 1,
        "already restored": 2,
    }


def test_what_was_accepted_or_rejected_is_left_alone_by_another_model_and_overwrite(
    places: tuple[Bucket, Bucket],
) -> None:
    source, target = places
    decide(target, "a.png", "accept")
    decide(target, "b.png", "reject")
    before = {key: target.read(f"photos/{key}") for key in ("a.png", "b.png")}
    done = restore(source, target, model="another", existing="overwrite", reviews=True)
    assert rows(target, done["run_id"]) == {
        "a.png": ("skipped", "accepted"),
        "b.png": ("skipped", "rejected"),
        "c.png": ("restored", ""),
    }
    assert before == {key: target.read(f"photos/{key}") for key in before}


def test_what_was_accepted_and_is_gone_is_restored_and_what_was_rejected_is_not(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    decide(target, "a.png", "accept")
    decide(target, "b.png", "reject")
    for key in ("photos/a.png", "photos/b.png"):
        target.delete(key)
    done = restore(source, target, model="detect", reviews=True)
    assert rows(target, done["run_id"])["a.png"] == ("restored", "")
    assert target.info("photos/b.png") is None


@pytest.mark.parametrize("memory_megapixels", [64.0, 0.001])
@pytest.mark.parametrize("mode", ["full", "scratches"])
def test_protected_regions_stay_the_masters_in_memory_and_from_disk(
    places: tuple[Bucket, Bucket], mode: Any, memory_megapixels: float
) -> None:
    source, target = places
    decide(target, "a.png", "redo", protected=((10, 8, 20, 12), (50, 30, 100, 100)))
    more = {"mode": mode, "in_flight_megapixels": memory_megapixels, "masks": None}
    restore(source, target, model="detect", reviews=True, **more)
    master, made = pixels(source, "a.png"), pixels(target, "photos/a.png")
    inside = np.zeros((40, 60), bool)
    inside[8:20, 10:30] = inside[30:, 50:] = True
    assert (made[inside] == master[inside]).all()
    assert (made[~inside] != master[~inside]).any()
    assert not pixels(target, "masks/a.png.png")[inside].any()


def test_the_record_says_what_was_decided_and_keeps_the_schema(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    made = decide(target, "a.png", "redo", protected=((1, 2, 3, 4),))
    restore(source, target, model="detect", reviews=True)
    record = json.loads(target.read("records/a.png.json"))
    Draft202012Validator(record_schema()).validate(record)
    assert record["review"] == {
        "number": 1, "id": made.id, "verdict": "redo", "reviewer": "Ada", "time": made.time, "mask": None,
        "protected": [[1, 2, 3, 4]],
    }  # fmt: skip
    assert "review" not in json.loads(target.read("records/b.png.json"))


def test_the_strength_of_a_decision_counts_for_its_photo_and_later_runs_keep_it(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    decide(target, "a.png", "redo", strength=0.5)
    decide(target, "b.png", "redo")
    restore(source, target, model="detect", reviews=True)
    damaged, intact = slice(12, 16), slice(16, None)
    half, master = pixels(target, "photos/a.png").astype(float), pixels(source, "a.png")
    assert (half[damaged] == GREY).all()
    assert np.abs(half[intact] - 127.5).max() <= 0.5  # the mean of a photo and its negative
    assert (pixels(target, "photos/b.png")[intact] == 255 - pixels(source, "b.png")[intact]).all()
    records = [json.loads(target.read(f"records/{key}.json")) for key in ("a.png", "b.png")]
    for record in records:
        Draft202012Validator(record_schema()).validate(record)
    assert [record["options"].get("strength") for record in records] == [0.5, None]
    assert records[0]["review"]["strength"] == 0.5
    assert master.shape == half.shape
    assert restore(source, target, model="detect", reviews=True)["restored"] == 0


def test_pages_of_a_file_are_restored_by_the_corrected_mask_of_each(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    masters = [scratched(picture(seed=seed)) for seed in (1, 2)]
    source.write("a.tif", paged(*masters))
    restore(source, target, model="detect")
    masks = [np.zeros((40, 60), bool) for _ in masters]
    masks[0][20:22], masks[1][30:35] = True, True
    drawn = paged(*(mask.astype(np.uint8) * 255 for mask in masks))
    target.write("reviews/masks/a.tif.png", drawn)
    import_csv(Reviews(target), b"key,verdict\na.tif,redo\n", Queue(target).digests(), "Ada")
    assert restore(source, target, model="detect", reviews=True)["restored"] == 1
    for number, (master, mask) in enumerate(zip(masters, masks, strict=True), start=1):
        made = read_scan(target.read("photos/a.tif"), page=number).pixels
        assert (made[mask] == GREY).all()
        assert (made[~mask] == 255 - master[~mask]).all()
        assert ((read_scan(target.read("masks/a.tif.tif"), page=number).pixels[..., 0] > 0) == mask).all()
    assert audit(target).is_clean


def test_a_corrected_mask_of_another_number_of_pages_fails_its_photo(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    source.write("a.tif", paged(picture(seed=1), picture(seed=2)))
    restore(source, target, model="detect")
    decide(target, "a.tif", "redo", mask=store_mask(target, "a.tif", np.eye(40, 60, dtype=bool)))
    done = restore(source, target, model="detect", reviews=True)
    row = read_ledger(target.join("runs", done["run_id"])).iloc[0]
    assert (row["status"], row["reason"]) == ("failed", "mask mismatch")
    assert "the mask has 1 pages, its photo 2: make a TIFF of one for each page" in row["detail"]
    (finding,) = audit(target).findings
    assert (finding.kind, finding.detail[:33]) == ("mismatched", "it has 1 pages, its photo 2: make")


def test_a_photo_that_was_too_damaged_is_restored_by_the_mask_that_a_curator_painted(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    source.write("lost.png", encoded(scratched(picture(), 2, 38), ".png"))
    assert restore(source, target, model="detect")["failed"] == 1
    decide(target, "lost.png", "redo", mask=store_mask(target, "lost.png", np.eye(40, 60, dtype=bool)))
    assert restore(source, target, model="detect", reviews=True)["restored"] == 1
    assert Queue(target).page()["counts"]["open"] == 1


def test_a_corrected_mask_of_another_size_fails_its_photo_and_overwrites_nothing(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    before = target.read("photos/a.png")
    decide(target, "a.png", "redo", mask=store_mask(target, "a.png", np.ones((4, 6), bool)))
    done = restore(source, target, model="detect", reviews=True)
    assert rows(target, done["run_id"])["a.png"] == ("failed", "mask mismatch")
    assert target.read("photos/a.png") == before


def test_a_corrected_mask_goes_before_one_that_is_given(places: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    source, target = places
    corrected = np.zeros((40, 60), bool)
    corrected[30:33] = True
    decide(target, "a.png", "redo", mask=store_mask(target, "a.png", corrected))
    given = Bucket(tmp_path / "given")
    given.write("a.png.png", encoded(np.full((40, 60), 255, np.uint8), ".png"))
    restore(source, target, model="detect", masks=given.url, reviews=True)
    assert ((pixels(target, "masks/a.png.png") > 0) == corrected).all()


def test_masks_of_the_target_itself_are_not_rewritten_but_corrected_ones_are_put_there(
    places: tuple[Bucket, Bucket],
) -> None:
    source, target = places
    corrected = np.zeros((40, 60), bool)
    corrected[1, 1] = True
    decide(target, "a.png", "redo", mask=store_mask(target, "a.png", corrected))
    restore(source, target, model="detect", masks=target.join("masks").url, reviews=True)
    assert ((pixels(target, "masks/a.png.png") > 0) == corrected).all()


def test_a_damaged_decision_ends_the_run_before_anything_is_restored(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    target.write("reviews/history/a.png/00000001.json", b"{}")
    with pytest.raises(DamagedDecision, match=r"reviews/history/a\.png/00000001\.json"):
        restore(source, target, model="another", reviews=True)
    assert len(list(target.folders("runs"))) == 1


def test_a_run_that_does_not_look_at_decisions_says_so(places: tuple[Bucket, Bucket]) -> None:
    job = job_of(source=places[0].url, target=places[1].url, model="detect")
    assert overlooked_decisions(job) == ""
    decide(places[1], "a.png", "redo")
    assert "give --reviews" in overlooked_decisions(job)


def test_the_check_knows_decisions(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    decide(target, "a.png", "redo", mask=store_mask(target, "a.png", np.ones((4, 6), bool)))
    decide(target, "b.png", "reject")
    options = RestoreOptions(isolate=False)
    told = check(
        RestoreJob(
            source=source.url, target=target.url, network=NetworkOptions(model="detect"), reviews=True, options=options
        )
    )
    assert {file.key: (file.status, file.reason) for file in told.files} == {
        "a.png": ("failed", "mask mismatch"),
        "b.png": ("skipped", "rejected"),
        "c.png": ("skipped", "already restored"),
    }  # fmt: skip


def test_shards_for_other_processes_carry_what_was_decided(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    decide(target, "a.png", "redo", protected=((1, 2, 3, 4),))
    photo = Photo("a.png", "1", 9, (), wishes_of(target)["a.png"])
    run = target.join("runs", "handed")
    shard_store.store_shards(
        run, RestoreJob(source=source.url, target=target.url, reviews=True), [[photo, Photo("b.png", "1", 9)]]
    )
    assert shard_store.read_photos(run, 0) == [photo, Photo("b.png", "1", 9)]
    assert shard_store.read_job(run).reviews


def test_without_decisions_the_option_changes_nothing(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    put(source, ["a.png"])
    restore(source, target)
    assert restore(source, target, reviews=True)["skipped_reasons"] == {"already restored": 1}
