"""Hard negatives: thin structures that are drawn into photos as if they had been photographed with the rest."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from photos import album, photo

from oldphoto_core.degradation import item_rng
from oldphoto_core.degradation.archive.blending import change
from oldphoto_core.degradation.archive.canvas import Canvas
from oldphoto_core.errors import ConfigError
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config
from oldphoto_core.training.detection import DetectionBatches
from oldphoto_core.training.detection.thin_structures import KINDS, draw_thin_structures
from oldphoto_core.training.detection.thin_structures.appearance import Appearance
from oldphoto_core.training.detection.thin_structures.compositing import composite
from oldphoto_core.training.detection.thin_structures.sketch import Layer, Level, points
from oldphoto_core.training.photos.batches import PhotoSet

CLEAN = photo(3, 192, 256)
each_kind = pytest.mark.parametrize("kind", sorted(KINDS))


def halves(blur: float = 0.0, grain: float = 0.0, side: int = 256) -> NDArray[np.uint8]:
    """A grey photo with an upright edge in each quarter of its width."""
    levels = np.repeat(np.where(np.arange(side) // (side // 8) % 2, 190.0, 70.0)[None], side, axis=0).astype(np.float32)
    levels = cv2.GaussianBlur(levels, (0, 0), blur) if blur else levels
    levels += grain * np.random.default_rng(5).standard_normal(levels.shape).astype(np.float32)
    return np.repeat(np.clip(levels, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def drawn_line(
    picture: NDArray[np.uint8], width: float, *, far: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A level line across the middle of the picture."""
    canvas = Canvas((picture.shape[0], picture.shape[1]))
    canvas.line(points((-0.1, 0.52), (1.1, 0.52)), width)
    after = picture.copy()
    composite(after, Layer(canvas=canvas, far=far), Appearance(picture, item_rng(1)), item_rng(2))
    return after, change(picture, after) > 3


@each_kind
def test_a_kind_changes_a_photo_where_its_mask_says(kind: str) -> None:
    before, shares = CLEAN.copy(), []
    for item in range(4):
        drawn, mask = draw_thin_structures(CLEAN, item_rng(1, item), [kind])
        changed = np.abs(drawn.astype(int) - CLEAN).max(axis=2)
        assert drawn.shape == CLEAN.shape
        assert np.array_equal(mask, changed > 3)
        shares.append(float(mask.mean()))
    assert np.array_equal(CLEAN, before)
    assert 0 < max(shares) < 0.75


@each_kind
def test_a_kind_is_the_same_for_the_same_seed_and_another_for_another(kind: str) -> None:
    first, again, *others = (draw_thin_structures(CLEAN, item_rng(item), [kind])[0] for item in (1, 1, 2, 3, 4))
    assert np.array_equal(first, again)
    assert any(not np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (7, 300, 3), (300, 7, 3)], ids=str)
def test_photos_of_any_size_can_be_drawn_into(shape: tuple[int, int, int]) -> None:
    drawn, mask = draw_thin_structures(np.full(shape, 120, np.uint8), item_rng(1), sorted(KINDS))
    assert drawn.shape == shape
    assert mask.shape == shape[:2]


def test_one_to_three_kinds_are_drawn_unless_they_are_named_and_all_kinds_occur() -> None:
    single = {kind: draw_thin_structures(CLEAN, item_rng(9), [kind])[1] for kind in KINDS}
    _, both = draw_thin_structures(CLEAN, item_rng(9), ["signs", "mounts"])
    assert (both | single["signs"] | single["mounts"]).sum() <= (single["signs"] | single["mounts"]).sum() * 1.05
    assert any(draw_thin_structures(CLEAN, item_rng(item))[1].any() for item in range(3))
    with pytest.raises(ConfigError, match="no thin structure is called 'ropes'"):
        draw_thin_structures(CLEAN, item_rng(1), ["ropes"])


@pytest.mark.parametrize("blur", [1.0, 2.0, 3.0])
def test_the_blur_of_a_photo_is_measured_at_its_edges(blur: float) -> None:
    measured = Appearance(halves(blur), item_rng(1)).blurs
    assert float(np.median(measured)) == pytest.approx(blur, rel=0.25)


