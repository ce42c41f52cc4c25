"""Several processes, several turns, reduced precision, compiled networks: the same training, its numbers the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from photos import album

from oldphoto_core.checkpoints.tensors import unpack
from oldphoto_core.degradation import PublishedRecipe
from oldphoto_core.errors import ConfigError, TrainingError, UsageError
from oldphoto_core.nets import preset_named
from oldphoto_core.storage import Bucket
from oldphoto_core.training import compiling, default_config, train_stage
from oldphoto_core.training.config import Ramp, StageConfig
from oldphoto_core.training.loop import Progress
from oldphoto_core.training.photos.batches import Batches, PhotoSet
from oldphoto_core.training.process import config_from_json, train_in_processes
from oldphoto_core.training.process_group import ProcessGroup, own_device
from oldphoto_core.training.stages import make_stage

TINY: dict[str, Any] = {
    "steps": 6, "batch": 4, "crop": 32, "validate_every": 3, "validation_crops": 2, "checkpoint_every": 2, "warm_up": 2,
    "canvas": 0, "crops_of_canvas": 1, "recipe": PublishedRecipe(), "learning_rate": 1e-4,
    "precision": "float32",
}  # fmt: skip
ALIGNED = TINY | {"latent_adversarial": Ramp(value=0.1), "adversarial": Ramp(value=0.1)}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(album(tmp_path_factory.mktemp("clean"), 10))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(album(tmp_path_factory.mktemp("old"), 4, first=50))


def rows(out: Bucket, stage: str) -> list[dict[str, float]]:
    header, *lines = out.read(f"{stage}/log.csv").decode().splitlines()
    names = header.split(",")
    return [{name: float(value) for name, value in zip(names, line.split(","), strict=True) if value} for line in lines]


def weights(out: Bucket, stage: str) -> dict[str, torch.Tensor]:
    return unpack(out.read(f"{stage}/weights.safetensors"), "weights")[0]


def unheard(step: int, steps: int, values: dict[str, float]) -> None:
    """Nobody watches."""


def in_two_parts(config: StageConfig, clean: Bucket, old: Bucket, out: Bucket, progress: Progress = unheard) -> None:
    """In one process, which cuts every batch in two whatever the machine has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 2)
        train_stage(config, clean, old, out, progress, device="cpu")


@pytest.mark.long
def test_two_processes_give_the_losses_of_one_with_the_same_batch(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    one, two = Bucket(tmp_path / "one"), Bucket(tmp_path / "two")
    config, steps = default_config("vae_old", **ALIGNED), list[int]()
    in_two_parts(config, clean, old, one)
    train_in_processes(
        config, clean.url, old.url, two.url, lambda step, total, values: steps.append(step), "cpu", processes=2
    )
    assert steps == [1, 2, 3, 4, 5, 6]
    for expected, found in zip(rows(one, "vae_old"), rows(two, "vae_old"), strict=True):
        assert found == pytest.approx(expected, rel=1e-5)
    expected, found = weights(one, "vae_old"), weights(two, "vae_old")
    assert all(torch.allclose(expected[name], found[name], rtol=1e-4, atol=1e-6) for name in expected)


@pytest.mark.long
def test_a_training_that_one_process_began_is_ended_by_two_of_torchrun(
    clean: Bucket, old: Bucket, tmp_path: Path
) -> None:
    whole, parts = Bucket(tmp_path / "whole"), Bucket(tmp_path / "parts")
    config = default_config("vae_old", **ALIGNED)

    def stop(step: int, steps: int, values: dict[str, float]) -> None:
        if step == 3:  # after the checkpoint of step 2
            raise KeyboardInterrupt

    in_two_parts(config, clean, old, whole)
    with pytest.raises(KeyboardInterrupt):
        in_two_parts(config, clean, old, parts, stop)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m",
        "oldphoto_core.training.process", "--config", json.dumps(config.record()), "--device", "cpu",
        "--clean", clean.url, "--old", old.url, "--out", parts.url,
    ]  # fmt: skip
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else os.environ
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert [json.loads(line)["step"] for line in ended.stdout.splitlines() if line.startswith("{")] == [3, 4, 5, 6]
    for expected, found in zip(rows(whole, "vae_old"), rows(parts, "vae_old"), strict=True):
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.long
def test_a_process_that_fails_ends_the_others_and_its_words_are_told(
    clean: Bucket, old: Bucket, tmp_path: Path
) -> None:
    config = default_config("mapping", **TINY)
    with pytest.raises(TrainingError, match="stage vae_old has not been trained"):
        train_in_processes(config, clean.url, old.url, str(tmp_path), lambda *told: None, "cpu", processes=2)


