"""The formats that there are, and what is derived from their rows: names, extensions, texts for messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from oldphoto_core.scans.formats.file_format import FileFormat, Format

if TYPE_CHECKING:
    from oldphoto_core.scans.formats.writing import Writer

_MODULES = (
    "tiff",
    "png",
    "jpeg",
    "webp",
    "jpeg2000",
    "bmp",
    "avif",
    "heif",
)
"""Files of this folder, each with its row as ROW, in the order in which people read them."""

UNREAD = (
    (b"GIF8", "GIF"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"AT&TFORM", "DjVu"),
)
"""What formats begin with that are not read here, and their names."""


def _rows() -> dict[str, FileFormat]:
    rows: list[FileFormat] = [import_module(f"{__package__}.{module}").ROW for module in _MODULES]
    return {row.name: row for row in rows}


FORMATS: Mapping[str, FileFormat] = _rows()
"""The row of each format, by its name."""

OutputFormat = Literal["keep", "tiff", "png", "jpeg"]
"""How a derivative is written: as users choose it, of formats that have a writer; "keep": as its master, if that can
be."""

_BY_EXTENSION = {extension: row for row in FORMATS.values() for extension in row.extensions}

WRITTEN = ", ".join(row.title for row in FORMATS.values() if row.writer)
"""Titles of the formats that are written, for messages."""
USUAL_EXTENSIONS = ", ".join(row.extensions[0] for row in FORMATS.values())
"""The usual extension of every format, for messages."""


def derivative_format(format: Format) -> Format:  # noqa: A002
    """The format that derivatives of such files keep: their own, or TIFF, which holds all that the others can hold."""
    return format if FORMATS[format].writer else "tiff"


def writer_of(format: Format) -> Writer:  # noqa: A002
    """How files of a format are written, of one that has a writer."""
    writer = FORMATS[format].writer
    assert writer is not None, f"{format} is only read"
    return writer()


def file_extension(format: Format) -> str:  # noqa: A002 - the word of the field, and of every caller
    """The usual extension, without the dot."""
    return FORMATS[format].extensions[0]


def extensions_of(which: Callable[[FileFormat], bool] = lambda _row: True) -> tuple[str, ...]:
    """Extensions of all formats, or of those for which `which` is True, without the dot."""
    return tuple(extension for row in FORMATS.values() if which(row) for extension in row.extensions)


def named_by(key: str) -> FileFormat | None:
    """The format that a file name or key promises by its extension; None: no image."""
    stem, _, extension = key.rpartition("/")[2].rpartition(".")
    return _BY_EXTENSION.get(extension.lower()) if stem else None
