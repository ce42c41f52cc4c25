"""Retraining: what is new by version, a challenger that is promoted as it is better, one that is not, and kills."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from photos import photo

from oldphoto_core.checkpoints import (
    ModelCard,
    Registry,
    load_model,
    photos_of,
    place_of,
    publish_version,
    read_card,
    save_model,
)
from oldphoto_core.errors import (
    ConfigError,
    DamagedWeights,
    Diverged,
    Occupied,
    TooFewPhotos,
    TrainingError,
    UnknownModel,
)
from oldphoto_core.nets import preset_named
from oldphoto_core.reports.record import SCHEMA
from oldphoto_core.retraining import (
    Outcome,
    RetrainConfig,
    conclude,
    judge_challenger,
    make_plan,
    occupied,
    open_retraining,
    train_challenger,
)
from oldphoto_core.retraining.judging import REVIEWED, SetResult, decide, judge
from oldphoto_core.retraining.plan import is_held_out
from oldphoto_core.reviews.corrected import store_mask
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.lease import Lease
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.assembling import publish
from oldphoto_core.training.config import TRIPLET

TINY: dict[str, Any] = {
    "steps": 30, "batch": 4, "crop": 32, "validate_every": 30, "validation_crops": 2, "checkpoint_every": 10,
    "warm_up": 2, "canvas": 0, "crops_of_canvas": 1, "learning_rate": 2e-3,
}  # fmt: skip
LENIENT: dict[str, Any] = {
    "minimum": 5, "recipes": ("published",), "crop": 64, "most_judged": 6, "least_judged": 4, "gap_resamples": 10,
    "held_out_share": 0.4,
}  # fmt: skip


def pictures(folder: Path, numbers: range) -> Bucket:
    """Photos of four patches each, so that naturalness can be told."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        grain = np.random.default_rng(number).normal(0, 6, (192, 192, 1))
        pixels = np.clip(photo(number, 192, 192) + grain, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"p-{number:03d}.png"), pixels)
    return Bucket(folder)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return pictures(tmp_path_factory.mktemp("clean"), range(60))


@pytest.fixture
def incoming(tmp_path: Path) -> Bucket:
    return pictures(tmp_path / "incoming", range(100, 116))