def losses(clean: Bucket, old: Bucket, config: StageConfig, workers: int = 1) -> list[float]:
    photos = [PhotoSet(bucket, [entry.key for entry in bucket.list()]) for bucket in (clean, old)]
    torch.manual_seed(config.seed)
    stage = make_stage(config, preset_named("compact").triplet(), "cpu", workers)
    batches = Batches(config, photos[0], photos[1])
    return [stage.step(batches.batch(step), step)["loss"] for step in range(3)]


@pytest.mark.parametrize("stage", ["vae_old", "mapping"])
def test_a_batch_in_turns_gives_the_losses_of_one_side_by_side(stage: Any, clean: Bucket, old: Bucket) -> None:
    config = default_config(stage, **TINY)
    assert losses(clean, old, replace(config, accumulation=2)) == pytest.approx(
        losses(clean, old, config, workers=2), rel=1e-6
    )


@pytest.mark.parametrize("stage", ["vae_old", pytest.param("mapping", marks=pytest.mark.long)])
def test_bfloat16_stays_near_float32(stage: Any, clean: Bucket, old: Bucket) -> None:
    config = default_config(stage, **TINY | {"feature_matching": Ramp(value=0.1)})
    reduced = losses(clean, old, replace(config, precision="bfloat16"))
    assert reduced == pytest.approx(losses(clean, old, config), rel=0.02)


@pytest.mark.long
@pytest.mark.parametrize("stage", ["vae_old"])  # half a minute a stage; of the mapping it was tried by hand
def test_compiled_networks_give_the_losses_of_plain_ones(
    stage: Any, clean: Bucket, old: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.utils import counters

    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")  # all but the making of machine code, which takes minutes
    config = default_config(stage, **ALIGNED)
    counters.clear()
    found = losses(clean, old, replace(config, compiled=True))
    assert counters["stats"]["unique_graphs"] > 0
    assert found == pytest.approx(losses(clean, old, config), rel=1e-4)


def test_a_batch_is_cut_into_as_many_parts_as_it_has_crops_of_each_kind(clean: Bucket, old: Bucket) -> None:
    config = default_config("vae_old", **TINY | {"batch": 9})
    photos = [PhotoSet(bucket, [entry.key for entry in bucket.list()]) for bucket in (clean, old)]
    parts = Batches(config, photos[0], photos[1]).batch(0).parts(8)
    assert [(len(part.clean), len([] if part.old is None else part.old)) for part in parts] == [
        (1, 2),
        (1, 1),
        (1, 1),
        (1, 1),
    ]


def test_shares_of_a_batch_are_the_batch(clean: Bucket, old: Bucket) -> None:
    config = default_config("vae_old", **TINY | {"batch": 8, "canvas": 48, "crops_of_canvas": 3})
    photos = [PhotoSet(bucket, [entry.key for entry in bucket.list()]) for bucket in (clean, old)]
    whole = Batches(config, photos[0], photos[1]).batch(2)
    shares = [Batches(config, photos[0], photos[1], ProcessGroup(rank, 2)).batch(2) for rank in range(2)]
    for name in ("clean", "degraded", "old"):
        assert torch.equal(torch.cat([getattr(share, name) for share in shares]), getattr(whole, name)), name


def test_a_config_in_json_needs_a_stage_and_takes_the_rest_from_the_preset() -> None:
    assert config_from_json('{"stage": "mapping", "steps": 7}') == default_config("mapping", steps=7)
    whole = default_config("vae_old", **ALIGNED)
    assert config_from_json(json.dumps(whole.record())) == whole
    for nonsense in ("{", "[]", '{"steps": 7}', '{"stage": "mapping", "step": 7}', '{"stage": "mapping", "steps": 0}'):
        with pytest.raises(ConfigError):
            config_from_json(nonsense)


def test_what_processes_cannot_share_is_refused(
    clean: Bucket, old: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = PhotoSet(clean, [entry.key for entry in clean.list()])
    with pytest.raises(ConfigError, match="3 processes cannot share"):
        Batches(default_config("mapping", **TINY), photos, None, ProcessGroup(0, 3))
    with pytest.raises(ConfigError, match="accumulation is 2"):
        default_config("scratches", "paper", accumulation=2)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UsageError, match="need one each"):
        own_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="than its 1 CUDA devices"):
        own_device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device("cuda") == "cuda:1"
