"""Every session and program that docs/ shows is run, page by page; `tests/support/docs_pages.py` has the rules."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docs_pages import PAGES, Command, blocks, folded, furnish, name_of

from oldphoto_core.storage import Bucket

pytestmark = pytest.mark.usefixtures("prefect_server")
RUN = ("console", "python")
LONG = ("evaluation.md", "reference/restore.md", "reference/training.md", "registry.md", "restore.md", "training.md")
"""Pages that train, or restore with real weights again and again."""
RUN_PAGES = [
    pytest.param(page, id=name_of(page), marks=[pytest.mark.long] if name_of(page) in LONG else [])
    for page in PAGES
    if any(block.language in RUN for block in blocks(page))
]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_endpoint: str) -> Path:
    """The folder in which a page is run; `s3://archive/scans` holds the same photos, `s3://access` is empty."""
    import boto3

    furnish(tmp_path)
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    for name in ("archive", "access"):
        client.create_bucket(Bucket=name)
    for entry in Bucket(tmp_path / "scans").list():
        Bucket("s3://archive/scans").write(entry.key, (tmp_path / "scans" / entry.key).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_command(command: Command, oldphoto: Callable[..., Any]) -> tuple[int, str]:
    if command.is_ours:
        ended = oldphoto(*command.words[1:])
        return ended.code, ended.out + ended.err
    shell = subprocess.run(["bash", "-c", command.line], capture_output=True, text=True, check=False, timeout=60)
    return shell.returncode, shell.stdout + shell.stderr


@pytest.mark.parametrize("page", RUN_PAGES)
def test_what_the_page_shows_is_what_happens(page: Path, archive: Path, oldphoto: Callable[..., Any]) -> None:
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, page.name, "exec"), names)
        for command in block.commands() if block.language == "console" else ():
            code, output = run_command(command, oldphoto)
            assert code == command.code, (command.line, output)
            seen = folded(output, archive)
            missing = [line for line in command.shown if folded(line, archive) not in seen]
            assert not missing, (command.line, output)
