"""Finding damage: what the detector learns from, how it is judged, and how it looks at scans of any size."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from photos import album, photo
from torchmetrics.functional.classification import binary_auroc, binary_f1_score

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.checkpoints import Detector, Model, ModelCard, load_detector, load_model, save_model
from oldphoto_core.checkpoints.store import DETECTOR
from oldphoto_core.degradation import PublishedRecipe, ScratchMasks
from oldphoto_core.errors import ConfigError, DamagedWeights, ModelError, TrainingError
from oldphoto_core.inference.finder import COARSEST, DamageFinder
from oldphoto_core.inference.restorer import Restorer
from oldphoto_core.metrics import DetectionCounts
from oldphoto_core.nets.compact_detector import CompactDetector
from oldphoto_core.nets.presets import preset_named
from oldphoto_core.nets.scratch_unet import ScratchUNet
from oldphoto_core.scans import RawPixels
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.assembling import publish
from oldphoto_core.training.detection import DetectionBatches, DetectionStage
from oldphoto_core.training.detection.data import scanned
from oldphoto_core.training.detection.stage import dice_loss, focal_loss
from oldphoto_core.training.photos.batches import PhotoSet
from oldphoto_core.training.process_group import ProcessGroup

TINY: dict[str, Any] = {
    "steps": 4, "batch": 4, "crop": 32, "canvas": 64, "validate_every": 2, "validation_crops": 2,
    "checkpoint_every": 2, "warm_up": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(str(album(tmp_path_factory.mktemp("clean"), 10)))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(str(album(tmp_path_factory.mktemp("old"), 6, first=50)))


def photos_of(bucket: Bucket) -> PhotoSet:
    return PhotoSet(bucket, [entry.key for entry in bucket.list()])


def test_a_batch_of_damage_depends_on_its_step_alone(clean: Bucket, old: Bucket) -> None:
    config = default_config("scratches", **TINY)
    first = DetectionBatches(config, photos_of(clean), photos_of(old))
    second = DetectionBatches(config, photos_of(clean), photos_of(old))
    first.batch(0)
    ours, theirs = first.batch(3), second.batch(3)
    for name in ("degraded", "mask", "weight"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name))


def test_unmarked_pixels_of_old_photos_count_less_visible_damage_in_full_and_faint_damage_not_at_all(
    clean: Bucket, old: Bucket
) -> None:
    config = default_config("scratches", **TINY, old_share=1.0, halved_share=0.0)
    batches = DetectionBatches(config, photos_of(clean), photos_of(old))
    made = [batches.batch(step) for step in range(4)]
    mask = torch.cat([batch.mask for batch in made if batch.mask is not None])
    weight = torch.cat([batch.weight for batch in made if batch.weight is not None])
    assert mask.any()
    assert set(weight[mask > 0].unique().tolist()) == {0.0, 1.0}
    assert (weight[mask > 0] > 0).float().mean() > 0.5
    assert (weight[mask == 0] == np.float32(config.old_intact_weight)).all()
    only_clean = DetectionBatches(
        default_config("scratches", **TINY, old_share=0.0, halved_share=0.0), photos_of(clean), photos_of(old)
    )
    batch = only_clean.batch(0)
    assert batch.weight is not None
    assert batch.mask is not None
    assert (batch.weight[batch.mask == 0] == 1.0).all()


def test_some_canvases_are_seen_at_half_of_their_size(clean: Bucket) -> None:
    config = default_config("scratches", **TINY | {"canvas": 96}, old_share=0.0, most_rescaled=1.0, halved_share=0.0)
    whole, half = (
        DetectionBatches(replace(config, halved_share=share), photos_of(clean), None)._canvas(3) for share in (0.0, 1.0)
    )
    height, width = half[0].shape
    assert (height, width) == (whole[0].shape[0] // 2, whole[0].shape[1] // 2)
    assert half[0].shape == half[1].shape == half[2].shape
    expected = whole[0][: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))
    assert np.abs(half[0] - expected).max() <= 1
    assert set(np.unique(half[1])) <= {False, True}


@pytest.mark.parametrize("photo_size", [(64, 200), (300, 400), (1, 1), (30, 900)])
def test_a_canvas_is_a_photo_larger_or_smaller_but_never_below_a_crop_or_above_its_bound(
    photo_size: tuple[int, int],
) -> None:
    config = default_config("scratches", **TINY | {"canvas": 256})
    picture = photo(1, 300, 900)[: photo_size[0], : photo_size[1]]
    made = [scanned(picture, config, np.random.default_rng(seed)) for seed in range(12)]
    assert all(config.crop <= side <= 256 + config.crop for canvas in made for side in canvas.shape[:2])
    assert len({canvas.shape for canvas in made}) > 1 or photo_size == (1, 1)
    same = default_config("scratches", **TINY | {"canvas": 0}, most_rescaled=1.0)
    whole = scanned(photo(1, 64, 200), same, np.random.default_rng(0))
    assert any(np.array_equal(whole, seen) for seen in (photo(1, 64, 200), photo(1, 64, 200)[:, ::-1]))


def test_wires_and_writing_are_drawn_into_photos_but_never_marked(clean: Bucket) -> None:
    config = default_config("scratches", **TINY, old_share=0.0, thin_structures=1.0)
    undamaged = DetectionBatches(
        default_config("scratches", **TINY, old_share=0.0, thin_structures=1.0, recipe=config.recipe.undamaged()),
        photos_of(clean), None,
    ).batch(0)  # fmt: skip
    assert undamaged.mask is not None
    assert not undamaged.mask.any()


def test_the_focal_loss_without_focus_is_half_the_cross_entropy_and_with_it_forgets_what_is_known() -> None:
    torch.manual_seed(0)
    scores, mask = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.7).float()
    weight = torch.ones_like(mask)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(scores, mask)
    assert torch.allclose(focal_loss(scores, mask, weight, gamma=0.0, damaged=0.5), 0.5 * entropy)
    sure = (mask * 2 - 1) * 6.0
    known = [focal_loss(sure, mask, weight, gamma=gamma, damaged=0.5) for gamma in (0.0, 2.0)]
    assert known[1] < 1e-4 * known[0]
    ignored = weight * (mask == 0)
    assert focal_loss(scores, mask, ignored, gamma=2.0, damaged=1.0) == 0


def test_the_dice_loss_is_one_less_f1_of_sure_decisions() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :16] = 1
    decided = torch.full_like(mask, -30.0)
    decided[..., 8:24] = 30.0
    f1 = float(binary_f1_score((decided > 0).flatten(), mask.flatten().int()))
    assert float(dice_loss(decided, mask, torch.ones_like(mask))) == pytest.approx(1 - f1, abs=1e-3)


def test_the_threshold_may_be_bounded_by_what_it_marks_on_unharmed_photos() -> None:
    damaged, unharmed = DetectionCounts(), DetectionCounts()
    mask = torch.arange(1000) < 100
    damaged.add(torch.where(mask, 0.6, 0.3), mask)
    unharmed.add(torch.tensor([0.7] * 5 + [0.1] * 995), torch.zeros(1000, dtype=torch.bool))
    assert 0.3 < damaged.best_threshold(0.003) <= 0.6
    assert damaged.best_threshold(0.003, unharmed) > 0.7
    assert damaged.best_threshold(0.005, unharmed) == damaged.best_threshold(0.003)


def test_counts_give_the_auc_and_f1_that_torchmetrics_gives() -> None:
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(40_000, generator=generator) < 0.03
    probabilities = (torch.rand(40_000, generator=generator) * 0.7 + 0.25 * mask).round(decimals=3)
    counts = DetectionCounts()
    counts.add(probabilities[:10_000], mask[:10_000])
    counts.add(probabilities[10_000:], mask[10_000:])
    assert counts.auc() == pytest.approx(float(binary_auroc(probabilities, mask.int())), abs=1e-3)
    threshold = counts.best_threshold()
    theirs = float(binary_f1_score(probabilities + 1e-6, mask.int(), threshold=threshold))
    assert counts.f1(threshold) == pytest.approx(theirs, abs=2e-3)
    assert all(counts.f1(other / 100) <= counts.f1(threshold) for other in range(100))
    careful = counts.best_threshold(most_false=1e-4)
    allowed = [step / 1000 for step in range(1000) if counts.false_positive_rate(step / 1000) <= 1e-4]
    assert careful in allowed
    assert len(allowed) < 1000
    assert all(counts.f1(other) <= counts.f1(careful) for other in allowed)
    marked = probabilities >= threshold - 1e-6
    assert counts.false_positive_rate(threshold) == pytest.approx(float(marked[~mask].float().mean()), abs=2e-3)
    assert counts.recall(threshold) == pytest.approx(float(marked[mask].float().mean()), abs=2e-2)


@pytest.mark.long
def test_a_detector_learns_to_find_white_scratches(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    white = PublishedRecipe(probability=0.0, scratches=ScratchMasks(probability=1.0))
    changes = TINY | {"crop": 64, "steps": 60, "batch": 8, "validate_every": 60, "learning_rate": 4e-3, "warm_up": 5}
    changes |= {"averaging": 0.0}  # of weights over 500 steps
    result = train_stage(default_config("scratches", **changes, recipe=white), clean, old, Bucket(tmp_path))
    assert result["auc"] > 0.85
    assert 0 < result["threshold"] < 1
    assert result["old_photos"] + result["old_held_out"] == 6
    header, *rows = Bucket(tmp_path).read("scratches/log.csv").decode().splitlines()
    focal = [float(row.split(",")[header.split(",").index("focal")]) for row in rows]
    assert focal[-1] < focal[0]
    assert Bucket(tmp_path).read("scratches/chart.png").startswith(b"\x89PNG")


def test_a_step_moves_every_weight_against_its_own_gradient(clean: Bucket) -> None:
    config = default_config("scratches", **TINY | {"warm_up": 0}, clip_gradient=0.0, precision="float32")
    batch = DetectionBatches(config, photos_of(clean), None).batch(0)
    torch.manual_seed(1)
    stage = DetectionStage(config, CompactDetector())
    network = stage.networks["generator"]
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    twin = copy.deepcopy(network)
    minimised, _ = DetectionStage(config, twin).losses(batch, 0, torch.Generator())
    gradients = torch.autograd.grad(minimised["generator"], tuple(twin.parameters()))
    stage.step(batch, 0)
    for (name, weight), gradient in zip(network.named_parameters(), gradients, strict=True):
        # the first step of Adam is the learning rate against the gradient's sign
        moved, sure = weight.detach() - before[name], gradient.abs() > 1e-6
        assert torch.equal(moved.sign()[sure], -gradient.sign()[sure]), name


def test_processes_share_the_crops_of_a_batch(clean: Bucket, old: Bucket) -> None:
    config = default_config("scratches", **TINY)
    whole = DetectionBatches(config, photos_of(clean), photos_of(old)).batch(3)
    shares = [
        DetectionBatches(config, photos_of(clean), photos_of(old), ProcessGroup(rank, 2)).batch(3) for rank in range(2)
    ]
    for name in ("degraded", "mask", "weight"):
        found = torch.cat([getattr(share, name) for share in shares])
        assert sorted(crop.sum().item() for crop in found) == sorted(crop.sum().item() for crop in getattr(whole, name))
    assert [len(share.clean) for share in shares] == [2, 2]


def test_gradients_in_turns_are_those_of_one_turn(clean: Bucket) -> None:
    # the Dice loss is over the crops of a turn, the focal loss is a mean over all of them
    changes = TINY | {"warm_up": 0, "precision": "float32", "dice": 0.0, "clip_gradient": 0.0}
    batch = DetectionBatches(default_config("scratches", **changes), photos_of(clean), None).batch(0)
    torch.manual_seed(1)
    network = CompactDetector()
    found = []
    for turns in (1, 2):
        stage = DetectionStage(default_config("scratches", **changes, accumulation=turns), copy.deepcopy(network))
        stage.step(batch, 0)
        found.append([parameter.grad for parameter in stage.networks["generator"].parameters()])
    assert all(torch.allclose(one, two, rtol=1e-3, atol=1e-6) for one, two in zip(*found, strict=True))


@pytest.mark.long
def test_a_killed_training_of_the_detector_ends_as_an_undisturbed_one(
    clean: Bucket, old: Bucket, tmp_path: Path
) -> None:
    config = default_config("scratches", **TINY)
    whole, parts = Bucket(tmp_path / "whole"), Bucket(tmp_path / "parts")
    train_stage(config, clean, old, whole)

    def stop(step: int, steps: int, values: dict[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stage(config, clean, old, parts, stop)
    train_stage(config, clean, old, parts)
    column = 2
    ours, theirs = (out.read("scratches/log.csv").decode().splitlines() for out in (whole, parts))
    assert [row.split(",")[column] for row in ours] == [row.split(",")[column] for row in theirs]


def test_the_detectors_config_refuses_nonsense() -> None:
    for name, value in (("crop", 48), ("canvas", 16), ("old_share", 1.5), ("focal_gamma", -1.0), ("dice", -1.0)):
        with pytest.raises(ConfigError, match=name):
            default_config("scratches", **(TINY | {name: value}))


def with_detector(folder: Path, seed: int = 0, threshold: float = 0.5) -> ModelCard:
    torch.manual_seed(seed)
    card = ModelCard(name="mine", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-23")
    detector = Detector(CompactDetector(), threshold)
    return save_model(Bucket(folder), preset_named("compact").triplet(), card, detector=detector)


def test_a_model_keeps_its_detector_and_threshold(tmp_path: Path) -> None:
    card = with_detector(tmp_path, threshold=0.37)
    assert card.detector == {"file": DETECTOR, "threshold": 0.37}
    found = load_detector(str(tmp_path))
    assert found is not None
    assert found.threshold == 0.37
    assert load_model(str(tmp_path)).card == card
    (tmp_path / DETECTOR).write_bytes((tmp_path / DETECTOR).read_bytes()[:-1] + b"\x55")
    with pytest.raises(DamagedWeights, match=r"detector\.safetensors"):
        load_detector(str(tmp_path))


def test_a_model_without_a_detector_says_so(tmp_path: Path) -> None:
    card = ModelCard(name="mine", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-23")
    save_model(Bucket(tmp_path), preset_named("compact").triplet(), card)
    restorer = Restorer.load(str(tmp_path))
    assert restorer.detector_digest == ""
    with pytest.raises(ModelError, match="mine has no detector"):
        restorer.find(photo(1))


def test_the_digest_names_weights_and_threshold(tmp_path: Path) -> None:
    digests = set()
    for number, (seed, threshold) in enumerate(((0, 0.5), (0, 0.5), (1, 0.5), (0, 0.6))):
        with_detector(tmp_path / str(number), seed, threshold)
        digests.add(Restorer.load(str(tmp_path / str(number))).detector_digest)
    assert len(digests) == 3


@pytest.mark.long
def test_fine_tuning_begins_with_the_named_models_weights(clean: Bucket, old: Bucket, tmp_path: Path) -> None:
    with_detector(tmp_path / "first")
    config = default_config("scratches", **(TINY | {"steps": 1, "learning_rate": 1e-9}))
    tuned = tmp_path / "tuned"
    train_stage(replace_start(config, tmp_path / "first"), clean, old, Bucket(tuned))
    for stage in ("vae_old", "vae_clean", "mapping"):
        settings = default_config(stage, **(TINY | {"steps": 1, "learning_rate": 1e-9}))
        train_stage(replace_start(settings, tmp_path / "first"), clean, old, Bucket(tuned))
    publish(config, Bucket(tuned), name="tuned")
    given, found = load_model(str(tmp_path / "first")), load_model(str(tuned / "model"))
    for name, tensor in given.networks.state_dict().items():
        assert torch.allclose(tensor, found.networks.state_dict()[name], atol=1e-3), name
    first, second = load_detector(str(tmp_path / "first")), load_detector(str(tuned / "model"))
    assert first is not None
    assert second is not None
    assert all(
        torch.allclose(a, b, atol=1e-3)
        for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True)
    )
    card = ModelCard(name="none", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-23")
    save_model(Bucket(tmp_path / "bare"), preset_named("compact").triplet(), card)
    with pytest.raises(TrainingError, match="no detector to begin with"):
        train_stage(replace_start(config, tmp_path / "bare"), clean, old, Bucket(tmp_path / "x"))


def replace_start(config: Any, folder: Path) -> Any:
    return replace(config, start_model=str(folder))


# looking at photos of any size


def finder(memory: float = 2e9, seed: int = 0) -> DamageFinder:
    torch.manual_seed(seed)
    network = CompactDetector().eval()
    with torch.no_grad():
        # decided scores around the threshold, so that it cuts through structure
        network.score.weight.mul_(40.0)
        network.score.bias.zero_()
    return DamageFinder(Detector(network, 0.5), "weights", "cpu", memory)


def found(by: DamageFinder, pixels: np.ndarray) -> np.ndarray:
    marks = np.full((*pixels.shape[:2], 1), 9, np.uint8)
    by.find(ArrayCanvas(pixels), ArrayCanvas(marks), lambda done, total: None)
    assert set(np.unique(marks)) <= {0, 1}
    return marks[..., 0]


def test_a_detector_looks_no_further_than_its_halo() -> None:
    torch.manual_seed(0)
    network = CompactDetector().double().eval()
    image = torch.randn(1, 1, 576, 576, dtype=torch.float64)
    with torch.inference_mode():
        before = network(image)
        for offset in (0, 31):
            place = 288 + offset
            other = image.clone()
            other[..., place, place] += 1.0
            reached = (network(other) - before)[0, 0].nonzero() - place
            assert 0 < reached.abs().max() <= CompactDetector.halo
    assert CompactDetector.halo % CompactDetector.multiple == ScratchUNet.halo % ScratchUNet.multiple == 0


def test_tiles_find_what_the_whole_finds() -> None:
    pixels = cv2.resize(photo(5, 300, 400), (1500, 700), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    small = finder(memory=CompactDetector.bytes_per_pixel * 800.0**2)
    in_tiles, whole = small.probabilities(pixels), finder().probabilities(pixels)
    assert np.abs(in_tiles - whole).max() <= 1 / 255
    assert whole.std() > 0.01


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 900), (33, 17), (COARSEST * 2, 1), (601, 1203)])
def test_pictures_of_any_size_are_looked_at(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    assert found(finder(), pixels).shape == size


def test_depth_does_not_change_what_is_found() -> None:
    pixels = photo(8, 640, 1100)
    deep = pixels.astype(np.uint16) * 257
    shallow = found(finder(), pixels)
    assert 0.02 < shallow.mean() < 0.98
    # looks at halves round to 8 bits, and this network is steep at its threshold
    assert (shallow != found(finder(), deep)).mean() < 0.01


def test_a_large_photo_is_looked_at_in_its_own_size_and_in_halves() -> None:
    looks: list[tuple[int, int]] = []
    marks = np.empty((300, 2100, 1), np.uint8)
    finder().find(
        ArrayCanvas(np.zeros((300, 2100, 1), np.uint8)),
        ArrayCanvas(marks),
        lambda done, total: looks.append((done, total)),
    )
    assert looks == [(1, 3), (2, 3), (3, 3)]


def test_damage_seen_in_the_small_is_marked_in_the_large() -> None:
    class SeesDarkness(torch.nn.Module):
        """Stands for a detector that knows damage by its size: a dark pixel within dark ones all around it."""

        multiple = minimum = 16
        halo, bytes_per_pixel = 32, 100

        def forward(self, grey: torch.Tensor) -> torch.Tensor:
            dark = (grey < -0.5).float()
            size = torch.nn.functional.avg_pool2d(dark, 31, 1, 15) * 31**2
            return 20.0 * ((dark > 0) & (size > 5 * 5) & (size < 31 * 31 - 0.5)).float() - 10.0

    pixels = np.full((1100, 1100, 1), 200, np.uint8)
    pixels[100:110, 100:110] = 0  # found in its own size
    pixels[500:560, 500:560] = 0  # only in half of it
    by = DamageFinder(Detector(SeesDarkness(), 0.5), "", "cpu", 1e9)
    marks = found(by, pixels)
    assert marks[100:110, 100:110].all()
    assert marks[502:558, 502:558].all()
    assert marks.sum() < 1.2 * (10**2 + 60**2)


def test_marks_of_a_photo_on_disk_are_those_of_the_photo_in_memory(tmp_path: Path) -> None:
    pixels = photo(9, 700, 1500)
    on_disk = RawPixels.create(tmp_path / "photo", 700, 1500, 3, "uint8")
    marks = RawPixels.create(tmp_path / "marks", 700, 1500, 1, "uint8")
    on_disk.write(0, pixels)
    small = finder(memory=CompactDetector.bytes_per_pixel * 800.0**2)
    small.find(on_disk, marks, lambda done, total: None)
    assert np.array_equal(marks.read(0, 700)[..., 0], found(small, pixels))


def test_a_restorer_marks_what_its_detector_finds(tmp_path: Path) -> None:
    with_detector(tmp_path)
    restorer = Restorer.load(str(tmp_path))
    model: Model = load_model(str(tmp_path))
    detector = load_detector(str(tmp_path))
    assert detector is not None
    expected = DamageFinder(detector, model.card.parts[DETECTOR], "cpu", 1e9).probabilities(photo(2))
    assert np.array_equal(restorer.find(photo(2)), expected >= np.ceil(0.5 * 255) / 255)
    grey = photo(2)[..., :1]
    assert restorer.find(grey[..., 0]).shape == grey.shape[:2]
