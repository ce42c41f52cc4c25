"""File formats: one file with one row (`FileFormat`) for each, from which every table about formats is derived.

A new format is a file here, its test, and its name in `registry`.
"""

from oldphoto_core.scans.formats.file_format import FileFormat, Format, Sample
from oldphoto_core.scans.formats.recognition import HEAD, recognise
from oldphoto_core.scans.formats.registry import (
    FORMATS,
    USUAL_EXTENSIONS,
    OutputFormat,
    derivative_format,
    extensions_of,
    file_extension,
    named_by,
    writer_of,
)

__all__ = [
    "FORMATS",
    "HEAD",
    "USUAL_EXTENSIONS",
    "FileFormat",
    "Format",
    "OutputFormat",
    "Sample",
    "derivative_format",
    "extensions_of",
    "file_extension",
    "named_by",
    "recognise",
    "writer_of",
]
