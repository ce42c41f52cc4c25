"""Training on shards of `oldphoto synthesize`: pairs as they were made, in the seed's order, and no held-out one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pair_folders import paired
from photos import album

from oldphoto_core.checkpoints import photos_from_json
from oldphoto_core.checkpoints.tensors import unpack
from oldphoto_core.degradation import (
    ArchiveRecipe,
    PublishedRecipe,
    ScratchMasks,
    open_pairs,
    read_pairs,
    recipe_record,
)
from oldphoto_core.degradation.synthesis import SynthesisConfig
from oldphoto_core.errors import ConfigError, SourceMissing, StorageError, TrainingError
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.config import Ramp, StageConfig
from oldphoto_core.training.detection import DetectionBatches
from oldphoto_core.training.photos.batches import Batches, PhotoSet
from oldphoto_core.training.photos.pair_set import HeldOut, PairSet, with_pairs
from oldphoto_core.training.process_group import ProcessGroup

TINY: dict[str, Any] = {
    "steps": 4, "batch": 4, "crop": 32, "validate_every": 4, "validation_crops": 1, "checkpoint_every": 2, "warm_up": 2,
}  # fmt: skip
ONE_STEP = TINY | {"steps": 1}
COLOUR: dict[str, Any] = {"grey_share": 0.0, "monochrome_share": 0.0}
RECIPE = ArchiveRecipe(damaged=1.0)
SYNTHESIS = SynthesisConfig(count=30, crop=64, pairs_per_shard=4, recipe=RECIPE)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(album(tmp_path_factory.mktemp("clean"), 10))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(album(tmp_path_factory.mktemp("old"), 5, first=50))


@pytest.fixture(scope="module")
def pairs(clean: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    """Each of ten photos three times, in eight shards."""
    return paired(clean, Bucket(tmp_path_factory.mktemp("pairs")), SYNTHESIS)


def copied(source: Bucket, target: Bucket) -> Bucket:
    for entry in source.list():
        target.write(entry.key, source.read(entry.key))
    return target


def config_on(pairs: Bucket, stage: Any, **changes: Any) -> StageConfig:
    return with_pairs(default_config(stage, **TINY | changes, pairs=pairs.url), open_pairs(pairs))


def result_of(out: Bucket, stage: str) -> tuple[dict[str, bytes], str]:
    """Bits of the weights, and the log without the clock's part of it."""
    tensors, _ = unpack(out.read(f"{stage}/weights.safetensors"), "weights")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}, out.read(f"{stage}/log.csv").decode()


