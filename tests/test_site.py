"""The site that `make docs` builds from docs/: complete, without warnings, and without anything from elsewhere."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from docs_pages import PAGES, ROOT, name_of

_ELSEWHERE = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//')
OFFLINE = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"{event} {arguments} during a build")

sys.addaudithook(refuse)
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""


def public_modules() -> set[str]:
    """Modules of the core that list public names in `__all__`."""
    inits = [*(ROOT / "oldphoto_core").glob("*/__init__.py"), ROOT / "oldphoto_core/restoration.py"]
    listing = [init for init in inits if any(_lists_names(node) for node in ast.parse(init.read_text()).body)]
    folders = [init.parent if init.name == "__init__.py" else init.with_suffix("") for init in listing]
    return {".".join(folder.relative_to(ROOT).parts) for folder in folders}


def _lists_names(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"


def test_every_package_with_public_names_has_a_section_of_the_reference() -> None:
    pages = "\n".join(page.read_text() for page in (ROOT / "docs/api").glob("*.md"))
    documented = set(re.findall(r"^```\{public-names\} (\S+)$", pages, re.MULTILINE))
    assert len(public_modules()) > 10
    assert public_modules() - documented == set()


@pytest.fixture
def public_names(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The directive of docs/public_names.py."""
    pytest.importorskip("sphinx", reason="the extra `docs` is not installed")
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("public_names")


@pytest.mark.parametrize(
    ("markdown", "rst"),
    [
        ("Takes `image_HWC` and a `mask`.", "Takes ``image_HWC`` and a ``mask``."),
        ("a * b, |c|, z_x and x_", r"a \* b, \|c\|, z_x and x\_"),
        ("A tree:\n\n    Error\n    └── Other\n\nand more.", "A tree:\n\n::\n\n    Error\n    └── Other\n\nand more."),
    ],
)
def test_docstrings_in_markdown_become_rst(public_names: ModuleType, markdown: str, rst: str) -> None:
    assert public_names.markdown_to_rst(markdown) == rst


def test_names_that_a_package_imports_on_first_use_are_documented(public_names: ModuleType) -> None:
    from oldphoto_core import storage

    assert public_names.public_names(storage) == sorted(storage.__all__)
    assert public_names.kind_of(storage.Bucket) == "class"
    assert public_names.kind_of(storage.read_ledger) == "function"


@pytest.mark.long
def test_a_strict_build_connects_to_nothing_and_pages_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    arguments = ["-W", "-q", "-c", "docs", ".", str(tmp_path)]
    built = subprocess.run(
        [sys.executable, "-c", OFFLINE, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    site = [(tmp_path / "docs" / name_of(page)).with_suffix(".html") for page in PAGES]
    assert [page for page in site if not page.is_file()] == []
    assert [page.name for page in site if _ELSEWHERE.search(page.read_text())] == []
