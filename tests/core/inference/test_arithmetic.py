"""What a network computes in: bfloat16 where it is faster and near enough, float32 where it counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike
from photos import photo
from PIL import Image
from records import records_of
from test_any_size import SMALL, kept, model, old_photo, scratches

from oldphoto_core import Restorer
from oldphoto_core.checkpoints import Model
from oldphoto_core.inference import runner
from oldphoto_core.inference.network_options import Precision
from oldphoto_core.nets import preset_named
from oldphoto_core.restoration import NetworkOptions

LEVEL = 257
"""Of 16 bits, for one of 8."""


def with_detail(preset: str) -> Model:
    """A fresh model that has all that its preset can have."""
    random = model(preset)
    if preset not in ("compact", "dense"):
        return random
    card = replace(random.card, detail=True, weights_sha256="a" * 64)
    return Model(preset_named(preset).triplet(detail=True).eval(), card)


def test_a_model_without_a_detail_path_is_off_by_more_and_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "multiplies_bfloat16", lambda _device: True)
    assert Restorer(model("compact"), NetworkOptions(device="cpu")).arithmetic(np.dtype(np.uint8)) == "float32"


@pytest.mark.parametrize(
    ("preset", "precision", "dtype", "multiplies", "arithmetic"),
    [
        ("compact", "auto", np.uint8, True, "bfloat16"),
        ("dense", "auto", np.uint8, True, "bfloat16"),
        ("compact", "auto", np.uint16, True, "float32"),
        ("compact", "auto", np.uint8, False, "float32"),
        ("compact", "float32", np.uint8, True, "float32"),
        ("compact", "bfloat16", np.uint16, False, "bfloat16"),
        ("paper", "auto", np.uint8, True, "float32"),
        ("published", "auto", np.uint8, True, "float32"),
    ],
)
def test_photos_of_8_bits_are_restored_in_bfloat16_where_the_processor_multiplies_it(
    preset: str, precision: Precision, dtype: DTypeLike, multiplies: bool, arithmetic: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(runner, "multiplies_bfloat16", lambda _device: multiplies)
    restorer = Restorer(with_detail(preset), NetworkOptions(device="cpu", precision=precision))
    assert restorer.arithmetic(np.dtype(dtype)) == arithmetic


@pytest.fixture(scope="module")
def restored() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo and its scratches in float32, in bfloat16, and in parts in bfloat16."""
    pixels, mask = old_photo(500, 700), scratches(500, 700)
    ways: list[dict[str, Any]] = [
        {"precision": "float32"}, {"precision": "bfloat16"}, {"precision": "bfloat16", "memory": SMALL * 750},
    ]  # fmt: skip
    exact, near, parts = (
        Restorer(kept("starter"), NetworkOptions(device="cpu", **way)).restore(pixels, mask).astype(np.float64)
        for way in ways
    )
    return exact, near, parts


@pytest.mark.long
def test_bfloat16_is_near_float32(restored: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    exact, near, _ = restored
    assert 10 * np.log10(65535**2 / np.square(near - exact).mean()) > 55
    assert np.abs(near - exact).max() < 6 * LEVEL  # of `starter`, which has no detail path


def test_parts_are_the_whole_in_bfloat16_too(restored: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    _, near, parts = restored
    assert np.abs(near - parts).max() < 2 * LEVEL


def test_the_record_says_what_each_photo_was_computed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "multiplies_bfloat16", lambda _device: True)
    (tmp_path / "old").mkdir()
    Image.fromarray(photo(1)).save(tmp_path / "old/a.png")
    Image.fromarray(photo(1)[..., 0].astype(np.uint16) * LEVEL).save(tmp_path / "old/b.png")
    found = records_of(tmp_path, Restorer(with_detail("dense"), NetworkOptions(device="cpu")))
    assert {key: record["model"]["precision"] for key, record in found.items()} == {
        "a.png": "bfloat16", "b.png": "float32",
    }  # fmt: skip