def registry_with(model: str, folder: Path) -> Registry:
    registry = Registry(str(folder))
    publish_version(registry, model, "house@1", data=["drawings"], licence="CC0")
    registry.promote("house@1", why="the first")
    return registry


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "untrained"
    torch.manual_seed(0)
    card = ModelCard(name="untrained", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-26")
    save_model(Bucket(folder), preset_named("compact").triplet(), card)
    return str(folder)


def config_of(incoming: Bucket, clean: Bucket, registry: Registry, **more: Any) -> RetrainConfig:
    changes = TINY | more.pop("changes", {})
    places = {"incoming": incoming.url, "clean": clean.url, "registry": registry.bucket.url}
    return RetrainConfig(**places, **(LENIENT | more), changes=changes)


def retrained(config: RetrainConfig) -> Outcome:
    with occupied(config.registry):
        plan = open_retraining(config)
        for stage in plan.stages():
            train_challenger(plan, stage, lambda step, steps, values: None)
        return conclude(plan, judge_challenger(plan))


@pytest.mark.long
def test_a_better_challenger_is_promoted_and_can_be_rolled_back(
    untrained: str, incoming: Bucket, clean: Bucket, tmp_path: Path
) -> None:
    registry = registry_with(untrained, tmp_path / "registry")
    lenient = {"tolerance_niqe": 1000.0, "tolerance_gap": 10.0}
    outcome = retrained(config_of(incoming, clean, registry, **lenient))
    assert outcome.decision == "promoted", outcome.report
    assert registry.exact("champion") == "house@2"
    card = load_model(place_of("champion", registry.bucket.url)).card
    assert {each["model"] for each in card.lineage} == {"house@1"}
    assert card.metrics["retraining"]["published, undamaged"]["low"] > 0
    seen = {each.sha256 for each in photos_of(place_of("house@2", registry.bucket.url))}
    arrived = [incoming.sha256(entry.key) for entry in incoming.list()]
    assert 0 < len(seen & set(arrived)) < len(arrived)  # the others are what it was judged by
    report = json.loads(Bucket(outcome.place).read("report.json"))
    assert report["decision"] == "promoted"
    assert report["sets"]["real photos, latent domain gap"]["photos"] >= 4
    assert Bucket(outcome.place).read("contact_sheet.png").startswith(b"\x89PNG")
    # those that it was judged by are no reason to train again
    with pytest.raises(TooFewPhotos, match="has 0 photos to train on that house@2 has not seen"):
        make_plan(config_of(incoming, clean, registry))
    assert registry.rollback(why="smooth faces").champion == "house@1"
    with pytest.raises(TooFewPhotos, match="were tried against house@1 already"):
        make_plan(config_of(incoming, clean, registry))
    assert make_plan(config_of(incoming, clean, registry, again=True)).challenger == "house@3"


@pytest.mark.long
def test_a_worse_challenger_is_refused_and_the_champion_stays(incoming: Bucket, clean: Bucket, tmp_path: Path) -> None:
    registry = registry_with("starter", tmp_path / "registry")
    config = config_of(incoming, clean, registry, changes={"learning_rate": 0.01, "steps": 8, "most_loss_rise": 0})
    outcome = retrained(config)
    assert outcome.decision == "not promoted"
    assert "may be worse by more than 0.1 dB" in outcome.report
    assert registry.exact("champion") == "house@1"
    assert registry.versions() == ["house@1"]
    with pytest.raises(TooFewPhotos, match=r"the same \d+ new photos were tried against house@1 already"):
        open_retraining(config)
    assert make_plan(replace(config, again=True)).challenger == "house@3"


@pytest.mark.long
def test_a_retraining_that_diverges_has_come_to_its_end(
    untrained: str, incoming: Bucket, clean: Bucket, tmp_path: Path
) -> None:
    registry = registry_with(untrained, tmp_path / "registry")
    config = config_of(incoming, clean, registry, changes={"learning_rate": 1e6, "clip_gradient": 0.0, "warm_up": 0})
    with pytest.raises(Diverged, match="vae_old stopped at step"):
        retrained(config)
    report = json.loads(registry.bucket.read("retraining/house@2/report.json"))
    assert report["decision"] == "diverged"
    with pytest.raises(TooFewPhotos, match=r"tried against house@1 already \(diverged"):
        open_retraining(config)


@pytest.mark.long
def test_a_champion_whose_networks_were_trained_together_is_retrained_so(
    incoming: Bucket, clean: Bucket, tmp_path: Path
) -> None:
    out = Bucket(tmp_path / "trained")
    last = default_config("joint", **TINY | {"steps": 1}, start_model="starter")
    train_stage(last, clean, clean, out)
    publish(last, out, name="together")
    registry = registry_with(str(tmp_path / "trained/model"), tmp_path / "registry")
    config = config_of(incoming, clean, registry, changes={"steps": 1, "validate_every": 1})
    assert [(stage.stage, stage.detail, stage.target) for stage in make_plan(config).stages()] == [
        ("joint", True, "toned")
    ]
    outcome = retrained(config)
    card = read_card(f"{outcome.place}/model")
    assert card.detail
    assert set(card.training) == {*TRIPLET, "joint"}


@pytest.mark.long
def test_a_killed_retraining_goes_on_with_its_plan_whatever_arrives_meanwhile(
    untrained: str, incoming: Bucket, clean: Bucket, tmp_path: Path
) -> None:
    registry = registry_with(untrained, tmp_path / "registry")
    config = config_of(incoming, clean, registry, changes={"steps": 6, "checkpoint_every": 2})
    plan = open_retraining(config)

    def killed(step: int, steps: int, values: dict[str, float]) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_challenger(plan, plan.stages()[0], killed)
    pictures(tmp_path / "incoming", range(200, 204))
    seen: list[int] = []
    again = open_retraining(config)
    assert again == plan
    spent = train_challenger(again, again.stages()[0], lambda step, steps, values: seen.append(step))
    assert seen == [5, 6]
    assert spent["old_photos"] == len(plan.new)
    with pytest.raises(TrainingError, match="other settings"):
        open_retraining(replace(config, minimum=3))


def test_what_is_new_is_told_by_bytes_and_version_not_by_name_or_time(
    untrained: str, incoming: Bucket, clean: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oldphoto_core.checkpoints import PHOTOS, SeenPhoto, photos_to_json

    entries = list(incoming.list())
    known = [SeenPhoto(incoming.url, each.key, each.version, incoming.sha256(each.key)) for each in entries[:10]]
    model = Bucket(tmp_path / "model")
    digest = model.write(PHOTOS, photos_to_json(known))
    card = replace(read_card(untrained), parts={PHOTOS: digest})
    save_model(model, load_model(untrained).networks, card)
    registry = registry_with(model.url, tmp_path / "registry")
    incoming.write("renamed.png", incoming.read(entries[0].key))
    incoming.write(entries[1].key, incoming.read(entries[1].key))  # as new by its time, the same by its bytes
    read: list[str] = []
    reading = Bucket.read

    def noted(self: Bucket, key: str, **version: Any) -> bytes:
        read.extend([key] if self == incoming else [])
        return reading(self, key, **version)

    monkeypatch.setattr(Bucket, "read", noted)
    plan = make_plan(config_of(incoming, clean, registry, minimum=1))
    held_out = {each.key for each in plan.real}
    assert {each.key for each in plan.new} == {each.key for each in entries[10:]} - held_out
    assert {each.key for each in plan.before} == {each.key for each in entries[:10]}
    assert set(read) == {"renamed.png", entries[1].key, *(each.key for each in entries[10:])}


def test_a_list_of_photos_keeps_every_version_of_a_key() -> None:
    from oldphoto_core.checkpoints import SeenPhoto, photos_from_json, photos_to_json

    photos = [SeenPhoto("in", "a.png", version, version * 64) for version in ("9", "1")]
    assert sorted(photos_from_json(photos_to_json([*photos, *photos]), "list")) == sorted(photos)
    with pytest.raises(DamagedWeights, match="no list of photos"):
        photos_from_json(b'{"in": [["a.png"]]}', "list")


def test_too_little_and_unreadable_photos_are_told(
    untrained: str, incoming: Bucket, clean: Bucket, tmp_path: Path
) -> None:
    registry = registry_with(untrained, tmp_path / "registry")
    incoming.write("spoiled.png", b"no picture")
    with pytest.raises(TooFewPhotos, match=r"to train on that house@1 has not seen \(1 more cannot be read\), 50"):
        make_plan(config_of(incoming, clean, registry, minimum=50))
    plan = make_plan(config_of(incoming, clean, registry))
    assert [key for key, _ in plan.left_out] == ["spoiled.png"]
    assert "left out, unreadable: 1" in plan.in_words()
    assert not {each.key for each in plan.new} & {each.key for each in plan.real}
    assert all(is_held_out(each, 0.4) for each in plan.real)
    with pytest.raises(UnknownModel, match="no champion yet"):
        make_plan(config_of(incoming, clean, Registry(str(tmp_path / "empty"))))


def test_with_too_few_photos_to_judge_by_it_does_not_begin(
    untrained: str, incoming: Bucket, clean: Bucket, tmp_path: Path
) -> None:
    registry = registry_with(untrained, tmp_path / "registry")
    config = config_of(incoming, clean, registry, held_out_share=1e-6, minimum=16)
    assert "too few to judge by: at least 4 of each are needed" in make_plan(config).in_words()
    with pytest.raises(TooFewPhotos, match="0 old photos are held out and unseen by house@1, 4 are needed"):
        open_retraining(config)
    assert not list(registry.bucket.list("retraining"))


def test_two_retrainings_at_once_and_architectures_that_cannot_be_trained_are_refused(
    untrained: str, incoming: Bucket, clean: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Lease.__init__.__kwdefaults__, "seconds", 3.0)
    registry = registry_with(untrained, tmp_path / "registry")
    with (
        occupied(registry.bucket.url),
        pytest.raises(Occupied, match="is held by process"),
        occupied(registry.bucket.url),
    ):
        pass
    folder = registry.folder("house@1")
    card = replace(read_card(folder.url), preset="published")
    other = Bucket(tmp_path / "other")
    other.write("weights.safetensors", folder.read("weights.safetensors"))
    other.write("card.json", card.to_json().encode())
    publish_version(registry, other.url, "house@2")
    registry.promote("house@2", why="as published")
    with pytest.raises(TrainingError, match="architecture published"):
        make_plan(config_of(incoming, clean, registry))


def reviewed(photos: Bucket, target: Bucket) -> Bucket:
    """A target whose run restored these photos, and in which the mask of each was corrected."""
    mask = np.zeros((192, 192), bool)
    mask[90:95, 20:170] = True
    for entry in photos.list():
        source = {"bucket": photos.url, "key": entry.key, "version": entry.version, "sha256": photos.sha256(entry.key)}
        target.write(f"records/{entry.key}.json", json.dumps({"schema": SCHEMA, "source": source}).encode())
        sha256 = store_mask(target, entry.key, mask)
        Reviews(target).add(Decision(key=entry.key, verdict="redo", reviewer="Ada", mask=sha256))
    return target


def test_photos_with_corrected_masks_judge_unless_one_of_the_models_learns_from_them(
    untrained: str, incoming: Bucket, clean: Bucket, tmp_path: Path
) -> None:
    registry = registry_with(untrained, tmp_path / "registry")
    elsewhere = reviewed(pictures(tmp_path / "elsewhere", range(200, 205)), Bucket(tmp_path / "target"))
    plan = make_plan(config_of(incoming, clean, registry, reviews=elsewhere.url))
    assert len(plan.reviewed) == 5
    assert "5 photos with corrected masks" in plan.in_words()
    assert type(plan).from_json(plan.to_json()) == plan
    arrived = reviewed(incoming, Bucket(tmp_path / "arrived"))
    plan = make_plan(config_of(incoming, clean, registry, reviews=arrived.url))
    judged = {each.master.sha256 for each in plan.reviewed}
    assert judged == {photo.sha256 for photo in plan.real}


def test_corrected_masks_that_are_too_few_to_judge_by_stop_nothing(
    untrained: str, incoming: Bucket, clean: Bucket, tmp_path: Path
) -> None:
    registry = registry_with(untrained, tmp_path / "registry")
    few = reviewed(pictures(tmp_path / "few", range(200, 203)), Bucket(tmp_path / "target"))
    assert make_plan(config_of(incoming, clean, registry, reviews=few.url)).reviewed == ()


@pytest.mark.long
def test_the_verdict_has_a_set_of_photos_with_corrected_masks(
    untrained: str, incoming: Bucket, clean: Bucket, tmp_path: Path
) -> None:
    registry = registry_with(untrained, tmp_path / "registry")
    target = reviewed(pictures(tmp_path / "elsewhere", range(200, 205)), Bucket(tmp_path / "target"))
    plan = make_plan(config_of(incoming, clean, registry, reviews=target.url))
    verdict = judge(plan, untrained, untrained)
    found = {each.name: (each.photos, each.gain, each.unit) for each in verdict.sets}
    assert found[REVIEWED] == (5, 0.0, "NIQE")


def result(name: str, low: float, gain: float = 0.5, photos: int = 40) -> SetResult:
    return SetResult(
        name=name,
        unit="dB",
        photos=photos,
        champion=20,
        challenger=20 + gain,
        gain=gain,
        low=low,
        high=1,
        tolerance=0.1,
    )


@pytest.mark.parametrize(
    ("sets", "promote", "words"),
    [
        ([result("a", 0.1), result("b", -0.05)], True, "a: better"),
        ([result("a", 0.1), result("b", -0.2)], False, "b: may be worse by more than 0.1 dB"),
        ([result("a", -0.05), result("b", -0.05)], False, "no set is better beyond chance"),
        ([result("a", 0.1), result("b", 0.1, photos=3)], False, "b: 3 photos are too few"),
        ([result("a", 0.1), result("b", float("nan"))], False, "b: may be worse"),
    ],
)
def test_a_challenger_must_be_better_somewhere_and_worse_nowhere(
    sets: list[SetResult], promote: bool, words: str
) -> None:
    config = RetrainConfig(incoming="in", clean="clean", registry="registry")
    decided, reasons = decide(sets, config)
    assert decided is promote
    assert words in " ".join(reasons)


@pytest.mark.parametrize(
    "nonsense",
    [{"minimum": 0}, {"new_share": 1.0}, {"tolerance_gap": -1.0}, {"recipes": ()}, {"changes": {"stage": 1}}],
)
def test_settings_that_cannot_work_name_themselves(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(nonsense))):
        RetrainConfig(incoming="in", clean="clean", registry="registry", **nonsense)
