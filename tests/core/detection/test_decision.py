"""From probabilities to a mask: hysteresis, components judged as wholes, sensitivities and doubt."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from fakes import DetectingRestorer, encoded, picture, scratched
from photos import photo
from torch import nn

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.checkpoints import Detector, ModelCard
from oldphoto_core.detection import search
from oldphoto_core.detection.decision import Classifier, Decision, Decisions, Rules
from oldphoto_core.detection.features import FEATURES
from oldphoto_core.detection.finding import Finding
from oldphoto_core.detection.frame import Frame
from oldphoto_core.detection.options import DetectionOptions
from oldphoto_core.detection.search import Candidates, mark
from oldphoto_core.detection.surroundings import Range
from oldphoto_core.errors import ConfigError, DamagedWeights, UsageError
from oldphoto_core.inference.finder import DamageFinder
from oldphoto_core.pipeline.options import RestoreOptions
from oldphoto_core.reports.record import record_schema
from oldphoto_core.restoration import Photo, ShardCallbacks, register_restorer, restore_photos
from oldphoto_core.runs.job import job_of, restorer_of
from oldphoto_core.runs.missing_rows import rows_of_records
from oldphoto_core.scans import RawPixels
from oldphoto_core.storage import Bucket, LedgerRow

HYSTERESIS = Decision(weak=0.4, strong=0.8)
EVERYTHING = Range(0.0, 255.0)


def marked(pixels: np.ndarray, levels: np.ndarray, decision: Decision, frame: Frame | None = None) -> np.ndarray:
    """The mask HW."""
    plane = ArrayCanvas(levels[..., np.newaxis].copy())
    frame = frame or Frame(0, 0, *levels.shape)
    photo_ = ArrayCanvas(pixels)
    mark(Candidates(photo_, plane, decision.weak_level, decision.strong_level, frame, EVERYTHING), decision)
    return plane.pixels[..., 0].astype(bool)


def speckled(seed: int, height: int, width: int) -> np.ndarray:
    """Levels with components of many shapes."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width)).astype(np.float32)
    rough = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.clip((rough / rough.std() * 0.25 + 0.35) * 255, 0, 255).astype(np.uint8)


def test_weak_neighbours_of_a_strong_pixel_count_and_weak_pixels_alone_do_not() -> None:
    levels = np.zeros((20, 40), np.uint8)
    levels[5, 5:30] = 130
    levels[5, 29] = 250
    levels[6, 30] = 130  # across a corner
    levels[15, 5:30] = 130
    mask = marked(np.full((20, 40, 1), 90, np.uint8), levels, HYSTERESIS)
    expected = np.zeros_like(mask)
    expected[5, 5:30] = expected[6, 30] = True
    assert np.array_equal(mask, expected)


@pytest.mark.parametrize("slab", [1, 70, 1000, 10**6])
def test_components_are_the_same_however_rows_are_cut(monkeypatch: pytest.MonkeyPatch, slab: int) -> None:
    levels, pixels = speckled(4, 150, 70), photo(4, 150, 70)
    weights = dict.fromkeys(FEATURES, 0.1) | {"probability": 9.0, "edge": -0.7, "texture": -0.3}
    judge = Classifier(bias=-6.0, weights=weights, least=0.5)
    decision = replace(HYSTERESIS, judge=judge)
    whole = marked(pixels, levels, decision)
    count, labels = cv2.connectedComponents((levels >= decision.weak_level).astype(np.uint8), connectivity=8)
    kept = [bool(whole[labels == number].all()) for number in range(1, count)]
    assert 0.1 < np.mean(kept) < 0.9
    assert all(whole[labels == number].any() == keep for number, keep in zip(range(1, count), kept, strict=True))
    monkeypatch.setattr(search, "SLAB", slab)
    assert np.array_equal(marked(pixels, levels, decision), whole)