def trained_in_a_process(config: StageConfig, *places: Bucket, killed_at: int = 0) -> None:
    """Trains in a process of its own, which is killed when it says that step (0: it comes to its end)."""
    command = [sys.executable, "-m", "oldphoto_core.training.process", "--config", json.dumps(config.record())]
    for name, place in zip(("clean", "old", "out"), places, strict=True):
        command += [f"--{name}", place.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["step"] == killed_at:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == (-signal.SIGKILL if killed_at else 0)


@pytest.mark.long
@pytest.mark.parametrize(("stage", "changes"), [("vae_old", {"averaging": 0.9}), ("scratches", {"crop": 64})])
def test_a_training_on_shards_that_was_killed_ends_bit_for_bit_as_an_undisturbed_one(
    stage: str, changes: dict[str, Any], clean: Bucket, old: Bucket, pairs: Bucket, tmp_path: Path
) -> None:
    whole, parts = Bucket(tmp_path / "whole"), Bucket(tmp_path / "parts")
    config = config_on(pairs, stage, **changes)
    trained_in_a_process(config, clean, old, whole)
    trained_in_a_process(config, clean, old, parts, killed_at=3)
    trained_in_a_process(config, clean, old, parts)
    assert result_of(parts, stage) == result_of(whole, stage)


def test_an_interrupted_training_on_shards_ends_as_an_undisturbed_one(
    clean: Bucket, old: Bucket, pairs: Bucket, tmp_path: Path
) -> None:
    config = config_on(pairs, "vae_old", latent_adversarial=Ramp(value=0.1))
    whole, parts = Bucket(tmp_path / "whole"), Bucket(tmp_path / "parts")

    def stop(step: int, steps: int, values: dict[str, float]) -> None:
        if step == 3:  # after the checkpoint of step 2
            raise KeyboardInterrupt

    train_stage(config, clean, old, whole)
    with pytest.raises(KeyboardInterrupt):
        train_stage(config, clean, old, parts, stop)
    train_stage(config, clean, old, parts)
    assert result_of(parts, "vae_old") == result_of(whole, "vae_old")


def test_shards_on_s3_give_the_losses_of_the_same_in_a_folder(
    clean: Bucket, old: Bucket, pairs: Bucket, s3_bucket_url: str, tmp_path: Path
) -> None:
    there = copied(pairs, Bucket(s3_bucket_url))
    out = {name: Bucket(tmp_path / name) for name in ("folder", "s3")}
    for name, place in (("folder", pairs), ("s3", there)):
        train_stage(default_config("vae_clean", **TINY, start_from=None, pairs=place.url), clean, old, out[name])
    assert result_of(out["s3"], "vae_clean") == result_of(out["folder"], "vae_clean")
    assert json.loads(out["s3"].read("vae_clean/config.json"))["pairs"] == s3_bucket_url


def test_photos_that_are_held_out_are_not_trained_on(clean: Bucket, old: Bucket, pairs: Bucket, tmp_path: Path) -> None:
    out = Bucket(tmp_path)
    result = train_stage(default_config("vae_old", **ONE_STEP, pairs=pairs.url), clean, old, out)
    assert (result["pairs"], result["pairs_left_out"], result["photos"], result["held_out"]) == (24, 6, 8, 2)
    seen = photos_from_json(out.read("vae_old/photos.json"), "photos")
    of_clean = [(photo.key, photo.sha256) for photo in seen if photo.url == clean.url]
    assert of_clean == [(f"album-{n:03d}.png", clean.sha256(f"album-{n:03d}.png")) for n in range(8)]
    assert [record["photos"] for record in result["data"]] == [8, 4]


def test_copies_of_held_out_photos_are_not_trained_on_nor_what_is_held_out_where_they_lie(
    clean: Bucket, old: Bucket, tmp_path: Path
) -> None:
    elsewhere = Bucket(tmp_path / "elsewhere")
    for number in range(10):
        elsewhere.write(f"a/{9 - number}.png", clean.read(f"album-{number:03d}.png"))
    pairs = paired(elsewhere, Bucket(tmp_path / "pairs"), SYNTHESIS)
    out = Bucket(tmp_path / "out")
    result = train_stage(default_config("vae_old", **ONE_STEP, pairs=pairs.url), clean, old, out)
    seen = photos_from_json(out.read("vae_old/photos.json"), "photos")
    of_pairs = {photo.key for photo in seen if photo.url == elsewhere.url}
    copies, last = {"a/0.png", "a/1.png"}, {"a/8.png", "a/9.png"}
    assert of_pairs == {f"a/{number}.png" for number in range(10)} - copies - last
    assert result["data"][0]["url"] == elsewhere.url


def test_where_no_photo_can_be_held_out_every_pair_is_trained_on(old: Bucket, tmp_path: Path) -> None:
    few = Bucket(album(tmp_path / "few", 4))
    pairs = paired(few, Bucket(tmp_path / "pairs"), replace(SYNTHESIS, count=4))
    result = train_stage(default_config("vae_old", **ONE_STEP, pairs=pairs.url), few, old, Bucket(tmp_path / "out"))
    assert (result["pairs"], result["pairs_left_out"]) == (4, 0)


def test_the_recipe_of_the_shards_is_the_one_that_is_recorded_whatever_was_asked_for(
    clean: Bucket, old: Bucket, pairs: Bucket, tmp_path: Path
) -> None:
    asked = default_config("vae_old", **ONE_STEP, recipe=PublishedRecipe(), pairs=pairs.url)
    config = train_stage(asked, clean, old, Bucket(tmp_path))["config"]
    assert config["recipe"] == recipe_record(RECIPE)
    assert (config["canvas"], config["pairs_sha256"]) == (64, open_pairs(pairs).sha256)


def drawn(pairs: PairSet, numbers: range) -> list[bytes]:
    return [pairs.pictures(number, ("degraded",))[0].tobytes() for number in numbers]


def test_every_pair_is_drawn_once_a_round_in_an_order_that_the_seed_decides(pairs: Bucket) -> None:
    folder = open_pairs(pairs)
    first = drawn(PairSet(folder, seed=1), range(60))
    assert Counter(first) == dict.fromkeys(first[:30], 2)
    assert len(set(first)) == 30
    assert first[:30] != first[30:]
    assert first[17:25] == drawn(PairSet(folder, seed=1), range(17, 25))
    assert first[:30] != drawn(PairSet(folder, seed=2), range(30))


def test_no_more_shards_are_in_memory_than_there_is_room_for(pairs: Bucket) -> None:
    folder = open_pairs(pairs)
    room = 5 * max(shard.size for shard in folder.shards)
    bounded, most = PairSet(folder, seed=1, kept_bytes=room), 0
    for number in range(60):
        bounded.pictures(number, ("clean",))
        most = max(most, bounded.held_bytes)
    assert 0 < most <= room < sum(shard.size for shard in folder.shards)


def levels(images: torch.Tensor) -> NDArray[np.uint8]:
    """N3HW in [-1, 1] -> NHWC of 255 levels."""
    found: NDArray[np.uint8] = ((images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return found


@pytest.mark.parametrize("target", ["clean", "toned"])
def test_a_batch_holds_pairs_as_they_lie_in_the_shards_with_their_damage_white(pairs: Bucket, target: str) -> None:
    quiet = COLOUR | {"scratches": ScratchMasks(probability=0.0), "target": target}
    config = config_on(pairs, "mapping", crop=64, batch=30, **quiet)
    batch = Batches(config, PairSet(open_pairs(pairs), seed=1), None).batch(0)
    stored = {}
    for shard in open_pairs(pairs).shards:
        for pair in read_pairs(pairs, shard.name):
            white = np.where(pair["mask"][..., None], np.uint8(255), pair["degraded"])
            for step in (1, -1):
                mirrored = pair[target][:, ::step].tobytes()
                stored[mirrored] = (white[:, ::step].tobytes(), pair["mask"][:, ::step].tobytes())
    assert batch.mask is not None
    found = (levels(batch.clean), levels(batch.degraded), batch.mask[:, 0].numpy() > 0)
    for clean, degraded, mask in zip(*found, strict=True):
        assert stored[clean.tobytes()] == (degraded.tobytes(), mask.tobytes())


def is_part_of(crop: NDArray[np.uint8], picture: NDArray[np.uint8]) -> bool:
    parts = np.lib.stride_tricks.sliding_window_view(picture, crop.shape)
    return bool((parts == crop).all(axis=(-3, -2, -1)).any())


def test_several_crops_are_cut_from_a_pair_but_one_from_a_pair_of_their_own_size(pairs: Bucket) -> None:
    shown = PairSet(open_pairs(pairs), seed=1)
    for crop, owners in ((32, [0, 0, 1, 1]), (64, [0, 1, 2, 3])):
        config = config_on(pairs, "vae_clean", crop=crop, crops_of_canvas=2, target="clean", **COLOUR)
        crops = levels(Batches(config, shown, None).batch(0).clean)
        for owner, found in zip(owners, crops, strict=True):
            (picture,) = shown.pictures(owner, ("clean",))
            assert is_part_of(found, picture) or is_part_of(found, picture[:, ::-1])


def test_shares_of_a_batch_of_pairs_are_the_batch(pairs: Bucket, old: Bucket) -> None:
    config = config_on(pairs, "vae_old", batch=8, crops_of_canvas=3)
    photos = PhotoSet(old, [entry.key for entry in old.list()])
    whole = Batches(config, PairSet(open_pairs(pairs), seed=1), photos).batch(2)
    shares = [
        Batches(config, PairSet(open_pairs(pairs), seed=1), photos, ProcessGroup(rank, 2)).batch(2) for rank in range(2)
    ]
    for name in ("clean", "degraded", "old"):
        assert torch.equal(torch.cat([getattr(share, name) for share in shares]), getattr(whole, name)), name


def test_the_detector_is_not_asked_for_damage_that_cannot_be_seen(pairs: Bucket) -> None:
    batches = DetectionBatches(config_on(pairs, "scratches", crop=64), PairSet(open_pairs(pairs), seed=1), None)
    faint = 0
    for number in range(30):
        image, mask, weight = batches._made(number)
        assert image.shape == mask.shape == weight.shape == (64, 64)
        assert (weight[~mask] == 1).all()
        faint += int((weight[mask] == 0).sum())
    stored = [pair for shard in open_pairs(pairs).shards for pair in read_pairs(pairs, shard.name)]
    assert faint == sum(int((pair["mask"] & ~pair["visible"]).sum()) for pair in stored) > 0


def test_pairs_of_small_photos_are_reflected_up_to_the_crop(tmp_path: Path) -> None:
    (tmp_path / "clean").mkdir()
    cv2.imwrite(str(tmp_path / "clean/small.png"), np.full((20, 300, 3), 40, np.uint8))
    small = paired(Bucket(tmp_path / "clean"), Bucket(tmp_path / "pairs"), SynthesisConfig(crop=64))
    config = config_on(small, "mapping", crop=64, batch=2)
    batch = Batches(config, PairSet(open_pairs(small), seed=1), None).batch(0)
    assert batch.clean.shape == batch.degraded.shape == (2, 3, 64, 64)
    assert torch.allclose(batch.clean, torch.tensor(40 / 127.5 - 1))


def test_pairs_that_do_not_fit_are_refused(clean: Bucket, pairs: Bucket, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"crop is 96, more than the pairs in .* \(64 pixels\); give --crop 64"):
        config_on(pairs, "mapping", crop=96)
    plain = paired(clean, Bucket(tmp_path), SynthesisConfig(count=1, crop=64))
    with pytest.raises(ConfigError, match="made by the recipe published, which damages nothing"):
        config_on(plain, "scratches", crop=64)
    keys = frozenset(pair.key for shard in open_pairs(pairs).shards for pair in shard.pairs)
    with pytest.raises(TrainingError, match=r"all 30 pairs of .* are of photos that are held out"):
        PairSet(open_pairs(pairs), seed=1, held_out=HeldOut(keys))


def test_a_folder_that_holds_no_shards_is_told(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    out = Bucket(tmp_path / "out")
    for url, kind, words in (
        (str(tmp_path / "none"), SourceMissing, "holds nothing; give a folder"),
        (clean.url, StorageError, "has no index.json"),
    ):
        with pytest.raises(kind, match=words):
            train_stage(default_config("vae_old", **ONE_STEP, pairs=url), clean, old, out)


def test_a_shard_whose_bytes_changed_ends_the_training(
    clean: Bucket, old: Bucket, pairs: Bucket, tmp_path: Path
) -> None:
    spoiled = copied(pairs, Bucket(tmp_path / "pairs"))
    for shard in open_pairs(pairs).shards:
        data = bytearray(spoiled.read(f"{shard.name}.tar"))
        data[-1] ^= 1
        spoiled.write(f"{shard.name}.tar", bytes(data))
    with pytest.raises(StorageError, match=r"shard-00000\d.tar does not match its sidecar; remove it"):
        train_stage(default_config("vae_old", **ONE_STEP, pairs=spoiled.url), clean, old, Bucket(tmp_path / "out"))


def test_other_pairs_in_the_same_place_are_refused(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    place, out = Bucket(tmp_path / "pairs"), Bucket(tmp_path / "out")
    paired(clean, place, SYNTHESIS)
    asked = default_config("vae_old", **ONE_STEP, pairs=place.url)
    begun = train_stage(asked, clean, old, out)["config"]["pairs_sha256"]
    paired(clean, place, replace(SYNTHESIS, seed=2))
    with pytest.raises(TrainingError, match=f"pairs_sha256 was {begun}, now"):
        train_stage(asked, clean, old, out)
    with pytest.raises(TrainingError, match="others than those that were trained on"):
        train_stage(replace(asked, pairs_sha256=begun), clean, old, Bucket(tmp_path / "another"))
