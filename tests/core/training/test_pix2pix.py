"""The baseline: the mapping's pairs, the same loop, a model like any other, a row of its own in the tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photos import album, photo

from oldphoto_core.checkpoints import ModelCard, load_model, save_model
from oldphoto_core.errors import ConfigError, TrainingError
from oldphoto_core.evaluation import EvaluationConfig
from oldphoto_core.evaluation.run import evaluate_models
from oldphoto_core.inference.restorer import Restorer
from oldphoto_core.nets import preset_named
from oldphoto_core.nets.rivals.pix2pix import Pix2Pix, Pix2PixConfig
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.assembling import publish_baseline
from oldphoto_core.training.photos.batches import Batches, PhotoSet

TINY: dict[str, Any] = {
    "steps": 6, "batch": 4, "crop": 32, "validate_every": 3, "validation_crops": 2, "checkpoint_every": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(album(tmp_path_factory.mktemp("clean"), 10))


def test_the_baseline_is_shown_the_pairs_that_the_mapping_is_shown(clean: Bucket) -> None:
    photos = PhotoSet(clean, [entry.key for entry in clean.list()])
    ours, theirs = (Batches(default_config(stage, **TINY), photos, None).batch(3) for stage in ("mapping", "pix2pix"))
    assert torch.equal(ours.clean, theirs.clean)
    assert torch.equal(ours.degraded, theirs.degraded)
    assert theirs.mask is None


@pytest.mark.long
def test_the_baseline_becomes_a_model_that_restores_and_has_rows_of_its_own(clean: Bucket, tmp_path: Path) -> None:
    out, config = Bucket(tmp_path / "out"), default_config("pix2pix", **TINY)
    result = train_stage(config, clean, None, out)
    assert "critic_image" in out.read("pix2pix/log.csv").decode().splitlines()[0]
    assert result["psnr"] > 0
    card = publish_baseline(config, out, name="baseline")
    model = f"{out.url}/pix2pix/model"
    assert load_model(model).card == card
    assert Restorer.load(model, device="cpu").restore(photo(1, 77, 101)).shape == (77, 101, 3)
    plain = Bucket(tmp_path / "plain")
    shapes = ModelCard(name="plain", preset="compact", partial_nonlocal=False, weights_sha256="", created="2026-11-26")
    save_model(plain, preset_named("compact").triplet(partial_nonlocal=False), shapes)
    settings = EvaluationConfig(crop=64, holdout=1, scratched=True)
    table = evaluate_models(clean, Bucket(tmp_path / "table"), [model, plain.url], settings)
    assert f"| pix2pix, {model} |" in table
    assert f"| ours without the partial nonlocal block, {plain.url} |" in table


def test_a_baseline_begins_with_no_other_architecture(clean: Bucket, tmp_path: Path) -> None:
    config = replace(default_config("pix2pix", **TINY), start_model="starter")
    with pytest.raises(TrainingError, match="no pix2pix to begin with"):
        train_stage(config, clean, None, Bucket(tmp_path))


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_a_picture_of_the_least_size_comes_back_in_its_size(preset: str) -> None:
    config = preset_named(preset).pix2pix
    side = config.multiple
    with torch.inference_mode():
        made = Pix2Pix(config)(torch.zeros(1, 3, side, 2 * side))
    assert made.shape == (1, 3, side, 2 * side)
    assert np.isfinite(made.numpy()).all()


def test_sizes_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="depth=1"):
        Pix2PixConfig(depth=1)
    with pytest.raises(ConfigError, match="multiple of 32"):
        default_config("pix2pix", crop=40)
