"""Comparisons: the same degraded crops everywhere, honest baselines, tables that say what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from photos import album, photo
from PIL import Image

from oldphoto_core.checkpoints import lpips_weights
from oldphoto_core.colour_difference import ciede2000
from oldphoto_core.degradation import degrade, item_rng
from oldphoto_core.errors import ConfigError, DamagedWeights, SourceMissing
from oldphoto_core.evaluation import Backbones, EvaluationConfig, baseline_methods, compare, summarise, to_markdown
from oldphoto_core.evaluation.backbones import FrechetDistance, inception, lpips_from_files
from oldphoto_core.evaluation.baselines import opencv_restore
from oldphoto_core.evaluation.bootstrap import mean_interval
from oldphoto_core.evaluation.compare import crops, evaluation_keys
from oldphoto_core.evaluation.gap import sliced_wasserstein
from oldphoto_core.evaluation.natural import Naturalness, _asymmetric
from oldphoto_core.evaluation.run import evaluate_models, evaluate_on_real
from oldphoto_core.metrics import psnr, ssim, structure_psnr, tone_error
from oldphoto_core.nets.perceptual import alexnet
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


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_of_colours_are_those_of_the_published_test_data(
    first: tuple[float, ...], second: tuple[float, ...], difference: float
) -> None:
    pair = [torch.tensor(colour, dtype=torch.float64).view(3, 1, 1) for colour in (first, second)]
    assert float(ciede2000(*pair)) == pytest.approx(difference, abs=1e-4)
    assert float(ciede2000(*reversed(pair))) == pytest.approx(difference, abs=1e-4)


def unit(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def test_structure_psnr_does_not_mind_tone_and_tone_error_does_not_mind_grain() -> None:
    truth = unit(photo(1, 256, 256))
    faded = 0.3 + 0.5 * truth + 0.1 * truth.mean(dim=1, keepdim=True)
    grainy = truth + 0.08 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    assert float(structure_psnr(faded, truth)) > 60 > 20 > float(psnr(faded, truth))
    assert float(structure_psnr(grainy, truth)) < 26
    assert float(tone_error(truth, truth)) == 0.0
    assert float(tone_error(grainy, truth)) < 0.25 * float(tone_error(faded, truth))


def test_structure_psnr_of_grey_and_of_even_photos_is_a_number() -> None:
    grey = unit(photo(1, 48, 48)).mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    even = torch.full_like(grey, 0.4)
    assert float(structure_psnr(0.2 + 0.5 * grey, grey)) > 60
    assert structure_psnr(torch.cat([even, grey]), torch.cat([even, even])).tolist() == [100.0, 100.0]


def test_toned_crops_are_what_structure_is_measured_against(clean: Bucket) -> None:
    archive = EvaluationConfig(recipe="archive", crop=64, holdout=3)
    toned = {crop.clean.tobytes(): crop.toned for crop in crops(clean, evaluation_keys(clean, archive), archive)}
    found = {crop.degraded.tobytes(): crop for crop in crops(clean, evaluation_keys(clean, archive), archive)}
    results = compare(clean, {"toned": lambda image, mask: found[image.tobytes()].toned}, archive)
    assert (results["structure_psnr"] > 60).all()
    assert results["tone_error"].max() > 1
    assert len(toned) == len(found) == 2


def test_only_the_held_out_photos_are_evaluated(clean: Bucket) -> None:
    assert evaluation_keys(clean, CONFIG) == ["album-008.png", "album-009.png"]
    assert len(evaluation_keys(clean, EvaluationConfig(holdout=None))) == 10


def test_a_degraded_crop_does_not_depend_on_the_others(clean: Bucket) -> None:
    alone = next(crops(clean, ["album-009.png"], CONFIG))
    among = list(crops(clean, ["album-008.png", "album-009.png"], CONFIG))[1]
    assert np.array_equal(alone.degraded, among.degraded)
    assert alone.mask.any()
    assert (alone.degraded[alone.mask] == 255).all()


def test_a_crop_that_the_recipe_leaves_as_it_was_is_degraded_by_the_next_draw(tmp_path: Path) -> None:
    middle, config = photo(0, 24, 24), EvaluationConfig(crop=24)
    unharmed = next(
        key
        for key in (f"{number}.png" for number in range(3000))
        if (degrade(middle, config.degradation(), item_rng(config.seed, key)).image == middle).all()
    )
    Image.fromarray(middle).save(tmp_path / unharmed)
    (crop,) = crops(Bucket(tmp_path), [unharmed], config)
    assert (crop.degraded != crop.clean).any()


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
    from oldphoto_core.nets import preset_named

    card = ModelCard(name="fresh", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-23")
    save_model(Bucket(str(tmp_path / "model")), preset_named("compact").triplet(), card)
    out = Bucket(str(tmp_path / "out"))
    text = evaluate_models(clean, out, [str(tmp_path / "model")], CONFIG)
    assert out.read("summary.md").decode() == text
    assert json.loads(out.read("summary.json"))["config"]["seed"] == 7
    assert out.read("contact_sheet.png").startswith(b"\x89PNG")
    assert len(out.read("results.csv").decode().splitlines()) == 1 + 2 * 5


def test_an_interval_of_a_mean_narrows_with_more_photos_and_holds_the_mean() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(3.0, 1.0, 10), rng.normal(3.0, 1.0, 1000)
    (few_low, few_high), (low, high) = mean_interval(few), mean_interval(many)
    assert few_low < few.mean() < few_high
    assert low < many.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * many.std() / len(many) ** 0.5, rel=0.1)
    assert few_high - few_low > 3 * (high - low)
    assert mean_interval(many) == (low, high)
    assert np.isnan(mean_interval(np.array([1.0, np.nan]))).all()


def test_about_95_of_100_intervals_hold_the_true_mean() -> None:
    rng = np.random.default_rng(1)
    held = [low < 0.0 < high for low, high in (mean_interval(rng.normal(0, 1, 60)) for _ in range(200))]
    assert 0.88 < np.mean(held) < 0.99


def test_a_gain_is_judged_photo_by_photo(clean: Bucket) -> None:
    brighter = {"+1": lambda image, mask: np.minimum(image, 254) + np.uint8(1)}
    table = summarise(compare(clean, baseline_methods() | brighter, CONFIG)).set_index("method")
    gain = table.loc["+1"]
    assert gain["psnr_gain_low"] <= gain["psnr_gain"] <= gain["psnr_gain_high"]
    assert table.loc["degraded input", "psnr_gain_low"] == table.loc["degraded input", "psnr_gain_high"] == 0.0
    # photos differ far more from each other than one level of brightness changes any of them
    assert (
        gain["psnr_gain_high"] - gain["psnr_gain_low"] < 0.5 * np.ptp(table.loc["+1", ["ssim_low", "ssim_high"]]) + 1.0
    )


def natural(number: int) -> np.ndarray:
    """A picture with detail at every size, as photographs have: noise whose amplitude falls with the frequency."""
    rng = np.random.default_rng(number)
    down, right = np.meshgrid(np.fft.fftfreq(288), np.fft.fftfreq(384), indexing="ij")
    amplitude = 1.0 / np.maximum(np.hypot(down, right), 1 / 384)
    field = np.fft.ifft2(amplitude * np.exp(2j * np.pi * rng.random(amplitude.shape))).real
    levels = np.clip(128 + 45 * field / field.std(), 0, 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def test_noise_blur_and_blocks_look_less_natural_than_the_photo_itself() -> None:
    fitted = Naturalness.fit(natural(number) for number in range(8))
    rng = np.random.default_rng(5)
    for number in range(20, 23):
        photo = natural(number)
        noisy = np.clip(photo + rng.normal(0, 25, photo.shape), 0, 255).astype(np.uint8)
        blurred = cv2.GaussianBlur(photo, (9, 9), 2.5).astype(np.uint8)
        blocks = cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 5])[1], cv2.IMREAD_COLOR)
        itself = fitted.score(photo)
        assert all(fitted.score(worse) > itself + 1 for worse in (noisy, blurred, np.asarray(blocks, np.uint8)))


def test_a_photo_below_one_patch_has_no_naturalness_and_too_few_photos_fit_none() -> None:
    fitted = Naturalness.fit(natural(number) for number in range(8))
    assert np.isnan(fitted.score(natural(1)[:95, :95]))
    assert fitted.score(np.full((200, 200, 3), 128, np.uint8)) > 0  # flat pictures have no shape, and a finite score
    with pytest.raises(ConfigError, match="sharp patches"):
        Naturalness.fit([natural(1)[:96, :96]])


def test_moments_recover_the_shape_of_known_distributions() -> None:
    rng = np.random.default_rng(0)
    for values, shape in ((rng.normal(0, 2, 200_000), 2.0), (rng.laplace(0, 1, 200_000), 1.0)):
        found, left, right = _asymmetric(values)
        assert found == pytest.approx(shape, rel=0.05)
        assert left == pytest.approx(right, rel=0.05)


def test_the_sliced_distance_is_the_shift_of_a_shifted_cloud_projected() -> None:
    cloud = torch.randn(4000, 3, generator=torch.Generator().manual_seed(1))
    assert sliced_wasserstein(cloud, cloud) == 0.0
    near, far = sliced_wasserstein(cloud, cloud + 0.5), sliced_wasserstein(cloud, cloud + 1.0)
    assert far == pytest.approx(2 * near, rel=0.01)
    # along one of D axes a random direction sees the share E|cos| of a shift of length sqrt(3): one half for D = 3
    assert far == pytest.approx(3**0.5 / 2, rel=0.1)
    assert sliced_wasserstein(cloud, cloud + 1.0) == pytest.approx(sliced_wasserstein(cloud + 1.0, cloud), rel=1e-6)


def lpips_files(folder: Path) -> tuple[Path, Path]:
    generator = torch.Generator().manual_seed(3)
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    backbone = {"classifier.6.bias": torch.zeros(3)}
    for number, (outside, inside, side) in shapes.items():
        scale = (inside * side * side) ** -0.5
        backbone[f"features.{number}.weight"] = scale * torch.randn(outside, inside, side, side, generator=generator)
        backbone[f"features.{number}.bias"] = torch.zeros(outside)
    heads = {f"lin{n}.model.1.weight": torch.full((1, w, 1, 1), 0.01) for n, w in enumerate(alexnet().widths)}
    torch.save(backbone, folder / "backbone.pth")
    torch.save(heads, folder / "heads.pth")
    return folder / "backbone.pth", folder / "heads.pth"


def test_lpips_by_given_weights_is_zero_between_equals_and_grows_with_the_change(tmp_path: Path) -> None:
    measure = lpips_from_files(*lpips_files(tmp_path))
    truth = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    slightly, strongly = (truth + noise * torch.randn_like(truth) for noise in (0.02, 0.2))
    assert measure(truth, truth).abs().max() < 1e-7
    assert (measure(strongly, truth) > 3 * measure(slightly, truth)).all()
    assert (measure(slightly, truth) > 0).all()


def test_weights_of_a_metric_are_checked_by_digest_and_by_shape(tmp_path: Path) -> None:
    backbone, heads = lpips_files(tmp_path)
    named = backbone.rename(tmp_path / "alexnet-owt-7be5be79.pth")
    with pytest.raises(DamagedWeights, match="7be5be79"):
        Backbones(lpips_backbone=named, lpips_heads=heads).verified()
    with pytest.raises(DamagedWeights, match="sha256"):
        Backbones(lpips_backbone=named, lpips_heads=heads, sha256=("00" * 32, "00" * 32)).verified()
    with pytest.raises(ConfigError, match="both or neither"):
        Backbones(lpips_backbone=named)
    with pytest.raises(DamagedWeights, match="missing"):
        lpips_from_files(heads, heads)


def test_fid_by_a_given_network_is_zero_between_equals_and_right_between_known_clouds(tmp_path: Path) -> None:
    class Means(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().mean(dim=(2, 3))

    network = tmp_path / "means.pt"
    torch.jit.script(Means()).save(str(network))
    fid = FrechetDistance(inception(network))
    rng = np.random.default_rng(0)
    for _ in range(300):
        level = rng.integers(60, 120, 3)
        fid.add("truth", np.full((8, 8, 3), level, np.uint8))
        fid.add("shifted", np.full((8, 8, 3), level + 10, np.uint8))
    assert fid.distance("truth", "truth") == pytest.approx(0.0, abs=1e-6)
    assert fid.distance("shifted", "truth") == pytest.approx(3 * 10.0**2, rel=1e-6)
    (tmp_path / "no.pt").write_bytes(b"no network")
    with pytest.raises(DamagedWeights, match="TorchScript"):
        inception(tmp_path / "no.pt")


@pytest.mark.long
def test_without_weights_the_columns_say_not_available_and_with_them_there_are_numbers(
    clean: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lpips_weights, "PACKAGE", "no_package_of_that_name")
    backbone, heads = lpips_files(tmp_path)
    plain = evaluate_models(clean, Bucket(str(tmp_path / "plain")), ["starter"], CONFIG)
    assert plain.count("not available | not available") == 6
    measured = evaluate_models(
        clean, Bucket(str(tmp_path / "measured")), ["starter"], CONFIG,
        backbones=Backbones(lpips_backbone=backbone, lpips_heads=heads),
    )  # fmt: skip
    assert measured.count("not available") == 6
    written = json.loads((tmp_path / "measured" / "summary.json").read_bytes())
    assert all(row["lpips"] > 0 for row in written["methods"])
    assert set(written["backbones"]) == {"backbone.pth", "heads.pth"}


def test_real_photos_are_judged_without_an_original(tmp_path: Path) -> None:
    for name, numbers in (("clean", range(10)), ("old", range(30, 32))):
        (tmp_path / name).mkdir()
        for number in numbers:
            Image.fromarray(natural(number)).save(tmp_path / name / f"{name}-{number:02}.png")
    config = EvaluationConfig(holdout=None, crop=64)
    out = Bucket(str(tmp_path / "out"))
    text = evaluate_on_real(Bucket(str(tmp_path / "clean")), Bucket(str(tmp_path / "old")), out, ["starter"], config)
    assert out.read("real.md").decode() == text
    assert "| ours, starter |" in text
    assert "| starter | 0." in text or "| starter | 1." in text
    rows = pd.read_csv(tmp_path / "out" / "real.csv")
    assert len(rows) == 2 * 5
    assert rows["niqe"].between(0, 100).all()
