"""The site that `make docs` builds from docs/: complete, without warnings, and without anything from elsewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

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
