"""Structure learned apart from tone: what the stages see, and the stage that trains them together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pair_folders import paired
from photos import album
from torch import Tensor

from oldphoto_core.checkpoints import load_model, photos_of
from oldphoto_core.checkpoints.tensors import unpack
from oldphoto_core.degradation import ArchiveRecipe, PublishedRecipe, open_pairs
from oldphoto_core.degradation.archive import Making
from oldphoto_core.degradation.synthesis import SynthesisConfig
from oldphoto_core.devices import multiplies_bfloat16
from oldphoto_core.errors import ConfigError, TrainingError
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.assembling import publish
from oldphoto_core.training.config import TRIPLET, Ramp, StageConfig
from oldphoto_core.training.joint import balanced
from oldphoto_core.training.photos.batches import Batch, Batches, PhotoSet
from oldphoto_core.training.photos.cutting import reduced_crop
from oldphoto_core.training.photos.pair_set import with_pairs
from oldphoto_core.training.provenance import pinned
from oldphoto_core.training.run import configs_for

TINY: dict[str, Any] = {
    "steps": 4, "batch": 4, "crop": 32, "validate_every": 4, "validation_crops": 1, "checkpoint_every": 2, "warm_up": 1,
    "canvas": 0, "crops_of_canvas": 1,
}  # fmt: skip
JOINT = TINY | {"latent_adversarial": Ramp(value=0.1), "averaging": 0.5}
TINTED = ArchiveRecipe(
    damaged=0.0, making=replace(Making().never(), toning=replace(Making().toning, probability=1.0, bleach=(1.0, 1.0)))
)
"""Photos that are toned, and more or less faded: no crop has the colours of the clean photo."""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(album(tmp_path_factory.mktemp("clean"), 6))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(album(tmp_path_factory.mktemp("old"), 4, first=50))


@pytest.fixture(scope="module")
def triplet(clean: Bucket, old: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    """The three networks, trained one by one."""
    out = Bucket(tmp_path_factory.mktemp("triplet"))
    for stage in TRIPLET:
        train_stage(default_config(stage, **TINY | {"steps": 1}), clean, old, out)
    return out


def beside(triplet: Bucket, folder: Path) -> Bucket:
    """A copy of the trained triplet, to go on from."""
    for entry in triplet.list():
        if entry.key.endswith(("weights.safetensors", "photos.json")):
            Bucket(folder).write(entry.key, triplet.read(entry.key))
    return Bucket(folder)


def weights(out: Bucket, stage: str) -> dict[str, Tensor]:
    return unpack(out.read(f"{stage}/weights.safetensors"), "weights")[0]


def batch_of(config: StageConfig, clean: Bucket, old: Bucket | None = None) -> Batch:
    sets = [PhotoSet(bucket, [entry.key for entry in bucket.list()]) for bucket in (clean, old) if bucket]
    return Batches(config, sets[0], sets[1] if old else None).batch(0)


def is_grey(crops: Tensor) -> bool:
    return bool((crops == crops[:, :1]).all())


def test_the_mapping_learns_the_tone_of_the_degraded_photo_or_that_of_the_clean_one(clean: Bucket) -> None:
    unscratched = {"scratches": replace(StageConfig(stage="mapping").scratches, probability=0.0)}
    config = default_config("mapping", **TINY, **unscratched, monochrome_share=0.0, recipe=TINTED)
    structure, whole = (batch_of(replace(config, target=target), clean) for target in ("toned", "clean"))
    assert torch.equal(structure.degraded, whole.degraded)
    assert not torch.equal(structure.clean, whole.clean)
    distances = [(batch.clean - batch.degraded).abs().mean() for batch in (structure, whole)]
    assert distances[0] < 0.5 * distances[1]


def test_the_autoencoder_of_clean_photos_sees_toned_ones_too(clean: Bucket) -> None:
    changes = TINY | {"batch": 32, "grey_share": 0.0, "monochrome_share": 0.0, "recipe": TINTED}
    both, plain = (batch_of(default_config("vae_clean", **changes, target=how), clean) for how in ("toned", "clean"))
    assert torch.equal(both.clean, both.degraded)
    plain_crops = {crop.numpy().tobytes() for crop in plain.clean}
    kept = sum(crop.numpy().tobytes() in plain_crops for crop in both.clean)
    assert 8 <= kept <= 24


def test_monochrome_crops_are_grey_before_and_after_they_are_degraded(clean: Bucket, old: Bucket) -> None:
    config = default_config("joint", **JOINT, monochrome_share=1.0, recipe=ArchiveRecipe())
    batch = batch_of(config, clean, old)
    assert batch.old is not None
    assert is_grey(batch.clean)
    assert is_grey(batch.degraded)
    assert is_grey(batch.old)
    assert not is_grey(batch_of(replace(config, monochrome_share=0.0, grey_share=0.0), clean, old).clean)


def test_the_joint_stage_sees_real_old_photos_only_where_the_latent_term_is_on(clean: Bucket, old: Bucket) -> None:
    config = default_config("joint", **JOINT)
    batch = batch_of(config, clean, old)
    assert batch.old is not None
    assert (len(batch.clean), len(batch.old)) == (4, 2)
    assert batch.mask is not None
    assert batch_of(replace(config, latent_adversarial=Ramp(value=0.0)), clean).old is None
    with pytest.raises(TrainingError, match="stage joint needs real old photos"):
        batch_of(config, clean)


def test_crops_are_cut_at_every_scale_that_the_photo_is_large_enough_for() -> None:
    columns = np.tile(np.arange(240, dtype=np.uint8), (180, 1))[..., None].repeat(3, axis=2)
    steps = []
    for item in range(60):
        crop = reduced_crop(columns, 60, 1 / 3, np.random.default_rng(item))
        assert crop.shape == (60, 60, 3)
        steps.append((int(crop[0, -1, 0]) - int(crop[0, 0, 0])) / 59)
    assert min(steps) < 1.2
    assert 2.7 < max(steps) < 3.1
    rng = np.random.default_rng(1)
    assert reduced_crop(columns, 180, 1 / 3, rng).shape == (180, 180, 3)
    assert np.ptp(reduced_crop(columns, 60, 1.0, rng)[0, :, 0]) == 59


@pytest.mark.long
def test_encoder_mapping_and_decoder_learn_together_and_the_rest_stays(
    clean: Bucket, old: Bucket, triplet: Bucket, tmp_path: Path
) -> None:
    out = beside(triplet, tmp_path)
    result = train_stage(default_config("joint", **JOINT), clean, old, out)
    assert {"psnr", "ssim", "structure_psnr"} < result.keys()
    header = out.read("joint/log.csv").decode().splitlines()[0].split(",")
    assert {"l1", "kl", "latent", "latent_adversarial", "critic_latent"} < set(header)
    card = publish(default_config("joint", **JOINT), out, name="together")
    assert list(card.training) == [*TRIPLET, "joint"]
    trained = load_model(str(tmp_path / "model")).networks.state_dict()
    before = {name: value for stage in TRIPLET for name, value in weights(out, stage).items()}
    changed = {name.rsplit(".")[0] + "." + name.split(".")[1] for name in before if differs(before, trained, name)}
    assert changed >= {"vae_old.encoder", "vae_clean.decoder"}
    assert card.detail
    assert trained["detail.out.weight"].any()  # which begins as 0
    assert not changed & {"vae_old.decoder", "vae_clean.encoder"}


def differs(before: dict[str, Tensor], trained: dict[str, Tensor], name: str) -> bool:
    # models are stored in 16 bits
    return not torch.equal(before[name].half().float(), trained[name].float())


@pytest.mark.long
def test_a_model_can_be_put_together_without_the_joint_stage(
    clean: Bucket, old: Bucket, triplet: Bucket, tmp_path: Path
) -> None:
    out = beside(triplet, tmp_path)
    config = default_config("joint", **JOINT | {"steps": 1})
    train_stage(config, clean, old, out)
    ablation = publish(config, out, name="ablation", joint=False)
    assert (list(ablation.training), ablation.detail) == (list(TRIPLET), False)
    assert load_model(str(tmp_path / "model")).networks.detail is None
    assert [config.stage for config in configs_for("all", "compact", joint=False)] == [*TRIPLET, "scratches", "tone"]


@pytest.mark.long
def test_an_interrupted_joint_training_ends_as_an_undisturbed_one(
    clean: Bucket, old: Bucket, triplet: Bucket, tmp_path: Path
) -> None:
    config = default_config("joint", **JOINT)
    whole, parts = (beside(triplet, tmp_path / name) for name in ("whole", "parts"))
    train_stage(config, clean, old, whole)

    def stop(step: int, steps: int, values: dict[str, float]) -> None:
        if step == 3:  # after the checkpoint of step 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stage(config, clean, old, parts, stop)
    train_stage(config, clean, old, parts)
    ours, theirs = (weights(out, "joint") for out in (whole, parts))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.long
def test_a_joint_training_that_begins_with_a_model_needs_no_other_stage(
    clean: Bucket, old: Bucket, tmp_path: Path
) -> None:
    config = default_config("joint", **JOINT | {"steps": 1}, start_model="starter")
    train_stage(config, clean, old, Bucket(tmp_path))
    card = publish(config, Bucket(tmp_path), name="tuned")
    assert [step["model"] for step in card.lineage] == ["starter"] * 4
    assert {photo.sha256 for photo in photos_of(tmp_path / "model")} >= {clean.sha256("album-000.png")}
    # of all stages, only a joint one by itself begins with the named model: the others have been trained just before
    together = configs_for("all", "compact", start_model="starter")
    assert [config.start_model for config in together if config.stage == "joint"] == [None]


def test_a_joint_training_goes_without_the_detail_path_if_asked(
    clean: Bucket, old: Bucket, triplet: Bucket, tmp_path: Path
) -> None:
    out = beside(triplet, tmp_path)
    config = default_config("joint", **JOINT | {"steps": 1}, detail=False)
    train_stage(config, clean, old, out)
    assert not publish(config, out, name="ablation").detail


def test_a_training_without_the_detail_path_cannot_begin_with_a_model_that_has_it(
    clean: Bucket, old: Bucket, triplet: Bucket, tmp_path: Path
) -> None:
    out = beside(triplet, tmp_path)
    config = default_config("joint", **JOINT | {"steps": 1})
    train_stage(config, clean, old, out)
    publish(config, out, name="detailed")
    without = replace(config, detail=False, start_model=str(tmp_path / "model"))
    with pytest.raises(TrainingError, match="has a detail path"):
        train_stage(without, clean, old, Bucket(tmp_path / "again"))


def test_a_joint_training_without_the_others_says_what_to_run_first(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="oldphoto train vae_old"):
        train_stage(default_config("joint", **JOINT), clean, old, Bucket(tmp_path))


def test_pairs_without_toned_photos_train_only_what_needs_none(clean: Bucket, tmp_path: Path) -> None:
    made = SynthesisConfig(count=4, crop=48, pairs_per_shard=4, recipe=ArchiveRecipe())
    pairs = paired(clean, Bucket(tmp_path), made)
    sidecar = pairs.read("shard-000000.json")
    pairs.write("shard-000000.json", sidecar.replace(b'"format": 3', b'"format": 2'))
    folder = open_pairs(pairs)
    assert with_pairs(default_config("vae_old", **TINY), folder).pairs == pairs.url
    assert with_pairs(default_config("mapping", **TINY, target="clean"), folder).pairs == pairs.url
    for stage in ("vae_clean", "mapping", "joint", "pix2pix"):
        with pytest.raises(ConfigError, match="before toned photos were kept"):
            with_pairs(default_config(stage, **TINY), folder)


def test_toned_photos_come_from_shards_as_they_come_from_photos(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    made = SynthesisConfig(count=6, crop=48, pairs_per_shard=4, recipe=TINTED)
    pairs = paired(clean, Bucket(tmp_path / "pairs"), made)
    config = default_config("mapping", **TINY, pairs=pairs.url)
    out = Bucket(tmp_path / "out")
    for stage in TRIPLET:
        result = train_stage(replace(default_config(stage, **TINY | {"steps": 1}), pairs=config.pairs), clean, old, out)
    assert result["config"]["recipe"]["recipe"] == "archive"
    assert "structure_psnr" in result


def test_arithmetic_is_decided_when_a_training_begins() -> None:
    config = pinned(default_config("joint"), "cpu")
    assert config.precision == ("bfloat16" if multiplies_bfloat16("cpu") else "float32")
    assert pinned(default_config("joint", precision="float32"), "cpu").precision == "float32"


@pytest.mark.parametrize(
    "nonsense",
    [
        {"target": "toned photo"},
        {"least_scale": 0.0},
        {"least_scale": 1.5},
        {"crop_draws": 0},
        {"monochrome_share": 1.1},
        {"detail": True, "preset": "paper"},
    ],
    ids=str,
)
def test_a_config_refuses_nonsense_about_structure_and_names_the_field(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(nonsense))):
        default_config("joint", **nonsense)


def test_the_published_recipe_keeps_to_clean_photos_as_they_are() -> None:
    for config in configs_for("all", "paper"):
        if config.stage == "tone":  # not of the paper
            continue
        assert (config.target, config.monochrome_share, config.least_scale) == ("clean", 0.0, 1.0)
        assert config.stage == "scratches" or config.recipe == PublishedRecipe()


def test_a_tenth_less_is_worth_as_much_in_a_well_kept_crop_as_in_a_ruined_one() -> None:
    clean = torch.zeros(2, 3, 8, 8)
    distances = torch.tensor([0.02, 0.2]).view(2, 1, 1, 1)

    def gain(*shares: float) -> float:
        share = torch.tensor(shares).view(2, 1, 1, 1)
        return float(balanced(clean + distances, clean) - balanced(clean + share * distances, clean))

    assert gain(0.9, 1.0) == pytest.approx(gain(1.0, 0.9), rel=0.25)
    assert float(balanced(clean, clean)) == 0.0