@pytest.mark.parametrize("slab", [1, 200, 10**6])
def test_hysteresis_follows_spirals_and_combs_through_all_slabs(monkeypatch: pytest.MonkeyPatch, slab: int) -> None:
    monkeypatch.setattr(search, "SLAB", slab)
    levels = np.zeros((61, 61), np.uint8)
    levels[2:58, 2:58:4] = 130  # teeth, all joined at the bottom
    levels[57, 2:58] = 130
    levels[2, 2] = 250
    alone = levels.copy()
    alone[57] = 0
    pixels = np.full((61, 61, 3), 90, np.uint8)
    assert np.array_equal(marked(pixels, levels, HYSTERESIS), levels > 0)
    assert marked(pixels, alone, HYSTERESIS).sum() == 55


def test_hysteresis_is_that_of_a_labelling_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SLAB", 500)
    for seed in range(5):
        levels = speckled(seed, 120, 90)
        count, labels = cv2.connectedComponents((levels >= HYSTERESIS.weak_level).astype(np.uint8), connectivity=8)
        has_seed = np.zeros(count, bool)
        has_seed[labels[levels >= HYSTERESIS.strong_level]] = True
        has_seed[0] = False
        assert np.array_equal(marked(photo(seed, 120, 90), levels, HYSTERESIS), has_seed[labels])


def test_nothing_outside_the_frame_is_marked_or_joins_what_is_inside() -> None:
    levels = np.full((30, 30), 130, np.uint8)
    levels[0, 0] = 255
    frame = Frame(5, 5, 25, 25)
    pixels = np.full((30, 30, 1), 90, np.uint8)
    assert not marked(pixels, levels, HYSTERESIS, frame).any()
    levels[10, 10] = 255
    assert np.array_equal(marked(pixels, levels, HYSTERESIS, frame), frame.inside(0, 30, 30))


