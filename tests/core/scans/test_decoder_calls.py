"""A file is shown to a decoder process as seldom as can be: for its header, then for its pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import pyvips
from fakes import DetectingRestorer, InvertingRestorer, fill, mark, picture
from icc_files import ADOBE_RGB
from PIL import Image
from runs import restore

from oldphoto_core.errors import UnsupportedScan
from oldphoto_core.restoration import register_restorer
from oldphoto_core.scans import (
    OutputFormat,
    read_header,
    read_scan,
    read_technical_metadata,
    spool_scan,
    write_scan,
    write_spooled,
    written_facts,
)
from oldphoto_core.scans.formats import FORMATS
from oldphoto_core.scans.isolation.answers import check_answer
from oldphoto_core.scans.isolation.memory import Plane
from oldphoto_core.scans.isolation.messages import Reply, Request
from oldphoto_core.scans.isolation.pool import Pool
from oldphoto_core.scans.isolation.wire import BadMessage
from oldphoto_core.scans.scan import Scan
from oldphoto_core.storage import Bucket


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What decoder processes are asked for, in order."""
    questions: list[str] = []
    ask: Callable[..., Any] = Pool.ask

    def noted(self: Pool, request: Request, *rest: Any) -> Any:
        questions.append(request.what)
        return ask(self, request, *rest)

    monkeypatch.setattr(Pool, "ask", noted)
    for name, restorer in (("invert", InvertingRestorer()), ("detect", DetectingRestorer())):
        register_restorer(name, lambda _device, restorer=restorer: restorer)  # type: ignore[misc]
    return questions


@pytest.mark.parametrize("key", ["a.jpg", "a.png", "a.tif"])
def test_a_photo_needs_two_calls_into_decoder_processes(tmp_path: Path, asked: list[str], key: str) -> None:
    fill(tmp_path / "old", [key])
    summary = restore(Bucket(tmp_path / "old"), Bucket(tmp_path / "new"), isolate=True)
    assert (summary["restored"], asked) == (1, ["header", "scan"])


def test_a_photo_on_disk_needs_two_calls_as_well(tmp_path: Path, asked: list[str]) -> None:
    fill(tmp_path / "old", ["a.tif"])
    places, few = (Bucket(tmp_path / "old"), Bucket(tmp_path / "new")), 0.0001
    summary = restore(*places, isolate=True, in_flight_megapixels=few, model="detect")
    assert (summary["restored"], asked) == (1, ["header", "spool"])


def test_a_given_mask_is_a_file_of_its_own_with_a_header_of_its_own(tmp_path: Path, asked: list[str]) -> None:
    fill(tmp_path / "old", ["a.png"])
    mark(tmp_path / "masks", ["a.png.png"])
    restore(Bucket(tmp_path / "old"), Bucket(tmp_path / "new"), isolate=True, masks=str(tmp_path / "masks"))
    assert asked == ["header", "scan", "header", "scan"]


def test_each_page_of_a_tiff_needs_one_call_behind_those_for_headers(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "old").mkdir()
    pages = [Image.fromarray(picture(seed=seed)) for seed in range(3)]
    pages[0].save(tmp_path / "old/a.tif", save_all=True, append_images=pages[1:])
    restore(Bucket(tmp_path / "old"), Bucket(tmp_path / "new"), isolate=True, pages="1-2")
    # the last page is taken over as it is, and nobody wants its pixels
    assert asked == ["header", "pages", "scan", "scan", "facts"]


def saved(pixels: np.ndarray, format_: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, **how)
    return buffer.getvalue()