def test_a_structure_is_as_blurred_as_the_photo_is_there() -> None:
    widths = []
    for blur in (0.6, 2.5):
        after, _ = drawn_line(halves(blur), 0.004)
        profile = np.abs(after[:, 48, 0].astype(float) - after[10, 48, 0])
        widths.append(float((profile > 0.3 * profile.max()).sum()))
    assert widths[1] > 2 * widths[0]


def test_a_structure_has_the_grain_of_the_photo() -> None:
    deviations = []
    for grain in (0.0, 8.0):
        after, _ = drawn_line(halves(1.0, grain), 0.1)
        line = after[130:136, :, 0].astype(float)
        deviations.append(float(line.std()))
    assert deviations[0] < 1.0
    assert deviations[1] == pytest.approx(8.0, rel=0.35)


@pytest.mark.parametrize("level", ["dark", "bright", "either"])
def test_a_structure_has_a_tone_that_the_photo_has(level: Level) -> None:
    look = Appearance(halves(), item_rng(1))
    tones = [look.tone(level, below, item_rng(item)) for item in range(20) for below in (70.0, 190.0)]
    assert all(70 <= channel <= 190 for tone in tones for channel in tone)
    wanted = {"dark": {70}, "bright": {190}, "either": {70, 190}}[level]
    assert {int(tone[0]) for tone in tones} == wanted


def test_what_is_far_is_hidden_by_what_has_another_tone_than_its_background() -> None:
    picture = np.full((256, 256, 3), 200, np.uint8)
    picture[:, 100:140] = 90
    picture[:10] = 20
    _, before = drawn_line(picture, 0.01)
    _, behind = drawn_line(picture, 0.01, far=True)
    assert before[130:136, 105:135].any(axis=0).mean() > 0.9
    assert behind[130:136, 105:135].any(axis=0).mean() < 0.1
    assert behind[130:136, 150:].any(axis=0).mean() > 0.9


def test_ink_on_the_print_stays_sharp_on_a_soft_photo() -> None:
    soft = halves(3.0)
    (one, _), (other, _) = (draw_thin_structures(soft, item_rng(4), [kind]) for kind in ("captions", "signs"))
    steepest = [float(np.abs(np.diff(each.astype(float), axis=0)).max()) for each in (one, other)]
    assert steepest[0] > 1.5 * steepest[1]


def test_a_stamp_covers_its_parallelogram_alone() -> None:
    canvas = Canvas((100, 100))
    corner, across, down = (np.array(pair, np.float32) for pair in ((0.2, 0.3), (0.4, 0.0), (0.0, 0.2)))
    canvas.stamp(np.full((32, 64), 255, np.uint8), corner, across, down)
    covered = canvas.coverage() > 0.5
    assert covered[32:48, 22:58].all()
    assert covered.sum() == pytest.approx(800, rel=0.1)


def test_structures_are_drawn_into_photos_of_the_training_but_never_marked(tmp_path: object) -> None:
    clean = Bucket(str(album(tmp_path / "clean", 4)))  # type: ignore[operator]
    photos = PhotoSet(clean, [entry.key for entry in clean.list()])
    tiny = {"batch": 2, "crop": 32, "canvas": 64, "old_share": 0.0, "thin_structures": 1.0}
    config = default_config("scratches", **tiny)  # type: ignore[arg-type]
    without = default_config("scratches", **tiny | {"thin_structures": 0.0})  # type: ignore[arg-type]
    batches = [
        DetectionBatches(default_config("scratches", **tiny | changes), photos, None).batch(0)  # type: ignore[arg-type]
        for changes in (
            {"recipe": config.recipe.undamaged()},
            {"recipe": config.recipe.undamaged(), "thin_structures": without.thin_structures},
        )
    ]
    assert all(batch.mask is not None and not batch.mask.any() for batch in batches)
    assert not np.array_equal(batches[0].degraded.numpy(), batches[1].degraded.numpy())
