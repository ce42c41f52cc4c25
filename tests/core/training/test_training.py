"""Training: batches that depend on the step alone, losses that fall, and kills that cost nothing but time."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photos import album
from PIL import Image
from waiting import wait_until

from oldphoto_core.checkpoints import Registry, load_detector, load_model, photos_of, publish_version
from oldphoto_core.degradation import ArchiveRecipe
from oldphoto_core.degradation.archive import Making
from oldphoto_core.degradation.archive.texture import Grain
from oldphoto_core.errors import ConfigError, SourceMissing, TrainingError
from oldphoto_core.nets.presets import PRESETS, preset_named
from oldphoto_core.storage import Bucket
from oldphoto_core.training import STAGES, default_config, train_all, train_stage
from oldphoto_core.training.config import Ramp, StageConfig, config_from_record
from oldphoto_core.training.loop import refuse_other_config
from oldphoto_core.training.photos.batches import Batches, PhotoSet, split_keys
from oldphoto_core.training.progress.history import History
from oldphoto_core.training.run import configs_for
from oldphoto_core.training.stages import make_stage

TINY: dict[str, Any] = {
    "steps": 6, "batch": 4, "crop": 32, "validate_every": 3, "validation_crops": 2, "checkpoint_every": 2, "warm_up": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(str(album(tmp_path_factory.mktemp("clean"), 10)))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(str(album(tmp_path_factory.mktemp("old"), 4, first=50)))


def weights(out: Bucket, stage: str) -> bytes:
    return out.read(f"{stage}/weights.safetensors")


def losses(out: Bucket, stage: str) -> list[str]:
    header, *rows = out.read(f"{stage}/log.csv").decode().splitlines()
    column = header.split(",").index("loss")
    return [row.split(",")[column] for row in rows]


def test_a_batch_depends_on_its_step_alone(clean: Bucket, old: Bucket) -> None:
    config = default_config("vae_old", **TINY)
    keys = [entry.key for entry in clean.list()]
    first = Batches(config, PhotoSet(clean, keys), PhotoSet(old, ["album-050.png"]))
    second = Batches(config, PhotoSet(clean, keys), PhotoSet(old, ["album-050.png"]))
    first.batch(0)
    for ours, theirs in ((first.batch(4), second.batch(4)),):
        assert torch.equal(ours.clean, theirs.clean)
        assert torch.equal(ours.degraded, theirs.degraded)
        assert ours.old is not None
        assert torch.equal(ours.old, theirs.old)  # type: ignore[arg-type]


def test_batches_arrive_in_order_whatever_thread_made_them(clean: Bucket) -> None:
    config = default_config("mapping", **TINY)
    batches = Batches(config, PhotoSet(clean, [entry.key for entry in clean.list()]), None)
    for step, batch in enumerate(batches.from_step(2), start=2):
        assert torch.equal(batch.clean, batches.batch(step).clean)
    assert step == config.steps - 1


def test_the_mapping_is_shown_white_holes_and_their_masks(clean: Bucket) -> None:
    config = default_config("mapping", **(TINY | {"batch": 16}))
    batch = Batches(config, PhotoSet(clean, [entry.key for entry in clean.list()]), None).batch(0)
    assert batch.mask is not None
    damaged = batch.mask.expand_as(batch.degraded) > 0.5
    assert damaged.any()
    assert (batch.degraded[damaged] == 1).all()
    assert not batch.mask.flatten(1).any(dim=1).all()


def test_crops_of_one_canvas_share_its_damage(clean: Bucket) -> None:
    config = default_config("mapping", **(TINY | {"batch": 4, "canvas": 64, "crops_of_canvas": 4}))
    unscratched = replace(config, scratches=replace(config.scratches, probability=0.0), grey_share=0.0)
    photos = PhotoSet(clean, [entry.key for entry in clean.list()][:1])
    batch = Batches(unscratched, photos, None).batch(0)
    assert batch.clean.shape == (4, 3, 32, 32)
    assert len({crop.numpy().tobytes() for crop in batch.clean}) == 4
    canvas = list(Batches(replace(unscratched, crop=64), photos, None).batch(0).clean[:1])
    assert canvas[0].shape == (3, 64, 64)


def test_the_last_photos_of_each_prefix_are_held_out() -> None:
    keys = [f"a-{n:03d}.png" for n in range(20)] + [f"b-{n:03d}.png" for n in range(10)]
    training, validation = split_keys(keys, 3)
    assert validation == ["a-017.png", "a-018.png", "a-019.png", "b-008.png", "b-009.png"]
    assert sorted(training + validation) == keys


def test_small_photos_are_reflected_up_to_the_crop(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "small.png"), np.full((20, 300, 3), 40, np.uint8))
    crop = PhotoSet(Bucket(str(tmp_path)), ["small.png"]).random_crop(64, np.random.default_rng(0))
    assert crop.shape == (64, 64, 3)
    assert (crop == 40).all()


def test_of_several_squares_drawn_from_a_photo_the_most_detailed_is_taken(tmp_path: Path) -> None:
    photo = np.full((128, 512, 3), 120, np.uint8)
    photo[:, 448:] = np.random.default_rng(1).integers(0, 256, (128, 64, 3))
    Image.fromarray(photo).save(tmp_path / "sky-and-grass.png")
    photos = PhotoSet(Bucket(str(tmp_path)), ["sky-and-grass.png"])

    def share_with_grass(draws: int) -> float:
        drawn = (photos.random_crop(64, np.random.default_rng(seed), draws=draws) for seed in range(40))
        return float(np.mean([crop.std() > 5 for crop in drawn]))

    assert share_with_grass(8) > share_with_grass(1) + 0.3


@pytest.mark.long
def test_every_stage_trains_and_becomes_a_model(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    out = Bucket(str(tmp_path))
    configs = configs_for("all", "compact", **TINY)
    card = train_all(configs, clean, old, out, name="tiny")
    assert load_model(str(tmp_path / "model")).card == card
    assert {photo.sha256 for photo in photos_of(tmp_path / "model")} >= {clean.sha256("album-000.png")}
    assert {stage: result["steps"] for stage, result in card.training.items()} == dict.fromkeys(STAGES, 6)
    lines = "".join(f"{clean.sha256(f'album-{number:03d}.png')}  album-{number:03d}.png\n" for number in range(8))
    seen = {"url": clean.url, "photos": 8, "sha256": hashlib.sha256(lines.encode()).hexdigest()}
    assert card.training["mapping"]["data"][0] == seen
    assert card.code["torch"] == torch.__version__
    detector = load_detector(str(tmp_path / "model"))
    assert detector is not None
    assert detector.threshold == card.training["scratches"]["threshold"]
    assert out.read("mapping/chart.png").startswith(b"\x89PNG")
    sheets = [f"{stage}/samples/{step:08d}.jpg" for stage in STAGES for step in (3, 6)]
    assert all(out.read(sheet).startswith(b"\xff\xd8") for sheet in sheets)
    assert "psnr" in out.read("mapping/log.csv").decode().splitlines()[0]


def test_fine_tuning_keeps_to_the_version_that_was_champion_when_it_began(
    clean: Bucket, old: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, out = Registry(str(tmp_path / "registry")), Bucket(str(tmp_path / "tuned"))
    monkeypatch.setenv("OLDPHOTO_REGISTRY", registry.bucket.url)
    for version in ("1", "2"):
        publish_version(registry, "starter", f"house@{version}", data=["unknown"])
    registry.promote("house@1", why="the first")
    config = default_config("vae_old", **TINY, start_model="champion")
    result = train_stage(config, clean, old, out)
    assert result["config"]["start_model"] == "house@1"
    assert result["parent"] == {"model": "house@1", "weights_sha256": load_model("starter").card.weights_sha256}
    registry.promote("house@2", why="another")
    with pytest.raises(TrainingError, match="start_model was house@1, now house@2"):
        train_stage(config, clean, old, out)


@pytest.mark.long
def test_reconstruction_becomes_better(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    config = default_config("vae_old", **(TINY | {"steps": 40, "validate_every": 10}))
    train_stage(config, clean, old, Bucket(str(tmp_path)))
    found = [float(loss) for loss in losses(Bucket(str(tmp_path)), "vae_old")]
    assert found[-1] < 0.7 * found[0]


@pytest.mark.parametrize("name", ["vae_old", "mapping"])
def test_bfloat16_changes_losses_little_and_leaves_weights_in_float32(clean: Bucket, old: Bucket, name: Any) -> None:
    config = default_config(name, **TINY)
    batch = Batches(config, PhotoSet(clean, ["album-000.png"]), PhotoSet(old, ["album-050.png"])).batch(0)
    measured = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(1)
        stage = make_stage(replace(config, precision=precision), preset_named("compact").triplet())
        measured.append(stage.step(batch, 0)["loss"])
        assert {weight.dtype for weight in stage.networks["generator"].parameters()} == {torch.float32}
    assert measured[0] != measured[1]
    assert measured[0] == pytest.approx(measured[1], rel=0.02)


def test_adversarial_terms_train_their_critics(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    terms = {name: Ramp(value=0.1, start=2) for name in ("adversarial", "feature_matching", "latent_adversarial")}
    train_stage(default_config("vae_old", **TINY, **terms), clean, old, Bucket(str(tmp_path)))
    header = Bucket(str(tmp_path)).read("vae_old/log.csv").decode().splitlines()[0]
    assert {"adversarial", "feature_matching", "critic_image", "latent_adversarial", "critic_latent"} < set(
        header.split(",")
    )


@pytest.mark.long
def test_an_interrupted_training_ends_as_an_undisturbed_one(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    config = default_config("vae_old", **TINY, latent_adversarial=Ramp(value=0.1))
    whole, parts = Bucket(str(tmp_path / "whole")), Bucket(str(tmp_path / "parts"))
    train_stage(config, clean, old, whole)

    def stop(step: int, steps: int, values: dict[str, float]) -> None:
        if step == 3:  # after the checkpoint of step 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stage(config, clean, old, parts, stop)
    train_stage(config, clean, old, parts)
    ours, theirs = (losses(out, "vae_old") for out in (whole, parts))
    assert ours[-1] == theirs[-1]
    assert weights_alone(parts) == weights_alone(whole)


def weights_alone(out: Bucket) -> dict[str, bytes]:
    from oldphoto_core.checkpoints.tensors import unpack

    return {name: tensor.numpy().tobytes() for name, tensor in unpack(weights(out, "vae_old"), "weights")[0].items()}


@pytest.mark.long
def test_a_killed_training_goes_on_from_its_last_checkpoint(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    script = (
        "from oldphoto_core.storage import Bucket; from oldphoto_core.training import default_config, train_stage\n"
        "train_stage(default_config('vae_old', steps=4000, batch=4, crop=32, checkpoint_every=2),"
        f"Bucket({clean.url!r}), Bucket({old.url!r}), Bucket({str(tmp_path)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], env=os.environ | {"OMP_NUM_THREADS": "1"})
    checkpoints = tmp_path / "vae_old" / "checkpoints"
    wait_until(lambda: any(checkpoints.glob("*.safetensors")) or process.poll() is not None, "a checkpoint")
    process.send_signal(signal.SIGKILL)
    process.wait()
    seen: list[int] = []

    def stop(step: int, steps: int, values: dict[str, float]) -> None:
        seen.append(step)
        raise KeyboardInterrupt

    config = default_config("vae_old", steps=4000, batch=4, crop=32, checkpoint_every=2)
    with pytest.raises(KeyboardInterrupt):
        train_stage(config, clean, old, Bucket(str(tmp_path)), stop)
    assert seen[0] > 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name.startswith(".")]


def test_a_setting_that_is_younger_than_a_training_does_not_keep_it_from_going_on(
    clean: Bucket, old: Bucket, tmp_path: Path
) -> None:
    config = default_config("vae_old", **TINY)
    before = json.loads(json.dumps(config.record()))
    for name in ("accumulation", "compiled"):
        del before[name]
    refuse_other_config(before, config, Bucket(str(tmp_path)))
    with pytest.raises(TrainingError, match="accumulation was 1, now 2"):
        refuse_other_config(before, replace(config, accumulation=2), Bucket(str(tmp_path)))


def test_a_training_goes_on_without_an_operation_that_is_younger_than_it(
    clean: Bucket, old: Bucket, tmp_path: Path
) -> None:
    out = Bucket(tmp_path)
    asked = default_config("vae_old", **TINY | {"steps": 2}, recipe=ArchiveRecipe())
    begun = replace(ArchiveRecipe(), making=replace(Making(), grain=Grain(probability=0.0)))
    with pytest.raises(KeyboardInterrupt):
        train_stage(replace(asked, recipe=begun), clean, old, out, interrupted)
    record = json.loads(out.read("vae_old/config.json"))
    del record["recipe"]["making"]["grain"]  # as a version wrote it that had no such operation
    out.write("vae_old/config.json", json.dumps(record).encode())
    result = train_stage(asked, clean, old, out)
    assert result["config"]["recipe"]["making"]["grain"]["probability"] == 0.0
    with pytest.raises(TrainingError, match="recipe was"):
        train_stage(replace(asked, recipe=ArchiveRecipe(damaged=0.1)), clean, old, out)


def interrupted(step: int, steps: int, values: dict[str, float]) -> None:
    raise KeyboardInterrupt


def test_a_checkpoint_that_does_not_know_an_operation_is_that_of_a_recipe_without_it(tmp_path: Path) -> None:
    config = default_config("mapping", **TINY, recipe=ArchiveRecipe())
    before = json.loads(json.dumps(config.record()))
    del before["recipe"]["making"]["grain"]
    refuse_other_config(before, config_from_record(before), Bucket(tmp_path))
    with pytest.raises(TrainingError, match="recipe was"):
        refuse_other_config(before, config, Bucket(tmp_path))


def test_a_finished_stage_is_not_trained_again(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    out, config = Bucket(str(tmp_path)), default_config("vae_old", **TINY)
    first = train_stage(config, clean, old, out)
    steps: list[int] = []
    second = train_stage(config, clean, old, out, lambda step, total, values: steps.append(step))
    assert steps == []
    assert second["seconds"] == first["seconds"]


@pytest.mark.long
def test_other_settings_in_the_same_place_are_refused(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    config = default_config("vae_old", **TINY)
    train_stage(config, clean, old, Bucket(str(tmp_path)))
    with pytest.raises(TrainingError, match="batch was 4, now 2"):
        train_stage(replace(config, batch=2), clean, old, Bucket(str(tmp_path)))


def test_a_mapping_without_autoencoders_says_what_to_run_first(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="oldphoto train vae_old"):
        train_stage(default_config("mapping", **TINY), clean, old, Bucket(str(tmp_path)))


def test_missing_photos_are_told(clean: Bucket, tmp_path: Path) -> None:
    config = default_config("vae_old", **TINY)
    with pytest.raises(SourceMissing, match="holds no photos"):
        train_stage(config, clean, Bucket(str(tmp_path / "nothing")), Bucket(str(tmp_path / "out")))
    with pytest.raises(TrainingError, match="--old"):
        train_stage(config, clean, None, Bucket(str(tmp_path / "out")))


def test_a_training_tells_what_it_could_not_read_and_has_not_seen(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    folder = album(tmp_path / "clean", 3)
    (folder / "album-001.png").write_bytes(b"spoiled")
    result = train_stage(default_config("vae_old", **TINY), Bucket(folder), old, Bucket(tmp_path / "out"))
    assert list(result["unreadable"]) == ["album-001.png"]
    assert [record["photos"] for record in result["data"]] == [2, 4]


def test_unreadable_photos_are_passed_over_and_listed(tmp_path: Path) -> None:
    folder = album(tmp_path, 2)
    (folder / "album-000.png").write_bytes(b"spoiled")
    photos = PhotoSet(Bucket(str(folder)), ["album-000.png", "album-001.png"])
    for seed in range(8):
        photos.random_crop(32, np.random.default_rng(seed))
    assert list(photos.unreadable) == ["album-000.png"]


@pytest.mark.parametrize(
    "nonsense", [{"crop": 30}, {"steps": 0}, {"learning_rate": 0.0}, {"grey_share": 2.0}, {"canvas": 48}]
)
def test_a_config_refuses_nonsense_and_names_the_field(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(nonsense))):
        default_config("mapping", **nonsense)


def test_a_config_survives_its_record() -> None:
    for preset, stage in itertools.product(PRESETS, STAGES):
        config = default_config(stage, preset)
        assert config.preset == preset
        assert config_from_record(json.loads(json.dumps(config.record()))) == config


def test_paper_follows_the_published_recipe() -> None:
    config = default_config("mapping", "paper")
    assert (config.betas, config.learning_rate, config.latent_distance.value) == ((0.5, 0.999), 2e-4, 60.0)
    assert config.learning_rate_at(0) == config.learning_rate_at(config.steps // 2 - 1) == 2e-4
    assert config.learning_rate_at(config.steps - 1) < 1e-7


def test_weights_of_loss_terms_rise_as_told() -> None:
    ramp = Ramp(value=2.0, start=10, warm=4)
    assert [ramp.at(step) for step in (0, 9, 10, 12, 13, 99)] == [0.0, 0.0, 0.5, 1.5, 2.0, 2.0]
    assert StageConfig(stage="mapping").latent_noise.at(10_000) == pytest.approx(0.1)


def test_a_history_comes_back_with_the_row_that_is_not_closed() -> None:
    history = History()
    for step in (1, 2, 3):
        history.add({"loss": step / 3})
        if step == 1:
            history.close_row(step)
    kept = History.from_record(json.loads(json.dumps(history.record())))
    assert kept.close_row(3) == history.close_row(3) == {"step": 3.0, "loss": (2 / 3 + 3 / 3) / 2}
    assert kept.rows == history.rows
