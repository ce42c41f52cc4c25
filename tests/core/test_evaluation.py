"""Comparisons: the same degraded crops everywhere, honest baselines, tables that say what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import album, photo

from oldphoto_core.errors import ConfigError, SourceMissing
from oldphoto_core.evaluation import EvaluationConfig, baseline_methods, compare, summarise, to_markdown
from oldphoto_core.evaluation.baselines import opencv_restore
from oldphoto_core.evaluation.compare import crops, evaluation_keys
from oldphoto_core.metrics import psnr, ssim
from oldphoto_core.storage import Bucket


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(str(album(tmp_path_factory.mktemp("clean"), 10)))


CONFIG = EvaluationConfig(crop=64, holdout=3, scratched=True)


def test_psnr_is_the_formula_and_finite_between_equals() -> None:
    truth = torch.zeros(2, 3, 16, 16)
    made = truth + torch.tensor([0.1, 0.0]).view(2, 1, 1, 1)
    assert psnr(made, truth).tolist() == pytest.approx([20.0, 100.0], abs=1e-3)


def test_ssim_is_one_between_equals_and_falls_with_noise() -> None:
    truth = torch.rand(1, 3, 32, 32)
    noisy = truth + 0.3 * torch.randn_like(truth)
    assert float(ssim(truth, truth)) == pytest.approx(1.0)
    assert float(ssim(noisy, truth)) < 0.9


def test_only_the_held_out_photos_are_evaluated(clean: Bucket) -> None:
    assert evaluation_keys(clean, CONFIG) == ["album-008.png", "album-009.png"]
    assert len(evaluation_keys(clean, EvaluationConfig(holdout=None))) == 10


def test_a_degraded_crop_does_not_depend_on_the_others(clean: Bucket) -> None:
    alone = next(crops(clean, ["album-009.png"], CONFIG))
    among = list(crops(clean, ["album-008.png", "album-009.png"], CONFIG))[1]
    assert np.array_equal(alone.degraded, among.degraded)
    assert alone.mask.any()
    assert (alone.degraded[alone.mask] == 255).all()


def test_a_perfect_method_wins_the_table(clean: Bucket) -> None:
    truths = {crop.degraded.tobytes(): crop.clean for crop in crops(clean, evaluation_keys(clean, CONFIG), CONFIG)}
    methods = baseline_methods() | {"perfect": lambda image, mask: truths[image.tobytes()]}
    table = summarise(compare(clean, methods, CONFIG)).set_index("method")
    assert table.loc["perfect", "psnr"] == pytest.approx(100.0)
    assert table.loc["degraded input", "psnr_gain"] == 0.0
    assert table["ssim"].idxmax() == "perfect"


def test_the_table_says_what_was_measured(clean: Bucket) -> None:
    text = to_markdown(summarise(compare(clean, baseline_methods(), CONFIG)), CONFIG)
    assert "seed 7" in text
    assert "2 photos, with white scratches" in text
    assert "| OpenCV, h=3 |" in text


def test_telea_fills_scratches_and_touches_nothing_else_without_denoising() -> None:
    mask = np.zeros((96, 112), bool)
    mask[50:52] = True
    holed = photo(1)
    holed[mask] = 255
    filled = opencv_restore(holed, mask, 0)
    assert np.array_equal(filled[~mask], holed[~mask])
    assert not (filled[mask] == 255).all()


def test_nothing_to_evaluate_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="no photo to evaluate"):
        evaluation_keys(Bucket(str(album(tmp_path, 2))), EvaluationConfig())


def test_a_config_refuses_nonsense() -> None:
    with pytest.raises(ConfigError, match="crop"):
        EvaluationConfig(crop=4)
    with pytest.raises(ConfigError, match="holdout"):
        EvaluationConfig(holdout=0)


def test_an_evaluation_leaves_tables_and_a_contact_sheet(clean: Bucket, tmp_path: Path) -> None:
    from oldphoto_core.checkpoints import ModelCard, save_model
    from oldphoto_core.evaluation.run import evaluate_models
    from oldphoto_core.nets import preset_named

    card = ModelCard(name="fresh", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-23")
    save_model(Bucket(str(tmp_path / "model")), preset_named("compact").triplet(), card)
    out = Bucket(str(tmp_path / "out"))
    text = evaluate_models(clean, out, [str(tmp_path / "model")], CONFIG)
    assert out.read("summary.md").decode() == text
    assert json.loads(out.read("summary.json"))["config"]["seed"] == 7
    assert out.read("contact_sheet.png").startswith(b"\x89PNG")
    assert len(out.read("results.csv").decode().splitlines()) == 1 + 2 * 5
