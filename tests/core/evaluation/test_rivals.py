"""Rivals without training: what they restore, and that they never look at the truth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from photos import album, photo

from oldphoto_core.errors import ConfigError, UsageError
from oldphoto_core.evaluation import EvaluationConfig
from oldphoto_core.evaluation.deep_prior import DeepPriorConfig, deep_prior_restore
from oldphoto_core.evaluation.early_stop import MovingVariance
from oldphoto_core.evaluation.rivals import rival_methods
from oldphoto_core.evaluation.run import evaluate_models
from oldphoto_core.evaluation.sequential import SequentialConfig, sequential_restore
from oldphoto_core.nets.rivals.deep_prior import HourglassConfig
from oldphoto_core.storage import Bucket

SHORT = DeepPriorConfig(
    iterations=120, window=20, patience=60, network=HourglassConfig(channels=16, depth=3)
)  # fmt: skip


def damaged(number: int = 3, side: int = 64) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """A photo, the same with noise and a white line, and the mask of the line."""
    truth = photo(number, side, side)
    noise = np.random.default_rng(number).normal(0, 25, truth.shape)
    mask = np.zeros(truth.shape[:2], bool)
    mask[30:33] = True
    noisy = np.clip(truth + noise, 0, 255).astype(np.uint8)
    noisy[mask] = 255
    return truth, noisy, mask


def error(made: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    return float(np.mean((made.astype(float) - truth) ** 2))


def test_the_sequence_takes_noise_and_holes_away() -> None:
    truth, noisy, mask = damaged()
    made = sequential_restore(noisy, mask)
    assert (made.shape, made.dtype) == (truth.shape, np.uint8)
    assert error(made, truth) < 0.5 * error(noisy, truth)
    assert not (made[mask] == 255).all()


def test_the_sequence_with_no_strength_only_fills() -> None:
    _, noisy, mask = damaged()
    made = sequential_restore(noisy, mask, SequentialConfig(denoise=0, sharpen=0))
    assert np.array_equal(made[~mask], noisy[~mask])
    assert np.array_equal(sequential_restore(noisy, mask & False, SequentialConfig(denoise=0, sharpen=0)), noisy)


def test_sharpening_makes_edges_steeper() -> None:
    step = np.full((32, 32, 3), 90, np.uint8)
    step[:, 16:] = 160
    made = sequential_restore(step, np.zeros((32, 32), bool), SequentialConfig(denoise=0))
    assert made[16, 15, 0] < 90 < 160 < made[16, 16, 0]


@pytest.mark.long
def test_a_deep_prior_makes_the_picture_before_the_noise() -> None:
    truth, noisy, mask = damaged()
    made = deep_prior_restore(noisy, mask, SHORT)
    assert (made.shape, made.dtype) == (truth.shape, np.uint8)
    assert error(made, truth) < 0.5 * error(noisy, truth)
    assert error(made[mask], truth[mask]) < 0.5 * error(noisy[mask], truth[mask])


def test_a_deep_prior_never_uses_what_is_masked() -> None:
    _, noisy, mask = damaged()
    short = DeepPriorConfig(iterations=6, window=2, network=HourglassConfig(channels=8, depth=2))
    other = noisy.copy()
    other[mask] = 0

    with pytest.MonkeyPatch.context() as patch:  # the seed depends on all pixels, and would hide what is tested
        patch.setattr("oldphoto_core.evaluation.deep_prior._seed", lambda seed, image: 5)
        assert np.array_equal(deep_prior_restore(noisy, mask, short), deep_prior_restore(other, mask, short))


@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (33, 16)])
def test_a_deep_prior_takes_any_size_and_gives_the_same_twice(shape: tuple[int, int]) -> None:
    short = DeepPriorConfig(iterations=4, window=2)
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    nothing = np.zeros(shape, bool)
    made = deep_prior_restore(image, nothing, short)
    assert made.shape == image.shape
    assert np.array_equal(made, deep_prior_restore(image, nothing, short))


def test_the_fit_stops_where_the_outputs_vary_least() -> None:
    watch = MovingVariance(window=4, patience=10)
    rng = np.random.default_rng(0)
    sizes = [*np.linspace(1.0, 0.01, 30), *np.linspace(0.01, 1.0, 100)]
    stopped = next(n for n, size in enumerate(sizes, 1) if watch.add(rng.normal(0, size, 2000).astype(np.float32)))
    assert 28 <= watch.best_at <= 34
    assert stopped == watch.best_at + 10
    assert watch.best is not None


def test_the_moving_variance_is_that_of_the_window() -> None:
    outputs = np.random.default_rng(0).normal(0, 1, (9, 50)).astype(np.float32)
    watch = MovingVariance(window=5, patience=100)
    for output in outputs:
        watch.add(output)
    windows = [float(outputs[at : at + 5].var(axis=0).sum()) for at in range(5)]
    assert watch.lowest == pytest.approx(min(windows), rel=1e-4)
    assert watch.best_at == int(np.argmin(windows)) + 5


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="window"):
        DeepPriorConfig(iterations=10, window=20)
    with pytest.raises(ConfigError, match="sigma"):
        SequentialConfig(sigma=0)
    with pytest.raises(UsageError, match="'other' is no rival; choose from sequential, dip"):
        rival_methods(["sequential", "other"])


def test_rivals_are_rows_of_an_evaluation(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("evaluation")
    clean, out = Bucket(str(album(folder / "clean", 10))), Bucket(folder / "out")
    config = EvaluationConfig(crop=32, holdout=3, scratched=True)
    text = evaluate_models(clean, out, ["starter"], config, rivals=["sequential"])
    assert text.index("OpenCV, h=10") < text.index("| sequential: denoise, inpaint, sharpen |") < text.index("| ours,")