def line_on(pixels: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo with a bright line across it, and sure probabilities for that."""
    lined, levels = pixels.copy(), np.zeros(pixels.shape[:2], np.uint8)
    lined[:, 48:51] = level
    levels[:, 48:51] = 250
    return lined, levels


def test_rules_keep_a_scratch_across_an_even_ground_and_refuse_the_edge_of_an_object() -> None:
    even = np.full((100, 100, 3), 90, np.uint8)
    decision = Decision(weak=0.5, strong=0.8, judge=Rules(most_edge=1.0))
    assert marked(*line_on(even, 220), decision).any()
    edge = even.copy()
    edge[:, 50:] = 230
    lined, levels = line_on(edge, 160)
    assert not marked(lined, levels, decision).any()


def test_rules_refuse_what_is_no_more_than_the_texture_around_it() -> None:
    gravel = np.random.default_rng(0).integers(40, 200, (100, 100, 1)).astype(np.uint8)
    lined, levels = line_on(gravel, 125)
    decision = Decision(weak=0.5, strong=0.8, judge=Rules(least_distinct=0.75))
    assert not marked(lined, levels, decision).any()
    assert marked(lined, levels, replace(decision, judge=Rules())).any()


class GivesLevels(nn.Module):
    """A detector whose probability is the grey level."""

    halo, multiple, minimum, bytes_per_pixel = 0, 1, 1, 100

    def forward(self, grey: Any) -> Any:
        return ((grey + 1.0) / 2.0).clamp(1e-4, 1 - 1e-4).logit()


def finder(decision: dict[str, Any] | None = None, threshold: float = 0.6) -> DamageFinder:
    return DamageFinder(Detector(GivesLevels(), threshold, decision or {}), "", "cpu", 1e9)  # type: ignore[arg-type]


def found(by: DamageFinder, pixels: np.ndarray, **options: Any) -> tuple[np.ndarray, Any]:
    plane = ArrayCanvas(np.full((*pixels.shape[:2], 1), 7, np.uint8))
    finding = by.find(ArrayCanvas(pixels), plane, lambda *_: None, DetectionOptions(**options))
    assert set(np.unique(plane.pixels)) <= {0, 1}
    return plane.pixels[..., 0].astype(bool), finding


def test_a_model_without_a_decision_marks_by_its_threshold_alone() -> None:
    levels = speckled(7, 90, 120)[..., np.newaxis]
    mask, _ = found(finder(), levels)
    assert np.array_equal(mask, levels[..., 0] >= math.ceil(0.6 * 255))
    assert finder().decisions.at("normal").is_threshold


def test_low_marks_no_more_than_normal_and_high_no_less() -> None:
    for seed in range(4):
        levels = speckled(seed, 150, 200)[..., np.newaxis]
        low, normal, high = (found(finder(), levels, sensitivity=one)[0] for one in ("low", "normal", "high"))
        assert not (low & ~normal).any()
        assert not (normal & ~high).any()
        assert high.sum() > normal.sum()


def test_doubt_is_the_mean_uncertainty_of_what_is_marked() -> None:
    levels = np.zeros((40, 40, 1), np.uint8)
    assert found(finder(), levels)[1].doubt == 0.0
    levels[3, :] = 204
    levels[9, :] = 255
    levels[20, :] = 100  # not marked, so nothing to doubt
    mask, finding = found(finder(), levels)
    assert finding.marked == mask.sum() == 80
    assert finding.doubt == pytest.approx(0.1, abs=0.005)


def test_a_mount_is_never_marked_unless_frames_are_off() -> None:
    scan = np.full((400, 500, 1), 235, np.uint8)
    scan[50:350, 60:440] = photo(5, 300, 380)[..., :1] // 3
    scan[200, 100:300] = 255
    mask, finding = found(finder(), scan)
    assert finding.frame is not None
    assert mask[200, 100:300].all()
    assert not mask[:40].any()
    everywhere, finding = found(finder(), scan, frame="off")
    assert finding.frame is None
    assert everywhere[:40].all()


@pytest.mark.parametrize("sensitivity", ["low", "normal", "high"])
def test_a_photo_on_disk_in_16_bits_gets_the_mask_of_one_in_memory(tmp_path: Path, sensitivity: str) -> None:
    small = np.repeat(speckled(9, 300, 260)[..., np.newaxis], 3, axis=2)
    disk = RawPixels.create(tmp_path / "photo.tif", 300, 260, 3, "uint16")
    disk.write(0, small.astype(np.uint16) * 257)
    plane = RawPixels.create(tmp_path / "mask.tif", 300, 260, 1, "uint8")
    mask, finding = found(finder(), small, sensitivity=sensitivity)
    same = finder().find(disk, plane, lambda *_: None, DetectionOptions(sensitivity=sensitivity))  # type: ignore[arg-type]
    assert same == finding
    assert np.array_equal(plane.read(0, 300)[..., 0] != 0, mask)
    disk.close()
    plane.close()


def test_a_cards_classifier_decides_at_each_sensitivity() -> None:
    card = {"weak": {"normal": 0.5}, "strong": {"low": 0.9}, "least": {"low": 0.8, "high": 0.2},
            "bias": -8.0, "weights": {"probability": 10.0}}  # fmt: skip
    decisions = Decisions.of(0.6, card)
    low, normal, high = (decisions.at(one) for one in ("low", "normal", "high"))
    assert (low.strong, low.weak) == (0.9, 0.9)
    assert (normal.strong, normal.weak) == (0.6, 0.5)
    assert [one.judge.least for one in (low, normal, high) if isinstance(one.judge, Classifier)] == [0.8, 0.5, 0.2]
    with pytest.raises(DamagedWeights, match="smell"):
        Decisions.of(0.6, {"weights": {"smell": 1.0}})


def test_a_card_keeps_its_decision_and_the_digest_names_it() -> None:
    sha = "a" * 64
    decision = {"strong": {"low": 0.9}, "bias": -1.0, "weights": {"edge": -2.0}}
    card = ModelCard(
        name="m", preset="compact", partial_nonlocal=True, weights_sha256=sha, created="2026-11-29", parts={"d": sha},
        detector={"file": "d", "threshold": 0.5, "decision": decision},
    )  # fmt: skip
    assert ModelCard.from_json(card.to_json(), "m") == card
    for odd in ({"strong": {"low": 2.0}}, {"weights": {"edge": math.inf}}, {"taste": {}}, []):
        broken = replace(card, detector=card.detector | {"decision": odd})
        with pytest.raises(DamagedWeights, match="detector"):
            ModelCard.from_json(broken.to_json(), "m")
    assert finder(decision).digest != finder().digest


def test_sensitivity_and_frame_are_checked_and_part_of_the_digest_only_where_a_detector_looks() -> None:
    for name in ("sensitivity", "frame"):
        for options in (RestoreOptions, DetectionOptions):
            with pytest.raises(ConfigError, match=f"{name} is 'never'"):
                options(**{name: "never"})
    plain = RestoreOptions()
    for changed in (RestoreOptions(sensitivity="low"), RestoreOptions(frame="off")):
        assert changed.digest("", "d") != plain.digest("", "d")
        assert changed.digest("", "") == plain.digest("", "")


class JudgingRestorer(DetectingRestorer):
    """Finds what is nearly white, at every sensitivity, inside a frame that it is sure of by three quarters."""

    def judge_damage(
        self, photo: Any, result: Any, options: DetectionOptions, on_progress: Any = lambda *_: None
    ) -> Finding:
        self.find_damage(photo, result, on_progress)
        self.asked = options
        frame = Frame(0, 0, 36, photo.shape[1]) if options.frame == "auto" else None
        return Finding(options.sensitivity, frame, marked=240, doubt=0.25)


def restored(folder: Path, restorer: Any, **options: Any) -> tuple[LedgerRow, dict[str, Any]]:
    """The row and the record of a scratched photo."""
    (folder / "old").mkdir(exist_ok=True)
    (folder / "old/a.png").write_bytes(encoded(scratched(picture(), 12, 16), ".png"))
    source = Bucket(folder / "old")
    photos = [Photo(o.key, o.version, o.size) for o in source.list()]
    rows: list[LedgerRow] = []
    restore_photos(
        restorer,
        source,
        Bucket(folder / "new"),
        photos,
        RestoreOptions(**options),
        ShardCallbacks(on_row=rows.append),
        run_id="t",
    )
    record = json.loads((folder / "new/records/a.png.json").read_text())
    jsonschema.validate(record, record_schema(), jsonschema.Draft202012Validator)
    return rows[0], record


@pytest.mark.parametrize("way", [{}, {"in_flight_megapixels": 0.0001}], ids=["in memory", "from disk"])
def test_record_and_ledger_say_where_the_frame_is_and_how_sure_the_detector_was(
    tmp_path: Path, way: dict[str, float]
) -> None:
    restorer = JudgingRestorer()
    row, record = restored(tmp_path, restorer, sensitivity="low", **way)
    assert restorer.asked == DetectionOptions(sensitivity="low")
    assert row.doubt == record["mask"]["doubt"] == 0.25
    assert "shading" in record["mask"]["doubtful"]
    assert row.doubtful == "; ".join(record["mask"]["doubtful"])
    assert record["mask"]["frame"] == [0, 0, picture().shape[1], 36]
    assert record["options"]["sensitivity"] == "low"
    _, record = restored(tmp_path, restorer, frame="off", existing="overwrite")
    assert record["mask"]["frame"] is None
    assert record["options"]["frame"] == "off"
    (after_a_kill,) = rows_of_records(Bucket(tmp_path / "new"), ["a.png"], "t")
    assert after_a_kill.doubt == 0.25
    assert after_a_kill.doubtful == row.doubtful


def test_a_detector_that_says_nothing_of_frames_and_doubt_leaves_them_out(tmp_path: Path) -> None:
    row, record = restored(tmp_path, DetectingRestorer())
    assert math.isnan(row.doubt)
    assert not {"frame", "doubt"} & set(record["mask"])
    register_restorer("plain-detector", lambda device: DetectingRestorer())
    job = job_of(source=str(tmp_path / "old"), target=str(tmp_path / "new"), model="plain-detector", sensitivity="low")
    with pytest.raises(UsageError, match="sensitivity is low"):
        restorer_of(job)
