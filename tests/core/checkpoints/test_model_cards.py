"""Model cards with odd values: each is refused in one line that names the value, and none is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oldphoto_core.checkpoints import (
    Detector,
    ModelCard,
    load_detector,
    load_model,
    photos_from_json,
    read_card,
    save_model,
    verify_model,
)
from oldphoto_core.errors import DamagedWeights, ModelError
from oldphoto_core.nets.presets import PRESETS
from oldphoto_core.storage import Bucket

ZEROS = "0" * 64
CARD = {"name": "a", "preset": "compact", "partial_nonlocal": True, "weights_sha256": ZEROS, "created": "2026-01-01"}

ODD: dict[str, Any] = {
    "version as text": {"version": "9"},
    "no version": {"version": None},
    "version 0": {"version": 0},
    "version true": {"version": True},
    "version 1.0": {"version": 1.0},
    "version of 400 digits": {"version": 10**400},
    "a later version": {"version": 9, "another_field": 1},
    "list for a name": {"name": ["a"]},
    "preset of another type": {"preset": {"compact": 1}},
    "preset null": {"preset": None},
    "text for a flag": {"partial_nonlocal": "false"},
    "number for a flag": {"partial_nonlocal": 1},
    "digest of another length": {"weights_sha256": "00"},
    "digest as list": {"weights_sha256": [ZEROS]},
    "text for a list": {"data": "all of it"},
    "list of numbers": {"limits": [1]},
    "list for training": {"training": []},
    "stage that is no object": {"training": {"mapping": 7}},
    "settings of a stage as text": {"training": {"mapping": {"config": "toned"}}},
    "metrics as text": {"metrics": "good"},
    "part that is no digest": {"parts": {"a.safetensors": 7}},
    "part outside": {"parts": {"../a.safetensors": ZEROS}},
    "part that is the card": {"parts": {"card.json": ZEROS}},
    "part that is the sums": {"parts": {"SHA256SUMS": ZEROS}},
    "detector as list": {"detector": ["detector.safetensors"]},
    "detector without threshold": {"detector": {"file": "a.safetensors"}, "parts": {"a.safetensors": ZEROS}},
    "detector that is no part": {"detector": {"file": "a.safetensors", "threshold": 0.5}},
    "lineage as object": {"lineage": {}},
    "lineage of lists": {"lineage": [["a"]]},
    "code of numbers": {"code": {"torch": 2}},
    "unknown field": {"colour": "red"},
    "lone surrogate": {"summary": "\udc80"},
    "nested too deep": {"metrics": {"a": json.loads("[" * 200 + "]" * 200)}},
}
THRESHOLDS = [float("nan"), float("inf"), -1, 0, 1.5, 10**400, "0.5", None, True, [0.5]]


@pytest.mark.parametrize("changed", ODD.values(), ids=ODD)
def test_an_odd_card_is_refused_in_one_line(changed: dict[str, Any]) -> None:
    with pytest.raises(DamagedWeights, match=r"the model card of mine") as caught:
        ModelCard.from_json(json.dumps(CARD | changed), "mine")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=str)
def test_a_threshold_that_is_no_probability_is_refused(threshold: Any) -> None:
    detector = {"file": "a.safetensors", "threshold": threshold}
    text = json.dumps(CARD | {"detector": detector, "parts": {"a.safetensors": ZEROS}})
    with pytest.raises(DamagedWeights, match="threshold above 0"):
        ModelCard.from_json(text, "mine")


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "7", "{", "[" * 100_000, '{"a":' * 100_000, "{}", '{"name": ' + "9" * 5000 + "}", "\0"],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(DamagedWeights, match="the model card of mine cannot be read"):
        ModelCard.from_json(text, "mine")


def test_a_later_version_is_said_to_need_an_update() -> None:
    with pytest.raises(DamagedWeights, match="has version 9, this oldphoto reads 1; update it"):
        ModelCard.from_json(json.dumps(CARD | {"version": 9, "another_field": 1}), "mine")


def test_a_card_comes_back_as_it_was() -> None:
    card = ModelCard(**CARD, data=["Æ"], parts={"photos.json": ZEROS}, metrics={"a": {"gain": None}})  # type: ignore[arg-type]
    assert ModelCard.from_json(card.to_json(), "mine") == card


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """A whole model whose card is then changed."""

    def make(**changed: Any) -> Path:
        preset = PRESETS["compact"]
        detector = Detector(preset.detector(), 0.5)
        card = ModelCard(**CARD)  # type: ignore[arg-type]
        folder = tmp_path / "model"
        save_model(Bucket(folder), preset.triplet(partial_nonlocal=True), card, detector=detector)
        values = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps(values | changed))
        return folder

    return make


def test_a_preset_that_nobody_knows_is_an_error_of_the_model(saved: Callable[..., Path]) -> None:
    folder = saved(preset="gigantic")
    with pytest.raises(ModelError, match="gigantic"):
        load_model(folder)
    with pytest.raises(ModelError, match="gigantic"):
        load_detector(folder)


@pytest.mark.parametrize("odd", [{"version": "9"}, {"detector": {"file": "detector.safetensors", "threshold": -1}}])
@pytest.mark.parametrize("use", [read_card, load_model, load_detector, verify_model])
def test_no_way_to_a_model_leads_past_its_card(saved: Callable[..., Path], odd: Any, use: Callable[..., Any]) -> None:
    folder = saved(**odd)
    with pytest.raises(DamagedWeights):
        use(folder)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"url": ["abc"]}', b'{"url": [["a", "b", 7]]}', b'{"url": 7}', b"7", b'{"u": [{}]}']
)  # fmt: skip
def test_an_odd_list_of_photos_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedWeights, match="no list of photos"):
        photos_from_json(data, "photos.json of mine")
