"""The pages of docs/ as tests see them: what they show is run, in the order in which they show it.

In a page, ```console blocks are sessions and ```python blocks are programs; both are run, in one folder per page that
holds `scans/`, `masks/`, `clean/` and `old/` (see `furnish`). ```sh blocks are only read: what they call must exist.

    $ oldphoto restore scans restored     must end with 0, or with the number shown below `$ echo $?`
    4 files found: ...                    must be in its output, save for what differs from run to run
    ...                                   is anything
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fakes import encoded, picture
from photos import album, photo

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
HOME = "/archive"
"""What the pages call the folder in which they are run."""

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARYING = (
    (re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}"), "RUN"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "DIGEST"),
    (re.compile(r"[+-]?\d+\.\d+"), "#"),
    (re.compile(r"\b\d+(?= ?(?:s\b|%))"), "#"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+"), "PORT"),
    (re.compile(r"\s+"), " "),
)


@dataclass
class Command:
    """One line after a `$`, with what the page shows below it."""

    line: str
    shown: list[str] = field(default_factory=list)
    code: int = 0

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)

    @property
    def is_ours(self) -> bool:
        return self.words[:1] == ["oldphoto"]


@dataclass
class Block:
    """A fenced block."""

    language: str
    text: str

    def commands(self) -> list[Command]:
        """The session's commands; in a ```sh block every line is one."""
        text = re.sub(r"\\\n\s*", "", self.text)
        if self.language == "sh":
            return [Command(line) for line in text.splitlines() if line and not line.startswith("#")]
        commands: list[Command] = []
        for line in text.splitlines():
            if line == "$ echo $?":
                commands[-1].shown.append(line)
            elif line.startswith("$ "):
                commands.append(Command(line[2:]))
            elif commands[-1].shown[-1:] == ["$ echo $?"]:
                commands[-1].shown.pop()
                commands[-1].code = int(line)
            elif line and line != "...":
                commands[-1].shown.append(line)
        return commands


def name_of(page: Path) -> str:
    """A page's path within docs/, as `reference/restore.md`."""
    return page.relative_to(ROOT / "docs").as_posix()


def blocks(page: Path) -> list[Block]:
    return [Block(*found.groups()) for found in _FENCE.finditer(page.read_text())]


def folded(text: str, home: Path | str) -> str:
    """Text without what differs from run to run."""
    text = text.replace(str(home), HOME)
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return text.strip()


def furnish(folder: Path) -> None:
    """The small collection that pages work on: three photos and a note in scans/, a mask, clean and old photos."""
    (folder / "scans/album").mkdir(parents=True)
    (folder / "masks/album").mkdir(parents=True)
    (folder / "scans/album/001.jpg").write_bytes(encoded(photo(1), ".jpg"))
    (folder / "scans/album/002.png").write_bytes(encoded(photo(2), ".png"))
    (folder / "scans/003.tif").write_bytes(encoded(picture(60, 80, bits=16), ".tif"))
    (folder / "scans/notes.txt").write_text("three photos\n")
    mask = np.zeros(photo(1).shape[:2], np.uint8)
    mask[40:43] = 255
    (folder / "masks/album/001.jpg.png").write_bytes(encoded(mask, ".png"))
    album(folder / "clean", 8)
    album(folder / "old", 4, first=50)
