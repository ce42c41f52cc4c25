"""`oldphoto retrain` and its flow: the plan, the refusals, the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from photos import album

from oldphoto_core.checkpoints import Registry, publish_version

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def places(tmp_path: Path) -> tuple[str | Path, ...]:
    registry = Registry(str(tmp_path / "registry"))
    publish_version(registry, "starter", "house@1", data=["drawings"])
    registry.promote("house@1", why="the first")
    clean, old = album(tmp_path / "clean", 10), album(tmp_path / "incoming", 6, first=50)
    return ("--incoming", old, "--clean", clean, "--registry", tmp_path / "registry")


def test_a_dry_run_shows_the_plan_and_writes_nothing(places: tuple[str, ...], tmp_path: Path, oldphoto) -> None:
    before = sorted(tmp_path.rglob("*"))
    ended = oldphoto("retrain", *places, "--minimum", "1", "--steps", "5", "--dry-run")
    assert ended.code == 0, ended.err
    assert "champion house@1 (preset compact), challenger house@2" in ended.out
    assert "at least 1 are asked for" in ended.out
    assert "stage mapping: 5 steps" in ended.out
    assert sorted(tmp_path.rglob("*")) == before


def test_wrong_calls_are_one_line_with_the_way_out(places: tuple[str, ...], tmp_path: Path, oldphoto) -> None:
    empty = ("--incoming", places[1], "--clean", places[3], "--registry", tmp_path / "nothing")
    cases = [
        (places, 1, "photos to train on that house@1 has not seen, 50 are asked for"),
        ((*places, "--minimum", "6", "--new-share", "2"), 2, "new_share"),
        ((*places, "--minimum", "6", "--crop", "50"), 2, "multiple of 8"),
        (empty, 1, "no champion yet"),
    ]
    for arguments, code, words in cases:
        ended = oldphoto("retrain", *arguments)
        assert (ended.code, words in ended.err) == (code, True), (arguments, ended)


def test_a_deployment_without_places_or_with_too_little_that_is_new_does_nothing(
    places: tuple[str, ...], tmp_path: Path
) -> None:
    from flows.retrain import retrain

    assert retrain("", "", "", quiet=True) is None
    assert retrain(*map(str, places[1::2]), quiet=True) is None
    assert not (tmp_path / "registry/retraining").exists() or not list(
        (tmp_path / "registry/retraining").glob("house*")
    )
