"""Settings of Sphinx for the manual (`make docs`). Its source folder is the repository, so links need no rewriting.

Nothing is fetched: neither by a build nor by the browser of a reader.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

project = "oldphoto"
author = "The oldphoto engineers"
root_doc = "docs/index"
include_patterns = ["docs/**", "*.md", "benchmarks/README.md"]
exclude_patterns = ["docs/conf.py"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "public_names"]

html_theme = "furo"
html_title = "oldphoto"
html_show_sourcelink = False
html_copy_source = False

myst_heading_anchors = 4
"""Anchors of headings, as GitHub makes them; a link to one that is not there is a warning, and ends a strict build."""

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 100

CONTENTS = {
    "docs/index": {
        "Tutorials": "restore scans training",
        "Reference": "reference/restore reference/scans reference/training api/index",
        "Restoring": "any-size tone detection bad-input storage doctor",
        "What a run leaves": "report review provenance audit",
        "Operating": "inventory events fleet runbook security",
        "Models and training": "networks official registry degradation retraining evaluation study",
        "Project": "architecture ../README ../CONTRIBUTING ../CHANGELOG ../SECURITY ../benchmarks/README",
    },
    "docs/api/index": {"": "restoring scans storage models training errors"},
}
"""Order of the pages in the site. A page that is missing here is a warning, and ends a strict build."""


def add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Appends tables of contents, which would show as code where Markdown is read as it is."""
    for caption, pages in CONTENTS.get(page, {}).items():
        options = [":hidden:", f":caption: {caption}"] if caption else [":hidden:"]
        source[0] += "\n".join(["", "```{toctree}", *options, *pages.split(), "```", ""])


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("source-read", add_contents)
