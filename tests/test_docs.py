"""What docs/ says exists, and what exists is said there. The sessions are run by tests/flows/test_docs_sessions.py."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer
from docs_pages import PAGES, ROOT, Command, blocks, name_of

from flows.cli import app
from oldphoto_core.checkpoints import shipped_models
from oldphoto_core.degradation import ArchiveRecipe

PROSE = [
    *PAGES,
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md")),
]
WORDS_IN_TEN_MINUTES = 1500
"""With time left to type the commands."""
OLDPHOTO: Any = typer.main.get_command(app)


def commands(group: Any = OLDPHOTO, path: tuple[str, ...] = ("oldphoto",)) -> Iterator[tuple[str, Any]]:
    """("oldphoto models show", its command) for every command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def shown_calls() -> list[Command]:
    shown = [block for page in PROSE for block in blocks(page) if block.language in ("console", "sh")]
    return [command for block in shown for command in block.commands() if command.is_ours]


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_is_documented_with_all_its_options(name: str) -> None:
    command = dict(commands())[name]
    text = "\n".join(page.read_text() for page in PAGES)
    assert f"`{name}" in text or f"$ {name}" in text
    options = [option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)]
    missing = [o for o in options if o.startswith("--") and o != "--help" and not re.search(rf"{o}(?![\w-])", text)]
    assert missing == []


@pytest.mark.parametrize("call", shown_calls(), ids=lambda call: call.line)
def test_every_call_that_is_shown_is_one_that_exists(call: Command) -> None:
    command, words = OLDPHOTO, call.words[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, call.line
        command, words = command.commands[words[0]], words[1:]
    if "--help" not in words:
        command.make_context("oldphoto", list(words))  # a wrong option, choice or number ends here


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for target in [target for target in targets if "://" not in target and not target.startswith("mailto:")]:
        name, _, anchor = target.partition("#")
        there = page if not name else (page.parent / name).resolve()
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_test_that_the_docs_call_to_witness_is_there() -> None:
    named = {name for page in PROSE for name in re.findall(r"`(tests/[\w/]+\.py)`", page.read_text())}
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_the_map_names_every_page() -> None:
    text = (ROOT / "docs/index.md").read_text()
    assert [name for name in map(name_of, PAGES) if f"({name}" not in text and name != "index.md"] == []


def test_every_reference_has_a_tutorial_that_is_read_in_ten_minutes() -> None:
    references = sorted((ROOT / "docs/reference").glob("*.md"))
    assert len(references) == 3
    for reference in references:
        tutorial = ROOT / "docs" / reference.name
        assert f"(reference/{reference.name})" in tutorial.read_text()
        assert len(tutorial.read_text().split()) <= WORDS_IN_TEN_MINUTES
        assert any(block.language == "console" for block in blocks(tutorial))


def test_the_table_of_operations_is_what_the_script_prints() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks/flops.py"))
    assert script["table"]() in (ROOT / "docs/networks.md").read_text()


def test_the_ranges_of_the_recipe_archive_are_what_its_tables_say() -> None:
    lines = (ROOT / "docs/degradation.md").read_text().splitlines()
    # operations have a row in a later table of measurements, too
    rows = {line.split("`")[1]: line for line in reversed(lines) if "| `" in line}
    for operation in ArchiveRecipe().operations():
        quantities = {name: value for name, value in asdict(operation).items() if not isinstance(value, str)}
        for name, value in quantities.items():
            told = f"`{name}` {value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else f" {value:g} |"
            told = f"`{name}` {value:g}" if name in ("dark", "opaque") else told
            assert told in rows[operation.name], (operation.name, name)


def test_every_benchmark_is_listed() -> None:
    text = (ROOT / "benchmarks/README.md").read_text()
    assert [script.name for script in (ROOT / "benchmarks").glob("*.py") if script.name not in text] == []


def test_the_tables_of_the_shipped_weights_are_what_their_cards_say() -> None:
    assert shipped_models()
    script = runpy.run_path(str(ROOT / "benchmarks/model_card.py"))
    for model in shipped_models():
        card = script["read_card"](model)
        assert script["page"](card) in (ROOT / "docs/reference/training.md").read_text()
        assert script["quality"](card) in (ROOT / "README.md").read_text()
