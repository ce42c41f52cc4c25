"""Hostile names of files, through every command that shows names: nothing in them reaches the terminal as it is."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import encoded, picture
from rich.console import Console

from oldphoto_core.names import visible
from oldphoto_core.storage import Bucket

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("prefect_server")

ODD = "album\u202e/[red]gpj\u200b.\u2066exe\u2069 [/bold].png"
BROKEN = "\u202ebroken [link=x]\ufeff.png"
UNSAFE = "\x1b]0;owned\x07a\nrestored  forged.png\x9b2J.png"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A photo that is restored, one that fails, and one whose key is refused."""
    folder = tmp_path / "old"
    (folder / ODD).parent.mkdir(parents=True)
    (folder / ODD).write_bytes(encoded(picture(), ".png"))
    (folder / BROKEN).write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / UNSAFE).write_bytes(encoded(picture(), ".png"))
    return folder


def assert_harmless(*texts: str) -> None:
    for line in "".join(texts).splitlines():
        assert visible(line) == line
        assert not line.startswith("restored  forged")


def test_restore_check_and_restore(source: Path, tmp_path: Path, oldphoto) -> None:
    for more in (["--check"], ["--check", "--json"], []):
        ended = oldphoto("restore", source, tmp_path / "new", "--model", "invert", *more)
        assert ended.code == 3, ended.err
        assert_harmless(ended.out, ended.err)
        assert visible(BROKEN) in ended.out + ended.err or json.loads(ended.out)
        assert "forged.png" in ended.out + ended.err


def test_json_names_the_exact_keys(source: Path, tmp_path: Path, oldphoto) -> None:
    ended = oldphoto("restore", source, tmp_path / "new", "--model", "invert", "--check", "--json")
    assert {ODD, BROKEN, UNSAFE} <= {file["key"] for file in json.loads(ended.out)["files"]}


def test_audit_and_rollback_and_export(source: Path, tmp_path: Path, oldphoto) -> None:
    target = tmp_path / f"new{chr(0x202E)}"
    assert oldphoto("restore", source, target, "--model", "invert", "--on-failure", "copy").code == 3
    (run,) = (path.name for path in (target / "runs").iterdir())
    (target / "photos" / UNSAFE).write_bytes(b"nobody recorded it")
    (target / "photos" / ODD).write_bytes(b"altered")
    seen = [oldphoto("audit", target, "--out", tmp_path / "audit"), oldphoto("rollback", target, run)]
    seen += [oldphoto("rollback", target, run, "--check"), oldphoto("export", target, "--dublin-core")]
    assert [ended.code for ended in seen] == [3, 1, 0, 0], seen
    assert_harmless(*(ended.out + ended.err for ended in seen))
    assert visible(ODD) in seen[0].out
    assert "forged.png" in seen[0].out


def test_inventory_and_synthesize(source: Path, tmp_path: Path, oldphoto) -> None:
    ended = oldphoto("inventory", source, "--out", tmp_path / "\u202etable.csv")
    assert ended.code == 3, ended.err
    made = oldphoto("synthesize", source, tmp_path / "pairs", "--crop", "32")
    assert visible(BROKEN) in made.err
    assert_harmless(ended.out, ended.err, made.out, made.err)


def test_errors_that_quote_what_was_typed(tmp_path: Path, oldphoto) -> None:
    hostile = tmp_path / "\x1b[2J\u202emodels\nforged"
    seen = [
        oldphoto("models", "show", hostile),
        oldphoto("models", "list", "--registry", hostile),
        oldphoto("evaluate", "--clean", hostile, "--out", tmp_path / "out", "--models", f"{hostile}"),
        oldphoto("train", "all", "--clean", hostile, "--old", hostile, "--out", tmp_path / "out"),
        oldphoto("doctor", hostile),
        oldphoto("report", hostile, "run"),
    ]
    assert {ended.code for ended in seen} <= {0, 1, 2}
    assert_harmless(*(ended.out + ended.err for ended in seen))


def test_a_progress_bar_shows_names_without_acting_on_them() -> None:
    from flows.progress import RestoreProgress

    progress = RestoreProgress(1)
    progress._bar.disable = False
    progress._bar.live.console = Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None)
    with progress:
        progress.part(f"a/{BROKEN}\x1b[2J", 1, 2)
        progress.note(f"[red]{UNSAFE}")
        progress._bar.refresh()
    shown = progress._bar.console.file.getvalue()  # type: ignore[attr-defined]
    assert visible(BROKEN) in shown
    assert f"[red]{visible(UNSAFE)}" in shown
    assert "\u202e" not in shown


def test_a_name_that_the_terminal_cannot_encode_is_spelled_out(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    put = Bucket(tmp_path / "old")
    put.write("日本.png", encoded(picture(), ".png"))
    command = [sys.executable, "-m", "flows.cli", "restore", tmp_path / "old", tmp_path / "new", "--check"]
    ended = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert r"\u65e5\u672c.png" in ended.stdout


def test_warnings_that_no_handler_takes_stay_on_their_line() -> None:
    code = """
import logging, sys
from flows.session.surroundings import prepare_process
prepare_process()
log = logging.getLogger("a.library")
log.warning("odd: %s", sys.argv[1])
try:
    raise ValueError(sys.argv[1])
except ValueError:
    log.exception("failed")
"""
    command = [sys.executable, "-c", code, "\u202e\x1b[2Ja.png"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert r"odd: \u202e\x1b[2Ja.png" in ended.stderr
    assert_harmless(ended.stderr)
