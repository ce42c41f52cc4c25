"""Names for terminals and logs: whatever a name contains, it stays on its line and cannot act on the terminal.

Keys, paths and messages that quote them come from whoever named a file. A control sequence in one could clear the
screen or set the title, a line break forges a line of output, and a direction mark shows `gpj.exe` as `exe.jpg`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: controls (C0, DEL, C1), format characters (direction marks, zero-width ones), lone surrogates,
line and paragraph separators."""


def visible(text: str) -> str:
    r"""The text on one line, with every character that acts instead of being shown spelled out, as `\x1b`, `\u202e`.

    The only function that prepares names for people. Data (ledgers, records, JSON, Parquet) keep names as they are.
    """
    return _spelled(text, _python_escape)


def visible_json(text: str) -> str:
    """JSON text that means the same, with such characters as JSON escapes; its own line breaks stay."""
    return "\n".join(_spelled(line, _json_escape) for line in text.split("\n"))


def _spelled(text: str, escape: Callable[[str], str]) -> str:
    # nearly all texts are, and there may be a million of them
    if text.isprintable():
        return text
    return "".join(escape(char) if unicodedata.category(char) in _ESCAPED else char for char in text)


def _python_escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
