"""The Sphinx directive `public-names`: documents every public name of a module, from docstrings in Markdown.

    ```{public-names} oldphoto_core.scans
    ```

Public are the names in `__all__`, also those that the module imports on first use, which autodoc itself does not see;
without `__all__` everything the module defines itself.
"""

from __future__ import annotations

import importlib
import inspect
import re
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util.docutils import SphinxDirective

_LITERAL = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)
_SPECIAL = re.compile(r"([*|\\]|(?<=\w)_(?!\w))")


class PublicNames(SphinxDirective):
    """One autodoc directive for each public name of the module that is the argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Returns the documentation of the module, below its own docstring."""
        module = importlib.import_module(self.arguments[0])
        lines = [*(inspect.getdoc(module) or "").splitlines(), "", "```{eval-rst}"]
        for name in public_names(module):
            value = getattr(module, name)
            options = ["   :no-value:"] if isinstance(value, dict) else []
            lines += [f".. auto{kind_of(value)}:: {module.__name__}.{name}", *options, ""]
        text = StringList([*lines, "```"], source=module.__name__)
        return self.parse_text_to_nodes(text, allow_section_headings=False)


def public_names(module: ModuleType) -> list[str]:
    """Names in `__all__`, or those of the classes and functions that the module defines."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    return [name for name in own if not name.startswith("_")]


def kind_of(value: object) -> str:
    """The autodoc directive for a value, without its `auto`."""
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if callable(value) and hasattr(value, "__code__") else "data"


def markdown_to_rst(text: str) -> str:
    """Docstrings are plain text with code in single backticks and indented blocks; returns the same in RST."""
    paragraphs = text.split("\n\n")
    return "\n\n".join("::\n\n" + each if each.startswith("    ") else _inline(each) for each in paragraphs)


def _inline(text: str) -> str:
    parts = _LITERAL.split(text)  # code is at odd places
    return "".join(f"``{part.strip('`')}``" if i % 2 else _SPECIAL.sub(r"\\\1", part) for i, part in enumerate(parts))


def _process(_app: Sphinx, what: str, _name: str, value: Any, _options: Any, lines: list[str]) -> None:
    if what == "data" and inspect.getdoc(value) == inspect.getdoc(type(value)):
        lines.clear()  # the docstring of dict or str says nothing about the value
    lines[:] = markdown_to_rst("\n".join(lines)).splitlines()
    if what not in ("attribute", "data", "property"):  # where it takes what stands before a colon for a type
        lines[:] = GoogleDocstring(lines).lines()


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive, and shows mermaid blocks as text: drawing them needs a script of another site."""
    app.add_directive("public-names", PublicNames)
    app.add_lexer("mermaid", TextLexer)
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
