"""`oldphoto train`, `synthesize` and `evaluate` through the real flows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from outlines import outlines_folder
from pair_folders import paired
from photos import album

from oldphoto_core.checkpoints import ModelCard, save_model
from oldphoto_core.degradation.synthesis import SynthesisConfig
from oldphoto_core.nets import preset_named
from oldphoto_core.storage import Bucket

pytestmark = pytest.mark.usefixtures("prefect_server")
TINY = ("--steps", "2", "--batch", "2", "--crop", "32")


@pytest.fixture
def albums(tmp_path: Path) -> tuple[Path, Path]:
    return album(tmp_path / "clean", 6), album(tmp_path / "old", 3, first=50)


def artifacts(key: str) -> list[str]:
    from prefect import get_client

    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/filter", json={"artifacts": {"key": {"any_": [key]}}})
    return [each["data"] for each in found.json()]


@pytest.mark.long
def test_training_leaves_a_model_that_restores(albums: tuple[Path, Path], tmp_path: Path, oldphoto) -> None:
    clean, old = albums
    command = ("train", "all", "--clean", clean, "--old", old, "--out", tmp_path / "out", *TINY, "--name", "mine")
    command += ("--preset", "dense")
    ended = oldphoto(*command)
    assert ended.code == 0, ended.err
    assert "mapping: 2 steps" in ended.out
    assert "joint: 2 steps" in ended.out
    assert "of the time waiting for data" in ended.out
    assert "photos/s" in ended.out
    card = json.loads((tmp_path / "out/model/card.json").read_text())
    assert (card["name"], card["preset"]) == ("mine", "dense")
    shown = [each for each in artifacts("train-mapping") if str(tmp_path) in each]
    assert "step 2: loss" in shown[0]
    assert "](data:image/jpeg;base64," in shown[0]
    ended = oldphoto("restore", old, tmp_path / "restored", "--model", tmp_path / "out/model")
    assert ended.code == 0, ended.err
    assert "3 restored" in ended.out
    ended = oldphoto(*command, "--no-joint")
    assert "joint: 2 steps" not in ended.out
    assert "joint" not in json.loads((tmp_path / "out/model/card.json").read_text())["training"]


@pytest.mark.long
def test_stages_can_be_trained_one_by_one_into_a_bucket(
    albums: tuple[Path, Path], s3_bucket_url: str, oldphoto
) -> None:
    clean, old = albums
    places = ("--clean", clean, "--old", old, "--out", s3_bucket_url)
    for stage in ("vae_old", "vae_clean", "mapping"):
        assert oldphoto("train", stage, *places, *TINY).code == 0
    keys = {entry.key for entry in Bucket(s3_bucket_url).list()}
    assert {"model/weights.safetensors", "mapping/chart.png", "vae_old/log.csv"} <= keys


def test_training_on_pairs_says_which_they_are(albums: tuple[Path, Path], tmp_path: Path, oldphoto) -> None:
    clean, old = albums
    pairs = paired(Bucket(clean), Bucket(tmp_path / "pairs"), SynthesisConfig(count=12, crop=48))
    places = ("--clean", clean, "--old", old, "--pairs", pairs.url, "--out", tmp_path / "out")
    ended = oldphoto("train", "vae_old", *places, *TINY, "--recipe", "archive")
    assert ended.code == 0, ended.err
    assert f"pairs: 10 of {pairs.url}, made by the recipe published; 2 more are of held-out photos" in ended.out
    assert "--recipe is passed over: the pairs in" in ended.err
    assert json.loads((tmp_path / "out/vae_old/config.json").read_text())["recipe"]["recipe"] == "published"


def test_pairs_are_synthesized_once(albums: tuple[Path, Path], tmp_path: Path, oldphoto) -> None:
    first = oldphoto("synthesize", albums[0], tmp_path / "pairs", "--count", "4", "--crop", "32")
    again = oldphoto("synthesize", albums[0], tmp_path / "pairs", "--count", "4", "--crop", "32")
    assert "4 pairs in 1 shards; 4 of them made now" in first.out
    assert "photos/s" in first.out
    assert "0 of them made now" in again.out


def test_outlines_of_real_damage_reach_the_training_and_the_shards(
    albums: tuple[Path, Path], tmp_path: Path, oldphoto
) -> None:
    (clean, old), outlines = albums, outlines_folder(tmp_path / "outlines")
    ended = oldphoto(
        "train", "scratches", "--clean", clean, "--old", old, "--out", tmp_path / "out", "--outlines", outlines, *TINY
    )
    assert ended.code == 0, ended.err
    trained = json.loads((tmp_path / "out/scratches/config.json").read_text())
    ended = oldphoto(
        "synthesize", clean, tmp_path / "pairs", "--crop", "32", "--recipe", "archive", "--outlines", outlines
    )
    assert ended.code == 0, ended.err
    written = json.loads((tmp_path / "pairs/shard-000000.json").read_text())
    given = [record["recipe"]["damage"]["film_damage"] for record in (trained, written)]
    assert given[0] == given[1]
    assert given[0]["outlines"] == trained["outlines"] == str(outlines)
    assert len(given[0]["outlines_sha256"]) == 64


def test_an_evaluation_prints_ours_beside_opencv(albums: tuple[Path, Path], tmp_path: Path, oldphoto) -> None:
    card = ModelCard(name="fresh", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-23")
    save_model(Bucket(tmp_path / "model"), preset_named("compact").triplet(), card)
    ended = oldphoto(
        "evaluate", "--clean", albums[0], "--out", tmp_path / "table", "--models", tmp_path / "model", "--rivals",
        "sequential",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "| sequential: denoise, inpaint, sharpen |" in ended.out
    assert "| OpenCV, h=3 |" in ended.out
    assert "| ours, " in ended.out
    assert "with white scratches" in ended.out
    assert (tmp_path / "table/scratched/contact_sheet.png").exists()


def test_wrong_calls_are_one_line_with_the_way_out(albums: tuple[Path, Path], tmp_path: Path, oldphoto) -> None:
    clean, old = albums
    out = ("--out", tmp_path / "out")
    pairs = paired(Bucket(clean), Bucket(tmp_path / "pairs"), SynthesisConfig(count=1, crop=48))
    on_pairs = ("--clean", clean, "--old", old, *out, "--pairs")
    cases = [
        (("train", "all", *on_pairs, tmp_path / "none"), 1, "holds nothing"),
        (("train", "all", *on_pairs, clean), 1, "has no index.json"),
        (("train", "all", *on_pairs, pairs.url, "--crop", "64"), 2, "synthesize with --crop 64"),
        (("train", "all", *on_pairs, pairs.url, "--crop", "32"), 2, "made by the recipe published"),
        (("train", "all", "--clean", tmp_path / "none", "--old", old, *out), 1, "does not exist"),
        (("train", "mapping", "--clean", clean, "--old", old, *out, *TINY), 1, "oldphoto train vae_old"),
        (("train", "all", "--clean", clean, "--old", old, *out, "--crop", "50"), 2, "multiple of 8"),
        (("train", "everything", "--clean", clean, "--old", old, *out), 2, "everything"),
        (("synthesize", tmp_path / "none", tmp_path / "pairs"), 1, "holds no photos"),
        (("synthesize", clean, clean / "pairs"), 2, "overlap"),
        (("synthesize", clean, tmp_path / "pairs", "--outlines", tmp_path), 2, "no operation film_damage"),
        (("synthesize", clean, tmp_path / "pairs", "--recipe", "best"), 2, "published"),
        (("evaluate", "--clean", clean, *out, "--models", "best"), 1, "no model is called"),
        (("evaluate", "--clean", clean, *out, "--rivals", "best"), 2, "'best' is no rival; choose from sequential"),
    ]
    for arguments, code, words in cases:
        ended = oldphoto(*arguments)
        assert (ended.code, words in ended.err) == (code, True), (arguments, ended)
