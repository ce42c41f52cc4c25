"""CycleGAN and operation-wise attention: tiny networks, the same loop, models like any other."""

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
from oldphoto_core.nets import count_flops, preset_named
from oldphoto_core.nets.architectures import BASELINES, architecture_named
from oldphoto_core.nets.presets import PRESETS
from oldphoto_core.nets.rivals.cyclegan import CycleGanConfig
from oldphoto_core.nets.rivals.operation_attention import OperationAttentionConfig
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.assembling import publish_baseline
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import Batches, PhotoSet
from oldphoto_core.training.rivals.image_history import ImageHistory

RIVALS = ("cyclegan", "attention")
TINY = replace(
    preset_named("compact"), name="tiny", cyclegan=CycleGanConfig(width=4, blocks=1),
    attention=OperationAttentionConfig(width=4, groups=1, layers=2, blocks=1),
)  # fmt: skip
SHORT: dict[str, Any] = {
    "preset": "tiny", "steps": 6, "batch": 4, "crop": 32, "validate_every": 6, "validation_crops": 1,
    "checkpoint_every": 3, "canvas": 0, "crops_of_canvas": 1, "holdout": 1,
}  # fmt: skip


class Stopped(Exception):
    """A training that is killed."""


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", TINY)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(album(tmp_path_factory.mktemp("clean"), 6))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(album(tmp_path_factory.mktemp("old"), 4, first=50))


def config_of(stage: str, **changes: Any) -> StageConfig:
    return default_config(stage, **SHORT | changes)  # type: ignore[arg-type]


def photos(bucket: Bucket) -> PhotoSet:
    return PhotoSet(bucket, [entry.key for entry in bucket.list()])


def test_attention_is_shown_the_pairs_that_the_mapping_is_shown(clean: Bucket) -> None:
    ours, theirs = (Batches(config_of(stage), photos(clean), None).batch(3) for stage in ("mapping", "attention"))
    assert torch.equal(ours.clean, theirs.clean)
    assert torch.equal(ours.degraded, theirs.degraded)
    assert theirs.mask is None


def test_cyclegan_is_shown_old_photos_and_clean_ones_and_no_pairs(clean: Bucket, old: Bucket) -> None:
    batch = Batches(config_of("cyclegan"), photos(clean), photos(old)).batch(3)
    assert batch.old is not None
    assert len(batch.old) == len(batch.clean) == 4
    assert torch.equal(batch.clean, batch.degraded)
    with pytest.raises(TrainingError, match="needs real old photos"):
        Batches(config_of("cyclegan"), photos(clean), None)


@pytest.mark.parametrize(("stage", "term"), [("cyclegan", "cycle"), ("attention", "l1")])
def test_a_rival_learns(clean: Bucket, old: Bucket, tmp_path: Path, stage: str, term: str) -> None:
    seen: list[float] = []
    train_stage(
        config_of(stage, steps=40, learning_rate=2e-3, validate_every=40), clean, old, Bucket(tmp_path),
        lambda step, steps, values: seen.append(values[term]),
    )  # fmt: skip
    assert np.mean(seen[-8:]) < 0.9 * np.mean(seen[:4])


@pytest.mark.parametrize("stage", RIVALS)
def test_a_stopped_rival_ends_as_an_undisturbed_one(clean: Bucket, old: Bucket, tmp_path: Path, stage: str) -> None:
    def stop(step: int, steps: int, values: dict[str, float]) -> None:
        if step == 4:
            raise Stopped

    whole, parted = Bucket(tmp_path / "whole"), Bucket(tmp_path / "parted")
    train_stage(config_of(stage), clean, old, whole)
    with pytest.raises(Stopped):
        train_stage(config_of(stage), clean, old, parted, stop)
    train_stage(config_of(stage), clean, old, parted)
    ended = [load_model(f"{_published(stage, out)}").networks.state_dict() for out in (whole, parted)]
    assert all(torch.equal(ended[0][name], ended[1][name]) for name in ended[0])
    assert whole.read(f"{stage}/log.csv") == parted.read(f"{stage}/log.csv")


def _published(stage: str, out: Bucket) -> str:
    publish_baseline(config_of(stage), out, name=f"our {stage}")
    return f"{out.url}/{stage}/model"


@pytest.mark.parametrize("stage", RIVALS)
def test_a_trained_rival_is_a_model_with_rows_of_its_own(
    clean: Bucket, old: Bucket, tmp_path: Path, stage: str
) -> None:
    out = Bucket(tmp_path / "out")
    result = train_stage(config_of(stage, steps=2, checkpoint_every=2), clean, old, out)
    assert result["psnr"] > 0
    publish_baseline(config_of(stage), out, name="rival")
    model = f"{out.url}/{stage}/model"
    card = load_model(model).card
    assert (card.preset, card.partial_nonlocal) == (f"{stage}-tiny", False)
    assert list(card.training) == [stage]
    settings = EvaluationConfig(crop=32, holdout=1, scratched=True)
    table = evaluate_models(clean, Bucket(tmp_path / "table"), [model], settings)
    assert f"| {stage}, {model} |" in table
    assert "doubtful" in table