def masters() -> dict[str, bytes]:
    """Files that differ in what a record states of them."""
    exif = Image.Exif()
    exif[274], exif[282], exif[283], exif[296] = 6, 301.37, 299.0, 2
    colours, grey = picture(), picture()[..., 0]
    alpha = np.dstack([colours, np.broadcast_to(np.linspace(0, 255, 60).astype(np.uint8), (40, 60))])
    opaque = np.dstack([colours, np.full((40, 60), 255, np.uint8)])
    image, wide = pyvips.Image.new_from_array(colours), pyvips.Image.new_from_array(picture(bits=16))
    extra = image.bandjoin(pyvips.Image.new_from_array(grey))
    made = {f"the doctor's {sample.name}": sample.encode() for row in FORMATS.values() for sample in row.samples}
    return made | {
        "JPEG with EXIF and a profile": saved(colours, "JPEG", exif=exif, icc_profile=ADOBE_RGB, dpi=(301, 299)),
        "grey JPEG": saved(grey, "JPEG", dpi=(118, 118)),
        "PNG with a resolution and a profile": saved(colours, "PNG", dpi=(240.5, 240.5), icc_profile=ADOBE_RGB),
        "PNG with transparency": saved(alpha, "PNG"),
        "PNG that is opaque": saved(opaque, "PNG"),
        "WebP with EXIF": saved(colours, "WEBP", exif=exif),
        "WebP without loss, with transparency": saved(alpha, "WEBP", lossless=True, icc_profile=ADOBE_RGB),
        "WebP that is opaque": saved(opaque, "WEBP", lossless=True),
        "TIFF, LZW": saved(colours, "TIFF", compression="tiff_lzw", dpi=(600, 600), icc_profile=ADOBE_RGB),
        "TIFF of a negative": pyvips.Image.new_from_array(grey).tiffsave_buffer(miniswhite=True, xres=23.622),
        "TIFF, CIELab": image.colourspace("labs").tiffsave_buffer(),
        "TIFF, float": (image / 255.0).cast("float").copy(interpretation="scrgb").tiffsave_buffer(),
        "TIFF with one more channel": extra.tiffsave_buffer(),
        "BigTIFF pyramid": wide.copy(interpretation="rgb16").tiffsave_buffer(
            bigtiff=True, tile=True, tile_width=16, tile_height=16, pyramid=True, compression="deflate"
        ),
    }


MASTERS = masters()


def written(scan: Scan, format_: OutputFormat) -> bytes | None:
    """The derivative; None where the format cannot hold it."""
    try:
        return write_scan(scan, scan.pixels, format=format_)
    except UnsupportedScan:
        return None


@pytest.mark.parametrize("name", MASTERS)
def test_facts_of_a_derivative_are_what_reading_it_finds(name: str, tmp_path: Path) -> None:
    master = MASTERS[name]
    scan, facts = read_scan(master), read_technical_metadata(master)
    (tmp_path / "master").write_bytes(master)
    found = [(format_, written(scan, format_)) for format_ in get_args(OutputFormat)]
    assert any(data for _, data in found)
    for format_, data in found:
        if data is not None:
            assert written_facts(data, scan, facts) == read_technical_metadata(data), format_
            with spool_scan(tmp_path / "master", tmp_path) as spooled:
                write_spooled(spooled, spooled.pixels, tmp_path / "derivative", format=format_)
                assert written_facts(tmp_path / "derivative", spooled, facts) == read_technical_metadata(data), format_


@pytest.mark.parametrize(("wanted", "given"), [(True, False), (False, True)])
def test_facts_come_with_pixels_where_they_were_asked_for_and_only_there(wanted: bool, given: bool) -> None:
    data = MASTERS["grey JPEG"]
    container = replace(FORMATS["jpeg"].reader().read_container_metadata(data))
    header = read_header(data)
    plane = Plane(shape=(header.height, header.width, 1), dtype="|u1")
    reply = Reply(
        format="jpeg",
        pixels=plane,
        alpha=None,
        container=container,
        facts=read_technical_metadata(data) if given else None,
    )
    with pytest.raises(BadMessage):
        check_answer(Request(what="scan", seconds=1, facts=wanted), reply)


def test_a_decoder_states_no_impossible_facts() -> None:
    data = MASTERS["grey JPEG"]
    container, facts = (
        FORMATS["jpeg"].reader().read_container_metadata(data),
        replace(read_technical_metadata(data), width=0),
    )
    reply = Reply(
        format="jpeg", pixels=Plane(shape=(1, 1, 1), dtype="|u1"), alpha=None, container=container, facts=facts
    )
    with pytest.raises(BadMessage):
        check_answer(Request(what="scan", seconds=1, facts=True), reply)
