"""Keys: the names of objects inside a bucket, "/"-separated and relative to its folder."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Collection
from typing import Literal, get_args

from oldphoto_core.errors import UnsafeKey
from oldphoto_core.scans.formats import named_by

TEMP_PREFIX = ".oldphoto-tmp-"
"""Names that begin so are unfinished writes and probes: no listing shows them."""

Folding = Literal["case", "unicode"]
FOLDINGS: tuple[Folding, ...] = get_args(Folding)
"""What file systems may not tell apart: upper and lower case; a letter with its accent and the two in a row."""

AWKWARD_CHARACTERS = '"*:<>?\\|'
"""What names cannot hold on exFAT, FAT32 and many shares, which refuse or lose a dot or a blank at their end, too."""

MAX_KEY_BYTES = 1024
"""The bound of S3; local file systems bound each part of a path by themselves (255 bytes)."""

_SHOWN = 200
"""Characters of a refused key that its message quotes: notifications may hold one of a megabyte."""
_FILES_ARE_UTF8 = sys.getfilesystemencoding().lower() in ("utf-8", "utf8")
"""Python takes the encoding of file names from the locale: in that of C and those of Latin-1 it is another."""
_NOT_UTF8 = re.compile(r"[\ud800-\udfff]|\\udc[89a-f][0-9a-f]")


def safe_key(key: str) -> str:
    """The key itself, when it stays inside its bucket folder on every kind of store.

    Raises:
        UnsafeKey: empty, absolute, with an empty, `.` or `..` part, with control characters, not UTF-8 or too long.
    """
    if problem := _problem(key):
        shown = key if len(key) <= _SHOWN else f"{key[:_SHOWN]}..."
        raise UnsafeKey(f"key {printable(shown)!r} {problem}: rename the object")
    return key


def _problem(key: str) -> str | None:
    if not key:
        return "is empty"
    if _NOT_UTF8.search(key):
        return "is not valid UTF-8"
    if any(unicodedata.category(character) == "Cc" for character in key):
        return "holds a control character"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"is longer than {MAX_KEY_BYTES} bytes"
    if key.startswith("/"):
        return "is an absolute path"
    parts = key.split("/")
    # a backslash parts folders on Windows shares, where the same bucket may be mounted later
    if any(part in ("", ".") for part in parts) or ".." in re.split(r"[/\\]", key):
        return "holds an empty, '.' or '..' part"
    return None


def is_image_key(key: str) -> bool:
    """Whether the name promises an image that `scans` may read; hidden files and folders never do."""
    return named_by(key) is not None and not any(part.startswith(".") for part in key.split("/"))


def file_name(key: str) -> str:
    """The key, or a part of it, as the operating system's functions want it: keys are UTF-8 on disk in any locale."""
    return key if _FILES_ARE_UTF8 else os.fsdecode(key.encode("utf-8", "surrogateescape"))


def key_of(name: str) -> str:
    """The key, or the part of one, of a file of this name, as the operating system's functions give it."""
    return name if _FILES_ARE_UTF8 else os.fsencode(name).decode("utf-8", "surrogateescape")


def shown(path: object) -> str:
    """A path of this machine for messages."""
    return printable(key_of(str(path)))


def awkward(key: str) -> set[str]:
    """What in the parts of a key some places do not take: characters, and " " or "." for one at the end of a part."""
    found = {character for character in key if character in AWKWARD_CHARACTERS}
    return found.union(part[-1] for part in key.split("/") if part[-1:] in (" ", "."))


def is_temporary(key: str) -> bool:
    """Whether the name is that of an unfinished write."""
    return key.rsplit("/", 1)[-1].startswith(TEMP_PREFIX)


def folded(key: str, by: Collection[Folding] = FOLDINGS) -> str:
    """The same for keys that a place takes for one, because it does not tell case or Unicode's forms apart."""
    key = unicodedata.normalize("NFC", key) if "unicode" in by else key
    key = key.casefold() if "case" in by else key
    return unicodedata.normalize("NFC", key) if "unicode" in by else key


def printable(text: str) -> str:
    """Text that any table, terminal or JSON file takes: lone surrogates (names that are not UTF-8) are spelled out."""
    # most are, and there are millions of them
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
