"""The rows of file formats: complete, apart from each other, and cheap to ask."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from oldphoto_core.doctor.file_kinds import KINDS
from oldphoto_core.reports.record import record_schema
from oldphoto_core.scans import OutputFormat, formats, read_header, read_technical_metadata
from oldphoto_core.scans.container_metadata import ContainerMetadata, Encoding
from oldphoto_core.scans.formats import FORMATS, FileFormat, Sample, file_extension, named_by, recognise
from oldphoto_core.scans.isolation.answers import check_answer
from oldphoto_core.scans.isolation.memory import Plane
from oldphoto_core.scans.isolation.messages import Headers, Reply, Request
from oldphoto_core.scans.isolation.wire import BadMessage
from oldphoto_core.scans.masks import MaskFormat
from oldphoto_core.scans.scan import ScanHeader
from oldphoto_core.storage import is_image_key

MODULES = sorted(
    path.stem for path in Path(formats.__file__).parent.glob("*.py") if "\nROW = FileFormat(" in path.read_text()
)
PLANE = Plane(shape=(64, 96, 3), dtype="|u1")
SAMPLES = [(row, sample) for row in FORMATS.values() for sample in row.samples]


def test_every_file_with_a_row_is_registered() -> None:
    assert sorted(FORMATS) == MODULES


@pytest.mark.parametrize(("row", "sample"), SAMPLES, ids=lambda part: part.name)
def test_a_sample_is_recognised_as_its_format_and_as_no_other(row: FileFormat, sample: Sample) -> None:
    data = sample.encode()
    assert [other.name for other in FORMATS.values() if other.recognise(data[: formats.HEAD])] == [row.name]
    assert recognise(data) == read_header(data).format == read_technical_metadata(data).format == row.name
    row.reader().check_whole(data)


def test_no_two_formats_have_an_extension_a_name_or_a_mime_type_in_common() -> None:
    rows = FORMATS.values()
    for values in (
        [extension for row in rows for extension in row.extensions],
        [row.title for row in rows],
        [row.media_type for row in rows],
    ):
        assert len(values) == len(set(values))


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_names_of_every_format_promise_an_image(row: FileFormat) -> None:
    for extension in row.extensions:
        assert named_by(f"a.b/photo.{extension.upper()}") is row
        assert is_image_key(f"a.b/photo.{extension}")
        assert not is_image_key(f"a.b/.{extension}")
        assert not is_image_key(extension)
    assert file_extension(row.name) == row.extensions[0]


def test_what_users_may_choose_is_written() -> None:
    assert all(FORMATS[choice].writer for choice in get_args(OutputFormat) if choice != "keep")
    assert all(FORMATS[choice].writer and formats.writer_of(choice).mask_options for choice in get_args(MaskFormat))


def test_the_schema_of_records_and_the_doctor_know_every_format() -> None:
    schema = record_schema()
    assert schema["$defs"]["facts"]["properties"]["format"]["enum"] == list(FORMATS)
    assert schema["properties"]["options"]["properties"]["format"]["enum"] == list(get_args(OutputFormat))
    assert {sample.name for _, sample in SAMPLES} == {kind.name for kind in KINDS}
    assert all(row.samples for row in FORMATS.values())


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("header", ScanHeader("exe", 96, 64, 3, 8)),
        ("pages", Headers((ScanHeader("png", 96, 64, 3, 8), ScanHeader("exe", 96, 64, 3, 8)))),
        ("facts", replace(read_technical_metadata(FORMATS["png"].samples[0].encode()), format="exe")),
        (
            "scan",
            Reply(
                format="exe", pixels=PLANE, alpha=None, container=ContainerMetadata(encoding=Encoding(lossless=True))
            ),
        ),
    ],
    ids=["header", "pages", "facts", "scan"],
)
def test_a_decoder_that_names_a_format_without_a_row_is_not_believed(what: Any, answer: Any) -> None:
    with pytest.raises(BadMessage):
        check_answer(Request(what=what, seconds=1.0), answer)


def test_rows_are_asked_without_importing_what_reads_pixels() -> None:
    code = (
        "import sys; from oldphoto_core.storage import is_image_key; assert is_image_key('a.heic');"
        "print([m for m in ('numpy', 'pyvips', 'cv2', 'PIL', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