@pytest.mark.parametrize("stage", RIVALS)
@pytest.mark.parametrize("size", [(1, 1), (5, 40), (37, 53)])
def test_a_rival_restores_photos_of_any_size(tmp_path: Path, stage: str, size: tuple[int, int]) -> None:
    made = _fresh(stage, tmp_path).restore(photo(1, 64, 64)[: size[0], : size[1]], np.ones(size, bool))
    assert made.shape == (*size, 3)


def _fresh(stage: str, folder: Path, **options: Any) -> Restorer:
    torch.manual_seed(3)
    card = ModelCard(
        name=stage, preset=f"{stage}-tiny", partial_nonlocal=False, weights_sha256="", created="2026-11-29"
    )  # fmt: skip
    save_model(Bucket(folder), BASELINES[stage](TINY).network(), card)
    return Restorer.load(folder, device="cpu", **options)


@pytest.mark.parametrize("stage", RIVALS)
def test_tiles_of_a_rival_are_like_the_whole(tmp_path: Path, stage: str) -> None:
    """They are not equal: norms and weights of operations are of all that is seen at once, here of other parts."""
    whole, config = _fresh(stage, tmp_path), BASELINES[stage](TINY)
    picture = np.tile(photo(2, 80, 80), (2, 2, 1))
    tiled = Restorer.load(tmp_path, device="cpu", memory=config.bytes_per_pixel * 110.0**2)
    once, parts = whole.restore(picture).astype(float), tiled.restore(picture).astype(float)
    assert tiled._runner.megapixels < 0.0256
    assert np.abs(once - parts).mean() < 0.5 * np.abs(once - once.mean()).mean()


def test_cyclegan_sees_damage_as_it_looks(tmp_path: Path) -> None:
    restorer, picture = _fresh("cyclegan", tmp_path), photo(1, 32, 32)
    mask = np.zeros((32, 32), bool)
    mask[10:14] = True
    white = picture.copy()
    white[mask] = 255
    told, untold, painted = (
        restorer.restore(*given).astype(float) for given in ((picture, mask), (picture,), (white,))
    )
    assert np.abs(told - untold)[mask].mean() < 0.1 * np.abs(painted - untold)[mask].mean()
    assert not architecture_named("cyclegan").fills
    assert architecture_named("attention").fills


@pytest.mark.parametrize("stage", RIVALS)
def test_a_rival_of_compact_has_about_as_many_operations_as_the_triplet(stage: str) -> None:
    compact = preset_named("compact")
    ours = count_flops(compact.triplet(), 256, 256)
    theirs = count_flops(BASELINES[stage](compact).network(), 256, 256)
    assert 0.8 * ours < theirs < 1.2 * ours


def test_gradients_of_attention_in_bfloat16_are_near_those_in_float32() -> None:
    torch.manual_seed(1)
    network = BASELINES["attention"](TINY).network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = (torch.rand(2, 32, 32, 3) * 2 - 1).permute(0, 3, 1, 2)
    gradients = []
    for reduced in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            loss = network(image).float().abs().mean()
        gradients.append(torch.autograd.grad(loss, tuple(network.parameters())))
    for exact, rounded in zip(*gradients, strict=True):
        assert (exact - rounded).abs().max() < 0.1 * exact.abs().max() + 1e-4


def test_a_history_gives_earlier_images_once_it_is_full() -> None:
    history, noise = ImageHistory(4, 8), torch.Generator()
    first = torch.full((4, 3, 8, 8), -1.0)
    now = torch.ones(16, 3, 8, 8)
    assert torch.equal(history.mixed(now, noise.manual_seed(1)), now)
    history.add([first[:2], first[2:]], seed=0)
    mixed = history.mixed(now, noise.manual_seed(1))
    assert set(mixed.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(mixed, history.mixed(now, noise.manual_seed(1)))
    history.add([now[:2]], seed=0)
    assert int(history.filled) == 4
    assert int((history.images == 255).all(dim=(1, 2, 3)).sum()) in (1, 2)


def test_rivals_begin_with_no_other_architecture(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no attention-tiny to begin with"):
        train_stage(config_of("attention", start_model="starter"), clean, old, Bucket(tmp_path / "a"))
    with pytest.raises(TrainingError, match="leave --start-from out"):
        train_stage(config_of("cyclegan", start_model="starter"), clean, old, Bucket(tmp_path / "c"))


def test_sizes_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="width=0"):
        CycleGanConfig(width=0)
    with pytest.raises(ConfigError, match="groups=0"):
        OperationAttentionConfig(groups=0)
    with pytest.raises(ConfigError, match="multiple of 4"):
        default_config("cyclegan", crop=42)
    with pytest.raises(ConfigError, match="identity"):
        default_config("cyclegan", identity=-1.0)
