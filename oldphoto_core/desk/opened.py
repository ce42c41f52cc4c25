"""One photo, or one page of a multi-page photo, while somebody looks at it."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from oldphoto_core.errors import UsageError

if TYPE_CHECKING:
    from oldphoto_core.desk.pyramid import Pyramid
    from oldphoto_core.desk.queue import QueuedPhoto

Which = Literal["before", "after"]


@dataclass(slots=True)
class OpenPhoto:
    """One photo, or one page of it, as it was when somebody began to look at it."""

    file: str
    """Names its files: another name whenever one of them is another one."""
    photo: QueuedPhoto
    folder: Path
    page: int = 1
    """Page number, from 1."""
    pyramids: dict[Which, Pyramid] = field(default_factory=dict)
    orientation: int = 1
    """EXIF orientation, 1 to 8, in which the page shows what is stored."""
    pages: int = 1
    """Number of pages in the master's file."""
    sizes: tuple[tuple[int, int], ...] = ()
    """Width and height of every page as it is stored; empty: they cannot be read, and no mask can be corrected."""
    restored: tuple[int, ...] = (1,)
    """Numbers of the pages that the run restores; the others it copies."""
    problems: list[str] = field(default_factory=list)
    """Why a picture is missing, for people."""
    output_version: str = ""
    """Of the derivative's object, as it was checked."""
    closing: ExitStack = field(default_factory=ExitStack)

    @property
    def id(self) -> str:
        """Names its tiles."""
        return id_of(self.file, self.page)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the scan as it is stored, or None where no picture of it could be made."""
        return next((pyramid.size for pyramid in self.pyramids.values()), None)

    def as_dict(self) -> dict[str, Any]:
        """What the page must know of it."""
        return {
            "id": self.id,
            "size": self.size,
            "pictures": sorted(self.pyramids),
            "orientation": self.orientation,
            "page": self.page,
            "pages": self.pages,
            "correctable": self.size is not None and bool(self.sizes),
            "copied": bool(self.sizes) and self.page not in self.restored,
            "problems": self.problems,
        }


def file_of(photo: QueuedPhoto) -> str:
    """Names the files of a photo as they are now."""
    text = "\0".join((photo.key, photo.run_id, photo.version, photo.output_sha256))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def id_of(file: str, page: int) -> str:
    """Names the tiles of a page of these files."""
    return f"{file}-{page}"


def check_page(opened: OpenPhoto) -> None:
    """Raises UsageError where the photo has no such page."""
    if not 1 <= opened.page <= opened.pages:
        raise UsageError(f"{opened.photo.key} has no page {opened.page}; its last page is {opened.pages}")


def linked(file: Path, path: Path) -> bool:
    """Whether the file of another page could be taken: it is gone once that is closed, or has no second page."""
    with suppress(OSError):
        os.link(file, path)
        return True
    return False
