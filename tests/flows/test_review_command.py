"""`oldphoto review` and `restore --reviews` as commands: CSV in and out, wrong usage, a photo that is sent back."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from fakes import fill
from runs import restore

from oldphoto_core.storage import Bucket


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    source = fill(tmp_path / "source", ["a.png", "b.png"])
    restore(Bucket(source), Bucket(tmp_path / "target"))
    return source, tmp_path / "target"


def table(folder: Path, *rows: str) -> Path:
    path = folder / "decisions.csv"
    path.write_text("\n".join(["key,verdict,reviewer,number", *rows]))
    return path


def test_decisions_go_in_and_out_as_csv(oldphoto, places: tuple[Path, Path], tmp_path: Path) -> None:
    decided = table(tmp_path, "a.png,accept,Ada,", "b.png,redo,,0")
    ended = oldphoto("review", places[1], "--import", decided, "--reviewer", "Björn")
    assert (ended.code, ended.out.strip()) == (0, "2 decisions stored, 0 were there already, 0 refused")
    out = tmp_path / "out.csv"
    assert oldphoto("review", places[1], "--export", out).code == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [(row["key"], row["verdict"], row["reviewer"]) for row in rows] == [
        ("a.png", "accept", "Ada"),
        ("b.png", "redo", "Björn"),
    ]
    again = oldphoto("review", places[1], "--import", out)
    assert again.out.strip() == "0 decisions stored, 2 were there already, 0 refused"
    stale = oldphoto("review", places[1], "--import", table(tmp_path, "a.png,reject,Ada,0"))
    assert stale.code == 3
    assert "refused: a.png: decision 1 was made since, by Ada" in stale.err


def test_what_was_sent_back_is_redone_by_the_command_and_a_run_without_the_option_says_so(
    oldphoto, places: tuple[Path, Path], tmp_path: Path
) -> None:
    oldphoto("review", places[1], "--import", table(tmp_path, "a.png,redo,Ada,", "b.png,reject,Ada,"))
    ended = oldphoto("restore", *places, "--model", "invert", "--reviews")
    assert "2 files found: 1 restored, 1 skipped (1 rejected), 0 failed" in ended.out
    without = oldphoto("restore", *places, "--model", "invert")
    assert "decisions of curators do not count in this run" in without.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "give --token-file"),
        (["--certificate", "x.pem"], "belong together"),
        (["--token-file", "nonesuch"], "the token cannot be read"),
        (["--certificate", "x.pem", "--key", "y.pem"], "or read the certificate"),
        (["--import", "nonesuch.csv"], "nonesuch.csv cannot be read"),
    ],
)
def test_wrong_usage_is_one_line_and_nothing_is_served(
    oldphoto, places: tuple[Path, Path], options: list[str], said: str
) -> None:
    ended = oldphoto("review", places[1], *options)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())


def test_a_target_without_runs_says_what_to_do_first(oldphoto, tmp_path: Path) -> None:
    ended = oldphoto("review", tmp_path)
    assert ended.code == 1
    assert "run oldphoto restore SOURCE" in ended.err
