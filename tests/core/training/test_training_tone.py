"""The stage that trains the tone network: what it sees, that it learns, and that it becomes a part of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pair_folders import paired
from photos import album
from test_training_joint import TINTED, is_grey

from oldphoto_core import Restorer
from oldphoto_core.checkpoints import load_model, load_tone, photos_of
from oldphoto_core.checkpoints.tensors import unpack
from oldphoto_core.degradation import ArchiveRecipe, PublishedRecipe, open_pairs
from oldphoto_core.degradation.synthesis import SynthesisConfig
from oldphoto_core.errors import ConfigError, TrainingError
from oldphoto_core.nets.tone import ToneNet
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.assembling import adopt, publish
from oldphoto_core.training.config import TRIPLET, Ramp, StageConfig, config_from_record
from oldphoto_core.training.photos.batches import Batch, PhotoSet
from oldphoto_core.training.photos.pair_set import PairSet, with_pairs
from oldphoto_core.training.run import configs_for
from oldphoto_core.training.tone import ToneBatches, ToneStage
from oldphoto_core.training.tone.distance import colour_distance

TINY: dict[str, Any] = {
    "steps": 4, "batch": 4, "crop": 32, "validate_every": 2, "validation_crops": 2, "checkpoint_every": 2, "warm_up": 1,
    "averaging": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(album(tmp_path_factory.mktemp("clean"), 6))


def photo_set(bucket: Bucket) -> PhotoSet:
    return PhotoSet(bucket, [entry.key for entry in bucket.list()])


def batch_of(config: StageConfig, clean: Bucket, step: int = 0) -> Batch:
    return ToneBatches(config, photo_set(clean), None).batch(step)


def weights(out: Bucket) -> dict[str, torch.Tensor]:
    return unpack(out.read("tone/weights.safetensors"), "weights")[0]


def test_toned_photos_are_mapped_to_clean_ones_of_the_same_view(clean: Bucket) -> None:
    batch = batch_of(default_config("tone", **TINY | {"batch": 16}, recipe=TINTED, monochrome_share=0.0), clean)
    assert batch.toned is not None
    assert not torch.equal(batch.toned, batch.clean)
    for toned, wanted in zip(batch.toned, batch.clean, strict=True):
        correlation = np.corrcoef(toned.mean(dim=0).flatten(), wanted.mean(dim=0).flatten())[0, 1]
        assert correlation > 0.7


def test_a_photo_that_was_grey_is_grey_in_all_that_the_network_gets(clean: Bucket) -> None:
    for changes in ({"monochrome_share": 1.0}, {"monochrome_share": 0.0, "grey_share": 1.0}):
        batch = batch_of(default_config("tone", **TINY | {"batch": 16}, recipe=TINTED, **changes), clean)
        assert batch.toned is not None
        assert all(is_grey(part) for part in (batch.clean, batch.degraded, batch.toned))
    colour = default_config("tone", **TINY, recipe=TINTED, monochrome_share=0.0, grey_share=0.0)
    assert not is_grey(batch_of(colour, clean).clean)


def test_some_photos_are_shown_with_all_their_defects(clean: Bucket) -> None:
    batch = batch_of(default_config("tone", **TINY | {"batch": 32}, recipe=ArchiveRecipe(damaged=1.0)), clean)
    assert batch.mask is not None
    damaged = int((batch.mask.flatten(1).amax(dim=1) > 0).sum())
    assert 0 < damaged < 24


@pytest.mark.long
def test_a_network_learns_the_tone_of_faded_photos(clean: Bucket, tmp_path: Path) -> None:
    config = default_config(
        "tone", **TINY | {"steps": 60, "validate_every": 60, "batch": 16, "warm_up": 5, "averaging": 0.9}, recipe=TINTED
    )
    result = train_stage(config, clean, None, Bucket(tmp_path))
    assert result["tone_error"] < 0.8 * result["tone_error_before"]


def test_an_interrupted_training_ends_as_an_undisturbed_one(clean: Bucket, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def stop(step: int, steps: int, values: dict[str, float]) -> None:
        if step == 3:
            raise Interrupted

    config = default_config("tone", **TINY)
    whole, broken = Bucket(tmp_path / "whole"), Bucket(tmp_path / "broken")
    train_stage(config, clean, None, whole)
    with pytest.raises(Interrupted):
        train_stage(config, clean, None, broken, stop)
    train_stage(config, clean, None, broken)
    ours, theirs = weights(whole), weights(broken)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_trained_network_becomes_a_part_of_the_model(clean: Bucket, tmp_path: Path) -> None:
    out = Bucket(tmp_path)
    for stage in TRIPLET:
        adopt("starter", stage, out)
    config = default_config("tone", **TINY, partial_nonlocal=load_model("starter").card.partial_nonlocal)
    train_stage(config, clean, None, out)
    card = publish(config, out, name="mine", joint=False)
    assert card.training["tone"]["config"]["stage"] == "tone"
    assert {photo.url for photo in photos_of(tmp_path / "model")} >= {clean.url}
    trained, network = weights(out), load_tone(tmp_path / "model")
    assert network is not None
    assert all(
        torch.allclose(value, trained[f"tone.{name}"], atol=1e-3) for name, value in network.state_dict().items()
    )
    restored = Restorer.load(tmp_path / "model", device="cpu")
    assert restored.digest != card.weights_sha256
    assert adopt(str(tmp_path / "model"), "tone", Bucket(tmp_path / "other"))
    assert not adopt("starter", "tone", Bucket(tmp_path / "third"))


def test_training_begins_with_a_model_that_has_a_tone_network(clean: Bucket, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="starter has no tone network"):
        train_stage(default_config("tone", **TINY, start_model="starter"), clean, None, Bucket(tmp_path))


def test_all_stages_together_train_the_tone_network_from_scratch() -> None:
    configs = configs_for("all", "compact", start_model="starter", perceptual=Ramp(value=1.0))
    (tone,) = [config for config in configs if config.stage == "tone"]
    assert (tone.start_model, tone.perceptual.value) == (None, 0.0)


def test_pairs_from_shards_need_toned_photos(clean: Bucket, tmp_path: Path) -> None:
    made = SynthesisConfig(count=6, crop=64, pairs_per_shard=6, recipe=TINTED)
    pairs = paired(clean, Bucket(tmp_path), made)
    folder = open_pairs(pairs)
    config = with_pairs(default_config("tone", **TINY), folder)
    batch = ToneBatches(config, PairSet(folder, seed=1), None).batch(0)
    assert batch.toned is not None
    assert batch.toned.shape == (4, 3, 32, 32)
    assert not torch.equal(batch.toned, batch.clean)
    pairs.write("shard-000000.json", pairs.read("shard-000000.json").replace(b'"format": 3', b'"format": 2'))
    with pytest.raises(ConfigError, match="before toned photos were kept"):
        with_pairs(default_config("tone", **TINY), open_pairs(pairs))


def test_a_photo_that_is_all_damage_is_mapped_all_the_same() -> None:
    stage = ToneStage(default_config("tone", **TINY), ToneNet())
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    made = stage.restore(image, torch.ones(2, 1, 32, 32))
    assert torch.allclose(made, image, atol=1e-5)


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_settings_are_kept_with_the_training(preset: str) -> None:
    config = default_config("tone", preset)
    assert config_from_record(config.record()) == config
    assert config.recipe != PublishedRecipe()
    with pytest.raises(ConfigError, match="perceptual"):
        default_config("tone", preset, perceptual=Ramp(value=1.0))


def test_the_loss_is_how_different_colours_look() -> None:
    grey, dark = torch.full((1, 3, 6, 6), 0.5), torch.full((1, 3, 6, 6), 0.1)
    assert colour_distance(grey, grey) < 0.001
    step = torch.tensor([0.06, 0.0, 0.0]).view(1, 3, 1, 1)
    assert colour_distance(dark + step, dark) > colour_distance(grey + step, grey), "in the dark a step shows more"
    red = torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1).expand(1, 3, 6, 6)
    tint = torch.tensor([0.0, 0.0, 0.05]).view(1, 3, 1, 1)
    assert colour_distance(grey + tint, grey) > colour_distance(red + tint, red), "a tint of grey shows more"
    assert colour_distance(grey + 1.0, torch.ones_like(grey)) > 0.4, "beyond white costs what it is beyond"


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0, -0.5, 1.5])
def test_the_loss_has_a_finite_slope_at_grey_at_black_and_beyond(level: float) -> None:
    made = torch.full((1, 3, 6, 6), level, requires_grad=True)
    for clean in (0.0, 0.5, 1.0):
        (slope,) = torch.autograd.grad(colour_distance(made, torch.full((1, 3, 6, 6), clean)), made)
        assert slope.isfinite().all()
