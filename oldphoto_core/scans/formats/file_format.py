"""`FileFormat`: everything that the project knows of one file format, as one row.

Rows are cheap to import: they say how a file is recognised and named, and import what reads and writes pixels when it
is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oldphoto_core.scans.formats.reading import Reader
    from oldphoto_core.scans.formats.writing import Writer


Format = str
"""Name of a format: a key of `FORMATS`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A small file of a format, by which `oldphoto doctor` tries what this machine can read and write."""

    name: str
    """Kind of file, as the doctor lists it."""
    encode: Callable[[], bytes]
    """Makes the file."""
    instead: str = ""
    """What happens to such files instead of being written again; "": one is written and read."""
    exact: bool = True
    """Whether writing it loses nothing."""
    big: bool = False
    """Whether it is written as BigTIFF."""
    wants: str = ""
    """Module that is not always installed, and the extra of oldphoto that brings it, as "module extra"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFormat:
    """One file format. Every table about formats is derived from these rows."""

    name: Format
    """Name in records, options and messages; the key in `FORMATS`."""
    title: str
    """Name for people."""
    extensions: tuple[str, ...]
    """Extensions of file names, in lower case and without the dot; the usual one first."""
    media_type: str
    """MIME type."""
    recognise: Callable[[bytes], bool]
    """Whether a file that begins with these bytes (`HEAD` of them, or the whole file) is of this format."""
    reader: Callable[[], Reader]
    """Imports and returns how its files are read."""
    writer: Callable[[], Writer] | None = None
    """Imports and returns how its files are written; None: it is only read, and derivatives are TIFF."""
    is_lossy: bool = False
    """Of a format that is written: whether writing a picture again may change pixels."""
    has_pages: bool = False
    """Whether a file may hold several pictures, each a photo of its own."""
    states_length: bool = False
    """Whether the header tells where the file ends, so that a file that is cut is known without its pixels."""
    end_mark: bytes | None = None
    """What stands at the end of a whole file, where the header does not tell where that is."""
    bytes_per_pixel: float = 3.0
    """Estimate of a file's bytes per pixel, by which photos are shared out before any is read."""
    samples: tuple[Sample, ...] = ()
    """Files that `oldphoto doctor` tries."""
