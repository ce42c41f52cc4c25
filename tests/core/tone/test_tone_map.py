"""The tone map: what a network predicts, a record keeps, a run applies, and anybody can apply to a master."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from folder_runs import ALL_FROM_DISK
from numpy.typing import NDArray
from scan_files import encoded
from tinted import is_neutral, neutral, painted, scratch, sepia
from toning import network, restorer

from oldphoto_core import Restorer
from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.checkpoints import load_model, load_tone, save_model, verify_model
from oldphoto_core.checkpoints.store import TONE
from oldphoto_core.errors import ConfigError, DamagedWeights, UnsupportedScan
from oldphoto_core.nets.presets import count_parameters
from oldphoto_core.nets.tone import ToneNet, through_curves
from oldphoto_core.reports.record import record_schema
from oldphoto_core.restoration import Photo, RestoreOptions, ShardCallbacks, restore_photos
from oldphoto_core.scans import read_scan
from oldphoto_core.storage import Bucket, LedgerRow
from oldphoto_core.tone import ToneMap, ToneOptions, apply_map

WAYS = pytest.mark.parametrize("way", [{}, ALL_FROM_DISK], ids=["in memory", "from disk"])


def run(folder: Path, files: dict[str, bytes], mapper: ToneNet | None, **options: Any) -> dict[str, LedgerRow]:
    for place in ("old", "new"):
        (folder / place).mkdir(exist_ok=True)
    for key, data in files.items():
        (folder / "old" / key).write_bytes(data)
    source, target = Bucket(folder / "old"), Bucket(folder / "new")
    photos = [Photo(one.key, one.version, one.size) for one in source.list()]
    rows: dict[str, LedgerRow] = {}
    restore_photos(
        restorer(mapper), source, target, photos, RestoreOptions(**options),
        ShardCallbacks(on_row=lambda row: rows.update({row.key: row})), run_id="run",
    )  # fmt: skip
    return rows


def record(folder: Path, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"new/records/{key}.json").read_text())
    jsonschema.validate(found, record_schema(), jsonschema.Draft202012Validator)
    return found


def derivative(folder: Path, row: LedgerRow) -> NDArray[Any]:
    assert row.status == "restored", row.detail
    return read_scan(folder / "new" / row.output).pixels


def levels_apart(one: NDArray[Any], other: NDArray[Any]) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


LOOKS = pytest.mark.parametrize(
    "pixels", [neutral(), sepia(), painted(sepia())[:, ::-1].copy()], ids=["neutral", "sepia", "colour"]
)


def test_a_fresh_network_changes_nothing() -> None:
    pixels = painted(sepia())
    for photo in (pixels, sepia(), neutral()):
        given, left = (restorer(tone).restore(photo, options=ToneOptions(tone=1)) for tone in (ToneNet().eval(), None))
        assert np.array_equal(given, left)


def test_a_network_has_less_than_a_million_parameters() -> None:
    assert count_parameters(ToneNet()) < 300_000


@pytest.mark.parametrize("seed", range(3))
def test_curves_are_smooth_monotone_and_bounded_whatever_the_network_says(seed: int) -> None:
    wild = network(seed)
    torch.nn.init.normal_(wild.colour.bias, std=50.0)
    colours = restorer(wild).colours_of(ArrayCanvas(painted(sepia())), None, ToneOptions(tone=1, colour="colour"))
    assert colours is not None
    assert colours.toning is not None
    found = colours.toning.map
    curves = [found.curve(channel, np.linspace(0, 1, 1001)) for channel in range(3)]
    assert all((np.diff(curve) > 0).all() and np.abs(np.diff(curve, n=2)).max() < 2e-4 for curve in curves)
    assert all(0.24 < slope < 4.01 for row in found.slopes for slope in row)
    assert np.abs(np.array(found.matrix) - np.eye(3)).max() <= 0.5


def test_the_map_of_a_record_is_the_networks() -> None:
    levels = torch.rand(1, 3, 20, 30)
    curves, _, _ = network()(levels, torch.ones(1, 1, 20, 30))
    found = ToneMap.of(curves[0].tolist(), np.eye(3).tolist())
    ours = np.stack([found.curve(channel, levels[0, channel].double().numpy()) for channel in range(3)])
    assert np.allclose(ours, through_curves(levels, curves)[0].detach().numpy(), atol=1e-5)
    assert ToneMap.from_record(json.loads(json.dumps(found.record()))) == found


@WAYS
@LOOKS
@pytest.mark.parametrize("wide", [False, True], ids=["8 bits", "16 bits"])
def test_the_map_of_a_record_makes_of_the_untoned_derivative_the_toned_one(
    tmp_path: Path, way: dict[str, Any], pixels: NDArray[Any], wide: bool
) -> None:
    photo = pixels * np.uint16(257) if wide else pixels
    other, files = tmp_path / "left", {"a.tif": encoded(photo, "tiff")}
    other.mkdir()
    left = derivative(other, run(other, files, network(), tone=0, **way)["a.tif"])
    made = derivative(tmp_path, run(tmp_path, files, network(), tone=1, **way)["a.tif"])
    said = record(tmp_path, "a.tif")["tone"]
    assert said["map"] == record(other, "a.tif")["tone"]["map"]
    assert levels_apart(apply_map(left, ToneMap.from_record(said["map"])), made) <= (16 if wide else 4)
    assert levels_apart(left, made) > (6000 if wide else 25)


@pytest.mark.parametrize("look", [neutral, lambda *given: painted(sepia(*given))], ids=["neutral", "colour"])
def test_tiles_get_the_map_of_the_whole(look) -> None:  # type: ignore[no-untyped-def]
    pixels, mask = look(2, (700, 900)), scratch((700, 900))
    whole, tiled = (restorer(network(), memory=memory).restore(pixels, mask) for memory in (None, 750 * 360 * 360))
    assert np.array_equal(whole, tiled)


@WAYS
def test_a_photo_from_disk_gets_the_pixels_of_one_in_memory(tmp_path: Path, way: dict[str, Any]) -> None:
    pixels = painted(sepia())
    row = run(tmp_path, {"a.png": encoded(pixels, "png")}, network(), **way)["a.png"]
    assert np.array_equal(derivative(tmp_path, row), restorer(network()).restore(pixels))


def test_neutral_photos_stay_neutral() -> None:
    for dtype in (np.uint8, np.uint16):
        photo = neutral().astype(dtype) * dtype(1 if dtype == np.uint8 else 257)
        restored = restorer(network()).restore(photo, scratch(), ToneOptions(tone=1))
        assert is_neutral(restored)
        assert not np.array_equal(restored, photo)
        assert np.array_equal(
            restored[..., 0], restorer(network()).restore(photo[..., 0], scratch(), ToneOptions(tone=1))
        )


def test_how_much_is_applied_is_between_nothing_and_the_whole_map() -> None:
    photo = neutral()
    none, half, whole = (
        restorer(network()).restore(photo, options=ToneOptions(tone=amount)).astype(int) for amount in (0, 0.5, 1)
    )
    assert np.abs(half - (none + whole) / 2).mean() < 1.5
    assert np.array_equal(none, restorer().restore(photo))


@pytest.mark.parametrize("masked", ["nothing", "some", "all"])
@pytest.mark.parametrize("size", [(1, 1), (40, 30), (3, 4000)])
@pytest.mark.parametrize("level", [0, 255, None])
def test_photos_without_tones_get_the_identity_or_a_bounded_map(
    level: int | None, size: tuple[int, int], masked: str
) -> None:
    pixels = np.full((*size, 3), level or 0, np.uint8)
    if level is None:
        pixels[:, ::2] = 255
    mask = np.full(size, masked == "all")
    mask[:1, : 1 + size[1] // 3] |= masked == "some"
    given, left = (restorer(tone).restore(pixels, mask) for tone in (network(), None))
    assert is_neutral(given)
    if level is not None or masked == "all" or size == (1, 1):
        assert np.array_equal(given, left)


def test_filling_scratches_leaves_tone_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tone is 0\.5 in mode scratches"):
        RestoreOptions(mode="scratches", tone=0.5)
    photo, own = sepia(), ToneOptions(own_tone=True)
    given, left = (restorer(tone).restore(photo, scratch(), own) for tone in (network(), None))
    assert np.array_equal(given, left)


def test_a_model_without_a_tone_network_works_as_before_and_the_record_says_so(tmp_path: Path) -> None:
    row = run(tmp_path, {"a.png": encoded(sepia(), "png")}, None, tone=1.0)["a.png"]
    said = record(tmp_path, "a.png")
    assert {name: said["tone"][name] for name in ("network", "asked", "amount", "map")} == {
        "network": False, "asked": 1.0, "amount": 0.0, "map": None,
    }  # fmt: skip
    assert said["options"]["tone"] == 1.0
    assert "--tone 1 changed nothing: the model has no tone network" in said["warnings"]
    assert np.array_equal(derivative(tmp_path, row), restorer().restore(sepia()))


def test_shipped_models_have_no_tone_network_and_keep_their_digest() -> None:
    shipped = Restorer.load("starter", device="cpu")
    assert load_tone("starter") is None
    assert shipped.digest == shipped.card.weights_sha256


def test_the_tone_network_is_a_part_of_a_model(tmp_path: Path) -> None:
    networks, bucket = load_model("starter"), Bucket(tmp_path)
    card = save_model(bucket, networks.networks, replace(networks.card, parts={}, detector={}), tone=network())
    assert TONE in card.parts
    assert verify_model(str(tmp_path)) == card
    loaded, plain = Restorer.load(tmp_path, device="cpu"), Restorer.load("starter", device="cpu")
    assert loaded.digest not in (plain.digest, card.weights_sha256)
    assert not np.array_equal(loaded.restore(sepia()[:64, :64]), plain.restore(sepia()[:64, :64]))
    (tmp_path / TONE).write_bytes(b"nothing")
    with pytest.raises(DamagedWeights, match=r"tone\.safetensors"):
        load_tone(tmp_path)


@pytest.mark.parametrize("amount", [-0.1, 1.1, float("nan")])
def test_other_amounts_are_wrong_usage(amount: float) -> None:
    with pytest.raises(ConfigError, match="tone is"):
        RestoreOptions(tone=amount)
    with pytest.raises(ConfigError, match="tone is"):
        ToneOptions(tone=amount)


def test_reruns_know_how_much_was_asked_for() -> None:
    digests = {RestoreOptions(tone=amount).digest() for amount in (None, 0, 0.5, 1)}
    assert len(digests) == 4
    assert RestoreOptions().digest() == RestoreOptions(tone=None).digest()


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"black": [0], "slopes": [[1]], "matrix": None},
        {"black": [0, 0], "slopes": [[1, 1]] * 2, "matrix": None},
        {"black": [0], "slopes": [["a", 1]], "matrix": None},
        {"black": [0], "slopes": [[1, 1]], "matrix": [[1]]},
    ],
)
def test_what_is_no_map_is_refused_in_one_line(odd: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        ToneMap.from_record(odd)
    assert "\n" not in str(caught.value)


def test_a_map_of_colours_does_not_fit_a_photo_of_one_channel() -> None:
    with pytest.raises(UnsupportedScan, match="one channel"):
        apply_map(neutral()[..., 0], ToneMap.identity(monochrome=False))
    assert np.array_equal(apply_map(neutral(), ToneMap.identity(monochrome=True)), neutral())
