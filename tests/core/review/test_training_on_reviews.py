"""The detector learns from corrected masks: what was painted and erased counts in full, the rest as before."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fakes import encoded, picture, scratched
from jsonschema import Draft202012Validator
from photos import album
from runs import restore

from oldphoto_core.checkpoints import PHOTOS
from oldphoto_core.degradation import ArchiveRecipe
from oldphoto_core.desk.queue import Queue
from oldphoto_core.errors import ConfigError, TrainingError
from oldphoto_core.reviews.corrected import store_mask, with_uncorrected
from oldphoto_core.reviews.decision import Decision, review_schema
from oldphoto_core.reviews.shares import Reviewed, reviewed_by_model
from oldphoto_core.reviews.store import Reviews, review_key
from oldphoto_core.reviews.table import import_csv
from oldphoto_core.storage import Bucket, read_ledger
from oldphoto_core.training.defaults import default_config
from oldphoto_core.training.detection import DetectionBatches
from oldphoto_core.training.photos.batches import PhotoSet
from oldphoto_core.training.photos.reviewed import CORRECTIONS, CorrectedSet, corrected_photos, read_corrected
from oldphoto_core.training.run import configs_for, train_stage

TINY: dict[str, Any] = {
    "preset": "compact", "steps": 2, "batch": 2, "crop": 32, "canvas": 64, "crops_of_canvas": 2, "precision": "float32",
    "most_rescaled": 1.0, "halved_share": 0.0,
}  # fmt: skip
FOUND = slice(12, 16)
"""Rows that the detector found."""
PAINTED, ERASED = (slice(30, 33), slice(5, 50)), (slice(12, 16), slice(0, 20))


def corrected() -> np.ndarray:
    """What the detector found, with a stroke more and a part erased."""
    mask = np.zeros((40, 60), bool)
    mask[FOUND] = True
    mask[PAINTED], mask[ERASED] = True, False
    return mask


def send_back(target: Bucket, key: str = "a.png", mask: np.ndarray | None = None, verdict: Any = "redo") -> Decision:
    reviews, photo = Reviews(target), Queue(target).photo(key)
    sha256 = "" if mask is None else store_mask(target, key, mask)
    decision = Decision(key=key, verdict=verdict, reviewer="Ada", seen=photo.output_sha256, mask=sha256)
    return reviews.add(with_uncorrected(target, decision, reviews.last(key)))


@pytest.fixture
def places(tmp_path: Path) -> tuple[Bucket, Bucket]:
    """Two scratched photos, restored once."""
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    for seed, key in enumerate(["a.png", "b.png"]):
        source.write(key, encoded(scratched(picture(seed=seed)), ".png"))
    restore(source, target, model="detect")
    return source, target


def test_the_mask_before_its_correction_is_kept_also_when_the_photo_was_restored_again(
    places: tuple[Bucket, Bucket],
) -> None:
    source, target = places
    first = send_back(target, mask=corrected())
    restore(source, target, model="detect", reviews=True)
    second = send_back(target, mask=~corrected())
    assert first.uncorrected == second.uncorrected != ""
    Draft202012Validator(review_schema()).validate(json.loads(target.read(review_key("a.png"))))
    _, mask, touched = read_corrected(corrected_photos(target)[0])
    found = np.zeros((40, 60), bool)
    found[FOUND] = True
    assert (mask == ~corrected()).all()
    assert (touched == (~corrected() ^ found)).all()


def test_decisions_of_versions_that_did_not_keep_it_stay_valid(places: tuple[Bucket, Bucket]) -> None:
    _, target = places
    send_back(target, mask=corrected())
    shown = json.loads(target.read(review_key("a.png")))
    del shown["decisions"][0]["uncorrected"]
    Draft202012Validator(review_schema()).validate(shown)


def test_a_mask_that_another_program_corrected_is_learnt_from_too(places: tuple[Bucket, Bucket]) -> None:
    _, target = places
    (Path(target.url) / "reviews/masks").mkdir(parents=True)
    target.write("reviews/masks/a.png.png", encoded(corrected().astype(np.uint8) * 255, ".png"))
    import_csv(Reviews(target), b"key,verdict\na.png,redo\n", Queue(target).digests(), "Ada")
    assert len(corrected_photos(target)) == 1
    assert read_corrected(corrected_photos(target)[0])[2].sum() == 3 * 45 + 4 * 20


def batches_of(target: Bucket, old: PhotoSet, **changes: Any) -> DetectionBatches:
    config = default_config("scratches", **(TINY | {"reviewed_share": 1.0} | changes))
    return DetectionBatches(config, old, old, reviewed=CorrectedSet(corrected_photos(target)))


def test_painted_and_erased_pixels_count_in_full_and_untouched_ones_as_before(
    places: tuple[Bucket, Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places
    nothing = np.zeros((40, 60), bool)
    undamaged = SimpleNamespace(mask=nothing, visible=nothing.astype(np.float32))
    monkeypatch.setattr(
        ArchiveRecipe, "degrade", lambda _self, photo, _rng: SimpleNamespace(image=photo, **vars(undamaged))
    )
    send_back(target, mask=corrected())
    batches = batches_of(target, PhotoSet(source, ["b.png"]), canvas=0)
    touched = np.zeros((40, 60), bool)
    touched[PAINTED], touched[ERASED] = True, True
    expected = {turned.tobytes() for turned in (corrected(), corrected()[:, ::-1])}
    made = [batches._canvas(number) for number in range(6)]
    assert {mask.tobytes() for _, mask, _ in made} == expected  # some are mirrored
    for _, mask, weight in made:
        hand = touched if mask.tobytes() == corrected().tobytes() else touched[:, ::-1]
        # what the detector found and nobody touched counts as all of an old photo does
        assert (weight == np.where(hand, np.float32(1.0), np.float32(0.5))).all()


def test_damage_is_added_to_corrected_photos_as_to_other_old_ones(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    send_back(target, mask=corrected())
    batches = batches_of(target, PhotoSet(source, ["b.png"]), canvas=0)
    masks = [batches._canvas(number)[1] for number in range(6)]
    assert max(mask.sum() for mask in masks) > corrected().sum()
    assert all(mask.sum() >= corrected().sum() for mask in masks)


def test_without_corrections_batches_are_what_they_were(places: tuple[Bucket, Bucket]) -> None:
    old = PhotoSet(places[0], ["a.png", "b.png"])
    config = default_config("scratches", **TINY)
    before, now = (DetectionBatches(config, old, old, **more) for more in ({}, {"reviewed": CorrectedSet([])}))
    for name in ("degraded", "mask", "weight"):
        assert torch.equal(getattr(before.batch(1), name), getattr(now.batch(1), name))


def test_a_training_on_corrections_is_recorded_and_goes_on_with_those_it_began_with(
    places: tuple[Bucket, Bucket], tmp_path: Path
) -> None:
    source, target = places
    send_back(target, mask=corrected())
    clean, out = Bucket(str(album(tmp_path / "clean", 6))), Bucket(tmp_path / "out")
    config = default_config("scratches", **TINY, reviews=target.url, reviewed_share=0.5)
    result = train_stage(config, clean, source, out, device="cpu")
    assert result["reviewed_photos"] == 1
    seen = json.loads(out.read(f"scratches/{PHOTOS}"))[source.url]
    assert "a.png" in [key for key, *_ in seen]
    send_back(target, "b.png", mask=corrected())
    assert len(json.loads(out.read(f"scratches/{CORRECTIONS}"))) == 1
    assert train_stage(config, clean, source, out, device="cpu")["reviewed_photos"] == 1


def test_of_each_model_is_counted_what_became_of_its_derivatives(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    send_back(target)
    send_back(target, "b.png", verdict="accept")
    first = read_ledger(target.join("runs", restore(source, target, model="invert", reviews=True)["run_id"]))
    send_back(target, verdict="accept")
    shares = reviewed_by_model([target])
    invert = str(first.loc[first["key"] == "a.png", "model"].iloc[0])
    (detect,) = set(shares) - {invert}
    assert str(shares[invert]) == "1 of 1 results accepted (100%)"
    assert shares[detect] == Reviewed(accepted=1, rejected=0, sent_back=1)


def test_where_nothing_is_corrected_or_only_rejected_that_is_said(places: tuple[Bucket, Bucket]) -> None:
    _, target = places
    send_back(target, verdict="accept")
    send_back(target, "b.png", mask=corrected(), verdict="reject")
    with pytest.raises(TrainingError, match="no photo with a corrected mask"):
        corrected_photos(target)


def test_only_the_detector_takes_corrections(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stage mapping learns no masks"):
        default_config("mapping", reviews=str(tmp_path))
    configs = configs_for("all", "compact", reviews=str(tmp_path))
    assert {config.stage for config in configs if config.reviews} == {"scratches"}


def test_a_master_that_is_another_one_by_now_is_not_learnt_from(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    send_back(target, mask=corrected())
    source.write("a.png", encoded(picture(seed=9), ".png"))
    photos = CorrectedSet(corrected_photos(target))
    with pytest.raises(TrainingError, match=r"cannot be read; the last: a\.png"):
        photos.random(np.random.default_rng(1))
    assert list(photos.unreadable) == ["a.png"]
